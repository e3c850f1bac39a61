//! Which tenants a peer has no healthy backend for.

use super::rendezvous::rank;
use crate::policy::TenantId;

/// Tenants without a healthy backend at a peer, as the peer reports them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exceptions {
    /// By id, at most [`Exceptions::TENANTS_MAX`].
    pub tenants: Vec<TenantId>,
    /// Whether there are more than fit: then refusals are learnt one by one.
    pub many: bool,
}

/// Which exceptions a node has: two lists that differ have different digests, and no exceptions have 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExceptionsDigest(pub u64);

impl ExceptionsDigest {
    /// Of no exceptions.
    pub const NONE: Self = Self(0);
}

impl Exceptions {
    /// How many tenants one report can name.
    pub const TENANTS_MAX: usize = 500;

    /// Exceptions for `tenants`, in any order; those that do not fit are only said to be many.
    pub fn new(tenants: impl IntoIterator<Item = TenantId>) -> Self {
        let mut tenants: Vec<_> = tenants.into_iter().collect();
        tenants.sort_unstable();
        tenants.dedup();
        let many = tenants.len() > Self::TENANTS_MAX;
        tenants.truncate(Self::TENANTS_MAX);
        Self { tenants, many }
    }

    /// What tells these exceptions from others.
    pub fn digest(&self) -> ExceptionsDigest {
        if self.tenants.is_empty() && !self.many {
            return ExceptionsDigest::NONE;
        }
        let many = if self.many { "many" } else { "all" };
        let parts: Vec<_> = [many].into_iter().chain(self.tenants.iter().map(TenantId::as_str)).collect();
        ExceptionsDigest(rank(&parts).max(1))
    }

    /// Whether `tenant` is named.
    pub fn contains(&self, tenant: &TenantId) -> bool {
        self.tenants.binary_search(tenant).is_ok()
    }

    /// The same exceptions as if [`Exceptions::new`] had made them: a report from outside may be in any order.
    pub(super) fn checked(self) -> Self {
        let said = self.many;
        let checked = Self::new(self.tenants);
        Self { many: said || checked.many, ..checked }
    }

    /// These exceptions and some more tenants, which are not counted against the limit of a report.
    pub(super) fn with<'t>(&'t self, more: impl Iterator<Item = &'t TenantId>) -> Self {
        let mut tenants: Vec<_> = self.tenants.iter().chain(more).cloned().collect();
        tenants.sort_unstable();
        tenants.dedup();
        Self { tenants, many: self.many }
    }
}

/// Exceptions as decisions look into them: most tenants are in nobody's, and a filter says so in a few nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excepted {
    listed: Exceptions,
    filter: [u64; FILTER_WORDS],
}

impl Excepted {
    /// The exceptions themselves.
    pub fn listed(&self) -> &Exceptions {
        &self.listed
    }

    /// Whether this tenant is named.
    pub fn contains(&self, tenant: &Sought<'_>) -> bool {
        let (word, bit) = tenant.place;
        self.filter[word] & bit != 0 && self.listed.contains(tenant.id)
    }
}

impl From<Exceptions> for Excepted {
    fn from(listed: Exceptions) -> Self {
        let mut filter = [0; FILTER_WORDS];
        for tenant in &listed.tenants {
            let (word, bit) = Sought::new(tenant).place;
            filter[word] |= bit;
        }
        Self { listed, filter }
    }
}

impl Default for Excepted {
    fn default() -> Self {
        Self::from(Exceptions::default())
    }
}

/// A tenant that is looked for at many peers: its place in their filters is found once.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'t> {
    id: &'t TenantId,
    place: (usize, u64),
}

impl<'t> Sought<'t> {
    /// Looks for `id`.
    pub fn new(id: &'t TenantId) -> Self {
        // FNV-1a, folded: tenants' names are the operators' own, and a collision costs nothing but time.
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        let folded = hash ^ hash >> 32;
        Self { id, place: ((folded >> 6) as usize % FILTER_WORDS, 1 << (folded % 64)) }
    }
}

/// One place in nine is taken by a full report.
const FILTER_WORDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::tenant_id;
    use proptest::prelude::*;

    fn ids(numbers: &[u32]) -> Vec<TenantId> {
        numbers.iter().map(|number| tenant_id(&format!("t{number}"))).collect()
    }

    proptest! {
        #[test]
        fn every_tenant_given_is_contained_or_there_are_many(numbers in proptest::collection::vec(0u32..2_000, 0..1_200)) {
            let exceptions = Exceptions::new(ids(&numbers));
            prop_assert!(exceptions.tenants.len() <= Exceptions::TENANTS_MAX);
            prop_assert!(exceptions.many || ids(&numbers).iter().all(|id| exceptions.contains(id)));
            prop_assert!(!exceptions.contains(&tenant_id("t2000")));
        }

        #[test]
        fn a_report_in_any_order_is_understood(numbers in proptest::collection::vec(0u32..500, 1..40)) {
            let checked = Exceptions { tenants: ids(&numbers), many: true }.checked();
            prop_assert!(ids(&numbers).iter().all(|id| checked.contains(id)));
            prop_assert!(checked.many);
        }

        #[test]
        fn the_filter_changes_no_answer(numbers in proptest::collection::vec(0u32..1_000, 0..500)) {
            let listed = Exceptions::new(ids(&numbers));
            let excepted = Excepted::from(listed.clone());
            for id in ids(&(0..1_000).collect::<Vec<_>>()) {
                prop_assert_eq!(excepted.contains(&Sought::new(&id)), listed.contains(&id));
            }
        }
    }

    #[test]
    fn every_list_has_a_digest_of_its_own() {
        let list = |numbers: &[u32], many| Exceptions { tenants: ids(numbers), many }.digest();
        let digests =
            [list(&[], false), list(&[], true), list(&[1], false), list(&[1], true), list(&[1, 2], false)];
        assert_eq!(digests[0], ExceptionsDigest::NONE);
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "the {at}th is like an earlier one");
        }
        assert_eq!(list(&[1, 2], false), Exceptions::new(ids(&[2, 1])).digest());
    }

    #[test]
    fn the_filter_turns_most_strangers_away() {
        let excepted = Excepted::from(Exceptions::new(ids(&(0..500).collect::<Vec<_>>())));
        let strangers = ids(&(1_000..2_000).collect::<Vec<_>>());
        let passed = strangers.iter().map(Sought::new).filter(|sought| {
            let (word, bit) = sought.place;
            excepted.filter[word] & bit != 0
        });
        // 500 of 4,096 places: 115 expected, with a standard deviation of 10.
        assert!(passed.count() < 200);
    }

    #[test]
    fn refusals_come_on_top_of_a_report() {
        let reported = Exceptions::new([tenant_id("a"), tenant_id("c")]);
        let (b, c) = (tenant_id("b"), tenant_id("c"));
        assert_eq!(reported.with([&b, &c].into_iter()).tenants, [tenant_id("a"), b, c]);
    }
}
