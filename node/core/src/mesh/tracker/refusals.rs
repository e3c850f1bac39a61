//! Which tenants a peer has refused within the last second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;
use crate::policy::TenantId;

/// Tenants refused by one peer, oldest first. Bounded: the oldest give way.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    tenants: VecDeque<(Moment, TenantId)>,
}

impl Refusals {
    /// Remembers a refusal at `now`.
    pub(super) fn insert(&mut self, tenant: &TenantId, now: Moment) {
        self.tenants.retain(|(_, refused)| refused != tenant);
        if self.tenants.len() >= TENANTS_MAX {
            self.tenants.pop_front();
        }
        self.tenants.push_back((now + REMEMBERED, tenant.clone()));
    }

    /// Forgets what is over; whether there was any.
    pub(super) fn forget(&mut self, now: Moment) -> bool {
        let before = self.tenants.len();
        self.tenants.retain(|(until, _)| *until > now);
        self.tenants.len() != before
    }

    /// When the next one is over.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.tenants.iter().map(|(until, _)| *until).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants.iter().map(|(_, tenant)| tenant)
    }
}

const REMEMBERED: Duration = Duration::from_secs(1);
/// For one peer. More tenants than this lose their backends in one second only if the peer has lost its network.
const TENANTS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::tenant_id;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tenant_is_refused_for_a_second_after_its_last_refusal(
            steps in proptest::collection::vec((0u32..20, 0u64..300), 1..200)
        ) {
            let (mut refusals, mut now, mut last) = (Refusals::default(), 0, std::collections::BTreeMap::new());
            for (tenant, wait) in steps {
                now += wait;
                refusals.forget(Moment::from_millis(now));
                refusals.insert(&tenant_id(&format!("t{tenant}")), Moment::from_millis(now));
                last.insert(tenant, now);
                let expected = last.iter().filter(|(_, at)| now - **at < 1_000).count();
                prop_assert_eq!(refusals.iter().count(), expected);
            }
        }
    }

    #[test]
    fn the_oldest_gives_way_when_there_are_too_many() {
        let mut refusals = Refusals::default();
        for tenant in 0..=TENANTS_MAX {
            refusals.insert(&tenant_id(&format!("t{tenant}")), Moment::from_micros(tenant as u64));
        }
        assert_eq!(refusals.iter().count(), TENANTS_MAX);
        assert_eq!(refusals.iter().next(), Some(&tenant_id("t1")));
    }

    #[test]
    fn it_is_over_when_it_says() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.poll_timeout(), None);
        refusals.insert(&tenant_id("a"), Moment::from_millis(5));
        let over = refusals.poll_timeout().unwrap();
        assert_eq!(over, Moment::from_millis(1_005));
        assert!(!refusals.forget(Moment::from_millis(1_004)));
        assert!(refusals.forget(over) && refusals.is_empty());
    }
}
