//! Which of two regions is preferred, and by what share of requests: sticky, and never in a rush.

use std::sync::Arc;
use std::time::Duration;

use super::Cost;
use crate::{Moment, RegionIndex};

mod pair;

use pair::{Lean, Pair};

/// For every pair of regions, the share of requests that prefer the one to the other. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preference {
    /// By [`position`].
    leans: Arc<[Lean]>,
}

impl Preference {
    /// Which of the two the request with this chance prefers; `None` for a pair that is not known.
    ///
    /// Ask with one chance for all pairs of a request: then a region that spills half of its requests in every
    /// direction keeps the other half, however many regions they could go to.
    pub fn first(&self, a: RegionIndex, b: RegionIndex, chance: u32) -> Option<RegionIndex> {
        let (first, second) = (a.min(b), a.max(b));
        let lean = self.leans.get(position(first, second)?)?;
        Some(if lean.first_wins(chance) { first } else { second })
    }

    /// The share of requests that prefer `a` to `b`, from 0 to 1; `None` for a pair that is not known.
    pub fn share(&self, a: RegionIndex, b: RegionIndex) -> Option<f64> {
        let lean = self.leans.get(position(a.min(b), a.max(b))?)?;
        let share = lean.share_of_first();
        Some(if a < b { share } else { 1.0 - share })
    }
}

/// What is known of one region when preferences are updated.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standing {
    /// What it costs.
    pub cost: Cost,
    /// Its load.
    pub load: f32,
    /// Whether the cost was measured, and not only guessed from the distance.
    pub measured: bool,
}

/// Follows costs and loads, and moves preferences by the rules of stickiness:
///
/// - as long as one of two regions is not measured, and for the first 10 s when both are, the cheaper one is preferred at
///   once, ties by name;
/// - after that, requests move to a region that has been 10 ms and 15 % cheaper for 3 s, and from a region at its hard
///   limit of load to one below its soft limit without that wait;
/// - they move by at most 10 percentage points a second, there and back, and stop where the reason stops.
#[derive(Debug, Clone, Default)]
pub struct PreferenceMachine {
    /// By [`position`].
    pairs: Vec<Pair>,
    updated: Option<Moment>,
    published: Preference,
}

impl PreferenceMachine {
    /// Takes in what every region costs at `now`, by region, and moves shares. Regions without a preference get one.
    ///
    /// Meant to be called every 100 ms; after a longer pause, requests move as if it had been one second.
    pub fn update(&mut self, regions: &[Standing], now: Moment) {
        let passed = self.updated.map_or(Duration::ZERO, |last| now.since(last)).min(PAUSE_MAX);
        self.updated = Some(now);
        self.pairs.resize_with(pairs_of(regions.len()), Pair::default);
        let both = (1..regions.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
        let mut changed = self.pairs.len() != self.published.leans.len();
        for (pair, (first, second)) in self.pairs.iter_mut().zip(both) {
            changed |= pair.update(regions[first], regions[second], now, passed);
        }
        if changed {
            self.published = Preference { leans: self.pairs.iter().map(Pair::lean).collect() };
        }
    }

    /// Carries preferences over to another fleet: `before` says, for every region of the new one, which it was.
    /// The order of the regions that stay must be the same in both, as it is when both are ordered by name.
    pub fn renumber(&mut self, before: &[Option<RegionIndex>]) {
        let both = (1..before.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
        let carried = both.map(|(first, second)| {
            let at = before[first].zip(before[second]).and_then(|(first, second)| position(first, second));
            at.and_then(|at| self.pairs.get(at)).copied().unwrap_or_default()
        });
        self.pairs = carried.collect();
        self.published = Preference { leans: self.pairs.iter().map(Pair::lean).collect() };
    }

    /// The preferences as of the last update.
    pub fn preference(&self) -> Preference {
        self.published.clone()
    }
}

/// Where the pair of `first` and a later `second` is: all pairs of a fleet's first n regions come before those of the next.
fn position(first: RegionIndex, second: RegionIndex) -> Option<usize> {
    (first < second).then(|| pairs_of(second.position()) + first.position())
}

fn pairs_of(regions: usize) -> usize {
    regions * regions.saturating_sub(1) / 2
}

/// How often preferences are updated.
pub(super) const UPDATE_INTERVAL: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
