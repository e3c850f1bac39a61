//! This region's backends: what is believed of them, which of them a request gets, and when it is sent again.

use std::sync::Arc;

use crate::policy::{PoolIndex, Split, TenantIndex};
use crate::shared::RetryBudget;

mod checks;
mod draw;
mod ejection;
mod event;
mod fault;
mod health;
mod maglev;
mod names;
mod peak_ewma;
mod plan;
mod pools;
pub mod retry;
mod slow_start;
mod state;
#[cfg(test)]
pub(crate) mod testing;

pub use checks::{CheckFailure, Checks};
pub use event::{Askers, PoolEvent, PoolId};
pub use fault::Fault;
pub use health::{Health, Transition};
pub use maglev::key_hash;
pub use names::{NameEvent, Names, Resolved};
pub use peak_ewma::PeakEwma;
pub use plan::{CheckTarget, Plan};
pub use pools::Pools;
pub use state::{Ask, Condition, Loads, Member, MemberId, PoolCounts, PoolState};

/// Every pool of this node's region: part of a snapshot, replaced whole.
#[derive(Debug, Clone, Default)]
pub struct PoolStates {
    /// By [`TenantIndex`].
    tenants: Vec<TenantPools>,
}

/// One tenant's pools here.
#[derive(Debug, Clone, Default)]
pub struct TenantPools {
    /// By [`PoolIndex`], as far as there are any; `None` where this region has none of that name.
    pub pools: Box<[Option<Arc<PoolState>>]>,
    /// What pays for sending the tenant's requests again.
    pub budget: Arc<RetryBudget>,
}

/// What a region can do for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// None of the pools that the request may go to is there.
    NoPool,
    /// None of them has a backend that is given requests.
    NoBackend,
    /// It can answer.
    Able,
}

impl PoolStates {
    /// These tenants, by [`TenantIndex`].
    pub fn new(tenants: Vec<TenantPools>) -> Self {
        Self { tenants }
    }

    /// The tenant's pools here.
    pub fn of(&self, tenant: TenantIndex) -> Option<&TenantPools> {
        self.tenants.get(tenant.0 as usize)
    }

    /// One pool; `None` if it is not here.
    pub fn pool(&self, tenant: TenantIndex, index: PoolIndex) -> Option<&Arc<PoolState>> {
        self.of(tenant)?.pool(index)
    }

    /// What this region can do for a request of `tenant` that is to go to `split`.
    pub fn ability(&self, tenant: TenantIndex, split: &Split) -> Ability {
        let Some(pools) = self.of(tenant) else { return Ability::NoPool };
        let mut here = split.shares().iter().filter_map(|share| pools.pool(share.pool)).peekable();
        if here.peek().is_none() {
            Ability::NoPool
        } else if here.any(|pool| pool.is_able()) {
            Ability::Able
        } else {
            Ability::NoBackend
        }
    }

    /// The pool for a request that is to go to `split`, among those that are able: drawn by their shares.
    pub fn draw(&self, tenant: TenantIndex, split: &Split, chance: u32) -> Option<PoolIndex> {
        let pools = self.of(tenant)?;
        split.draw(|index| pools.pool(index).is_some_and(|pool| pool.is_able()), draw::another(chance))
    }
}

impl TenantPools {
    /// One pool; `None` if it is not here.
    pub fn pool(&self, index: PoolIndex) -> Option<&Arc<PoolState>> {
        self.pools.get(usize::from(index.0))?.as_ref()
    }

    /// Whether there are pools here and none has a backend that is given requests.
    pub fn is_exhausted(&self) -> bool {
        let mut here = self.pools.iter().flatten().peekable();
        here.peek().is_some() && !here.any(|pool| pool.is_able())
    }
}
