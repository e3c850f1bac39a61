//! What do all parts of the report need to know of a run? Its axis of time, its regions, and who is in which.

use std::collections::BTreeMap;

use super::axis::Axis;
use crate::outcome::{FaultFacts, NodeFacts, Outcome};

/// An outcome and what follows from it.
pub(super) struct Run<'a> {
    /// What is reported.
    pub(super) outcome: &'a Outcome,
    /// The time that every chart shows.
    pub(super) axis: Axis,
    /// The regions, in the order of their first nodes.
    pub(super) regions: Vec<Region<'a>>,
    region_of: BTreeMap<&'a str, usize>,
}

/// A region with its nodes.
pub(super) struct Region<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The first of its nodes, for what all of them share.
    pub(super) first: &'a NodeFacts,
    /// How many nodes it has.
    pub(super) nodes: usize,
}

impl<'a> Run<'a> {
    pub(super) fn of(outcome: &'a Outcome) -> Self {
        let mut regions = Vec::<Region<'a>>::new();
        let mut region_of = BTreeMap::new();
        let mut positions = BTreeMap::<&str, usize>::new();
        for node in &outcome.nodes {
            let position = *positions.entry(&node.region).or_insert(regions.len());
            match regions.get_mut(position) {
                Some(region) => region.nodes += 1,
                None => regions.push(Region { name: &node.region, first: node, nodes: 1 }),
            }
            region_of.insert(node.name.as_str(), position);
        }
        Self { outcome, axis: Axis::of(outcome), regions, region_of }
    }

    /// The region of a node.
    pub(super) fn region_of(&self, node: &str) -> Option<&Region<'a>> {
        self.region_of.get(node).and_then(|position| self.regions.get(*position))
    }

    /// When a fault began and ended, as shares of the time.
    pub(super) fn span(&self, fault: &FaultFacts) -> (f64, f64) {
        let end_ms = fault.ended_ms.unwrap_or(i64::MAX);
        (self.axis.share(fault.at_ms), self.axis.share(end_ms.max(fault.at_ms)))
    }

    /// When invariants were violated, as shares of the time, each once.
    pub(super) fn violation_shares(&self) -> Vec<f64> {
        let mut shares: Vec<_> =
            self.outcome.violations.iter().map(|violation| self.axis.share(violation.at_ms)).collect();
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        shares
    }
}
