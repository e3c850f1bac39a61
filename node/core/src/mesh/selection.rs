//! Which peers of a region to keep tunnels to, when there are more than a node needs.

use graticule_gossip_core::NodeName;

use super::rendezvous::rank;

/// At most `nodes_max` of a region's nodes, by name: those that rank highest for this node (rendezvous hashing).
///
/// Every node ranks them differently, so the load spreads; when a node comes or goes, at most one choice changes. This
/// node itself is never among them. Names that occur twice count once.
pub fn select<'n>(
    own: &NodeName,
    nodes: impl IntoIterator<Item = &'n NodeName>,
    nodes_max: usize,
) -> Vec<&'n NodeName> {
    let others = nodes.into_iter().filter(|node| *node != own);
    let mut ranked: Vec<_> = others.map(|node| (rank(&[own.as_str(), node.as_str()]), node)).collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    ranked.dedup();
    let mut chosen: Vec<_> = ranked.into_iter().take(nodes_max).map(|(_, node)| node).collect();
    chosen.sort_unstable();
    chosen
}

/// Enough for two choices when one node of a region fails while another restarts.
pub const TUNNELS_PER_REGION_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn node(number: u32) -> NodeName {
        format!("node-{number}").parse().unwrap()
    }

    fn nodes(numbers: &BTreeSet<u32>) -> Vec<NodeName> {
        numbers.iter().copied().map(node).collect()
    }

    proptest! {
        #[test]
        fn there_are_as_many_as_wanted_or_as_there_are(
            numbers in proptest::collection::btree_set(0u32..100, 0..30), own in 0u32..100, max in 0usize..8
        ) {
            let nodes = nodes(&numbers);
            let own = node(own);
            let chosen = select(&own, &nodes, max);
            let others = nodes.iter().filter(|node| **node != own).count();
            prop_assert_eq!(chosen.len(), max.min(others));
            prop_assert!(!chosen.contains(&&own));
            prop_assert!(chosen.is_sorted());
        }

        #[test]
        fn a_node_that_leaves_is_replaced_and_nothing_else_changes(
            numbers in proptest::collection::btree_set(0u32..100, 2..30), own in 200u32..300, leaving: prop::sample::Index
        ) {
            let all = nodes(&numbers);
            let left = leaving.get(&all);
            let remaining: Vec<_> = all.iter().filter(|node| *node != left).cloned().collect();
            let before: BTreeSet<_> = select(&node(own), &all, 4).into_iter().collect();
            let after: BTreeSet<_> = select(&node(own), &remaining, 4).into_iter().collect();
            let kept: BTreeSet<_> = before.iter().copied().filter(|node| *node != left).collect();
            prop_assert!(kept.is_subset(&after));
            prop_assert!(before.contains(left) || before == after);
        }

        #[test]
        fn the_order_in_which_nodes_are_named_does_not_matter(
            numbers in proptest::collection::btree_set(0u32..100, 0..30), own in 200u32..300
        ) {
            let forwards = nodes(&numbers);
            let twice: Vec<_> = forwards.iter().rev().chain(&forwards).cloned().collect();
            prop_assert_eq!(select(&node(own), &forwards, 4), select(&node(own), &twice, 4));
        }
    }

    #[test]
    fn many_nodes_choose_a_regions_nodes_about_equally_often() {
        let region: Vec<_> = (0..10).map(node).collect();
        let mut chosen = BTreeMap::<NodeName, u32>::new();
        for own in 100..600 {
            for peer in select(&node(own), &region, 4) {
                *chosen.entry(peer.clone()).or_default() += 1;
            }
        }
        // 500 nodes choose 4 of 10: 200 each, with a standard deviation of 11.
        assert!(chosen.values().all(|count| count.abs_diff(200) < 50), "{chosen:?}");
        assert_eq!(chosen.len(), 10);
    }
}
