//! Which regions: a position in the fleet document's list, and a set of them as bits.

use std::fmt;

/// The position of a region in its [`Fleet`](crate::policy::Fleet), which lists them by name.
///
/// Only meaningful together with the policy it was taken from; a [`Snapshot`](crate::Snapshot) keeps both together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionIndex(u8);

impl RegionIndex {
    /// The `position`-th region, if there can be one.
    pub fn new(position: usize) -> Option<Self> {
        (position < RegionSet::REGIONS_MAX).then_some(Self(position as u8))
    }

    /// Position in the fleet's list.
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

const WORDS: usize = RegionSet::REGIONS_MAX / 64;

/// A set of regions. Copying it and every operation on it is a few machine words.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct RegionSet {
    words: [u64; WORDS],
}

impl RegionSet {
    /// How many regions a fleet can have.
    pub const REGIONS_MAX: usize = 256;

    /// No region.
    pub const EMPTY: Self = Self { words: [0; WORDS] };

    /// Adds one region.
    pub fn insert(&mut self, region: RegionIndex) {
        self.words[region.position() / 64] |= 1 << (region.position() % 64);
    }

    /// Whether `region` is a member.
    pub fn contains(&self, region: RegionIndex) -> bool {
        self.words[region.position() / 64] & (1 << (region.position() % 64)) != 0
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// How many members.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Members of both.
    pub fn intersection(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Members of either.
    pub fn union(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// Members of this set that are not in `other`.
    pub fn difference(self, other: Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Whether every member is in `other` too.
    pub fn is_subset(self, other: Self) -> bool {
        self.difference(other).is_empty()
    }

    /// The members in order.
    pub fn iter(self) -> impl Iterator<Item = RegionIndex> {
        self.words.into_iter().enumerate().flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                (word != 0).then(|| {
                    word &= word - 1;
                    RegionIndex((at * 64 + bit) as u8)
                })
            })
        })
    }

    fn zip(self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.words;
        words.iter_mut().zip(other.words).for_each(|(a, b)| *a = op(*a, b));
        Self { words }
    }
}

impl FromIterator<RegionIndex> for RegionSet {
    fn from_iter<I: IntoIterator<Item = RegionIndex>>(regions: I) -> Self {
        let mut set = Self::EMPTY;
        regions.into_iter().for_each(|region| set.insert(region));
        set
    }
}

impl fmt::Debug for RegionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(RegionIndex::position)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn positions() -> impl Strategy<Value = BTreeSet<usize>> {
        proptest::collection::btree_set(0..RegionSet::REGIONS_MAX, 0..40)
    }

    fn set(positions: &BTreeSet<usize>) -> RegionSet {
        positions.iter().filter_map(|position| RegionIndex::new(*position)).collect()
    }

    fn members(set: RegionSet) -> Vec<usize> {
        set.iter().map(RegionIndex::position).collect()
    }

    #[test]
    fn a_region_beyond_the_limit_has_no_index() {
        assert_eq!(RegionIndex::new(255).map(RegionIndex::position), Some(255));
        assert_eq!(RegionIndex::new(256), None);
    }

    #[test]
    fn the_ends_of_words_are_members_like_others() {
        let ends = BTreeSet::from([0, 63, 64, 127, 128, 191, 192, 255]);
        assert_eq!(members(set(&ends)), ends.into_iter().collect::<Vec<_>>());
        assert_eq!(format!("{:?}", set(&BTreeSet::from([64, 3]))), "{3, 64}");
    }

    proptest! {
        #[test]
        fn a_set_has_its_members_in_order_and_no_others(of in positions()) {
            let set = set(&of);
            prop_assert_eq!(members(set), of.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len(), of.len());
            prop_assert_eq!(set.is_empty(), of.is_empty());
            for position in 0..RegionSet::REGIONS_MAX {
                let index = RegionIndex::new(position).unwrap();
                prop_assert_eq!(set.contains(index), of.contains(&position));
            }
        }

        #[test]
        fn sets_combine_as_sets_do(a in positions(), b in positions()) {
            let of = |positions: Vec<&usize>| positions.into_iter().copied().collect::<Vec<_>>();
            prop_assert_eq!(members(set(&a).union(set(&b))), of(a.union(&b).collect()));
            prop_assert_eq!(members(set(&a).intersection(set(&b))), of(a.intersection(&b).collect()));
            prop_assert_eq!(members(set(&a).difference(set(&b))), of(a.difference(&b).collect()));
            prop_assert_eq!(set(&a).is_subset(set(&b)), a.is_subset(&b));
            prop_assert!(set(&a).intersection(set(&b)).is_subset(set(&a)));
        }
    }
}
