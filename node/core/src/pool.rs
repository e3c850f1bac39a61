//! This region's backends: their health as decisions see it, and the machine that follows it.

use std::net::SocketAddr;

use crate::policy::TenantIndex;

mod checks;
mod health;
mod plan;
#[cfg(test)]
mod testing;

pub use checks::{CheckFailure, Checks, PoolEvent};
pub use health::{Health, Transition};
pub use plan::{CheckTarget, Plan};

/// Health of every pool of this node's region: part of a snapshot, replaced whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolStates {
    /// By [`TenantIndex`]: the healthy backends of the tenant's pool here; `None` without a pool.
    pub healthy: Vec<Option<Vec<SocketAddr>>>,
}

impl PoolStates {
    /// The healthy backends of `tenant` here: `None` without a pool, empty if all have failed.
    pub fn of(&self, tenant: TenantIndex) -> Option<&[SocketAddr]> {
        self.healthy.get(tenant.0 as usize)?.as_deref()
    }
}
