//! What happens to backends, for logs and whoever else wants to know.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{CheckFailure, CheckTarget, Fault};
use crate::policy::{PoolName, TenantId};

/// Something has changed about a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolEvent {
    /// It fails its check and is given no more requests.
    BackendFailed {
        /// Which, under which check.
        target: Arc<CheckTarget>,
        /// Whose.
        askers: Askers,
        /// What the last check found.
        failure: CheckFailure,
    },
    /// It passes its check again.
    BackendRecovered {
        /// Which, under which check.
        target: Arc<CheckTarget>,
        /// Whose.
        askers: Askers,
    },
    /// It has come to a pool that has others, and passes its first check.
    BackendAdmitted {
        /// Which, under which check.
        target: Arc<CheckTarget>,
        /// Whose.
        askers: Askers,
    },
    /// Requests fail there, for the first time for a while.
    BackendFailing {
        /// Of which pool.
        pool: PoolId,
        /// Which.
        address: SocketAddr,
        /// Why the last did.
        fault: Fault,
    },
    /// Requests failed there too often in a row: it is out for a while.
    BackendEjected {
        /// Of which pool.
        pool: PoolId,
        /// Which.
        address: SocketAddr,
        /// For how long.
        out: Duration,
        /// Why the last request failed.
        fault: Option<Fault>,
    },
    /// Its time out is over.
    BackendReturned {
        /// Of which pool.
        pool: PoolId,
        /// Which.
        address: SocketAddr,
    },
}

/// The pools that ask for a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Askers {
    /// One of them.
    pub first: PoolId,
    /// How many they are.
    pub count: usize,
}

/// One pool of this region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolId {
    /// Whose.
    pub tenant: TenantId,
    /// What it is called; `None` for the tenant's pool without a name.
    pub name: Option<PoolName>,
}

impl PoolId {
    /// What it is called in documents: `default` without a name.
    pub fn called(&self) -> &str {
        self.name.as_ref().map_or("default", PoolName::as_str)
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tenant.fmt(f)?;
        self.name.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}
