//! What holds where several faults have replaced the same thing: what the youngest of those made of it that last.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::scenario::{GeoFault, Rules};

/// What faults have made of each thing, by their numbers: they ascend as faults begin.
pub(super) struct Layers<K, V>(RefCell<BTreeMap<K, BTreeMap<u64, V>>>);

/// What the end of a fault uncovers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Uncovered<V> {
    /// Nothing: a younger fault covers it, or it was undone before.
    Nothing,
    /// What an older fault made of it.
    Older(V),
    /// What it is without any fault.
    Bottom,
}

impl<K, V> Default for Layers<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Ord, V: Clone> Layers<K, V> {
    /// A fault begins to make this of a thing.
    pub(super) fn cover(&self, key: K, fault: u64, with: V) {
        self.0.borrow_mut().entry(key).or_default().insert(fault, with);
    }

    /// A fault ends.
    pub(super) fn uncover(&self, key: &K, fault: u64) -> Uncovered<V> {
        let mut all = self.0.borrow_mut();
        let Some(layers) = all.get_mut(key) else { return Uncovered::Nothing };
        let was_on_top = layers.last_key_value().is_some_and(|(top, _)| *top == fault);
        layers.remove(&fault);
        match layers.last_key_value() {
            _ if !was_on_top => Uncovered::Nothing,
            Some((_, older)) => Uncovered::Older(older.clone()),
            None => Uncovered::Bottom,
        }
    }

    /// Whatever faults made of a thing is undone.
    pub(super) fn clear(&self, key: &K) {
        self.0.borrow_mut().remove(key);
    }
}

/// Everything that faults replace.
#[derive(Default)]
pub(super) struct Replaced {
    /// How many millionths too fast nodes' clocks run.
    pub(super) clocks: Layers<String, i32>,
    /// Whose addresses nodes' names have.
    pub(super) names: Layers<String, Vec<String>>,
    /// Nodes' geo databases.
    pub(super) geo: Layers<String, GeoFault>,
    /// What nodes find for a tenant.
    pub(super) documents: Layers<(String, String), Rules>,
    published: Cell<u64>,
}

impl Replaced {
    /// The version of the next document: newer than all before, as an operator's would be.
    pub(super) fn next_version(&self) -> u64 {
        self.published.set(self.published.get() + 1);
        FIRST_VERSION + self.published.get()
    }
}

/// What nodes find when they start.
const FIRST_VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_fault_that_lasts_holds_whatever_the_order_of_their_ends() {
        let layers = Layers::default();
        for (fault, value) in [(1, "a"), (2, "b"), (3, "c")] {
            layers.cover("n", fault, value);
        }
        assert_eq!(layers.uncover(&"n", 2), Uncovered::Nothing);
        assert_eq!(layers.uncover(&"n", 3), Uncovered::Older("a"));
        assert_eq!(layers.uncover(&"n", 1), Uncovered::Bottom);
        assert_eq!(layers.uncover(&"n", 1), Uncovered::Nothing);
    }

    #[test]
    fn what_was_undone_is_not_undone_again() {
        let layers = Layers::default();
        layers.cover("n", 1, "a");
        layers.clear(&"n");
        assert_eq!(layers.uncover(&"n", 1), Uncovered::Nothing);
    }

    #[test]
    fn every_version_is_newer_than_all_before() {
        let replaced = Replaced::default();
        let versions = [(); 3].map(|()| replaced.next_version());
        assert!(FIRST_VERSION < versions[0] && versions.is_sorted() && versions[0] < versions[2]);
    }
}
