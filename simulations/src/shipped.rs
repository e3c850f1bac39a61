//! The scenarios that come with the program, as they stand in simulations/scenarios.

/// Name and text of each, by name.
pub const SHIPPED: &[(&str, &str)] = &[("region-lost", include_str!("../scenarios/region-lost.toml"))];
