//! Every decision of a Graticule node, and every state machine behind them.
//!
//! Pure: no runtime, no sockets, no clock, no randomness, no locks. Time and chance are arguments.

pub mod access_log;
pub mod config;
pub mod decide;
pub mod document;
pub mod frame_meter;
pub mod framing;
pub mod headers;
pub mod leaving;
pub mod mesh;
pub mod metrics;
pub mod outcome;
pub mod path;
pub mod policy;
pub mod pool;
pub mod proxy_protocol;
mod refusal;
mod region_set;
pub mod shared;
mod time;

pub use decide::{Snapshot, decide};
pub use policy::Policy;
pub use refusal::{Reason, Refusal};
pub use region_set::{RegionIndex, RegionSet};
pub use time::Moment;
