//! What do counters look like to Prometheus, and under whose name?

mod exposition;
mod rising;
mod tenants;

pub use exposition::{Exposition, Family, Kind, Label, Sample, Value};
pub use rising::Rising;
pub use tenants::{ByRole, TenantSeries};
