//! What is rehearsed: a fleet, whose requests reach it, what goes wrong and when, and what must hold in spite of it.
//!
//! A scenario is written as TOML ([docs/simulations.md](../../docs/simulations.md)); [`Scenario`] is its checked form,
//! in which every name means something: nodes are named one by one, times count from the moment when load begins.

use std::collections::BTreeMap;
use std::time::Duration;

use graticule_node_core::document::reading::{Page, Spot, Text, parse};
use graticule_node_core::document::{Diagnostic, Source};

use crate::fleet::FleetPlan;

mod fault;
mod load;
mod objective;
mod read;
mod rules;

pub use fault::{BackendFault, Checks, DiskFate, Fault, GeoFault, TimedFault, Weather};
pub(crate) use load::MARK;
pub use load::{Arrivals, Load};
pub use objective::{Demand, Objective};
pub use rules::{Permission, Reach, Receive, Rules, Unknown};

/// A rehearsal, checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its file's name without `.toml`.
    pub name: String,
    /// What it is about, in one line.
    pub title: String,
    /// What it shows, in some sentences.
    pub about: String,
    /// The seed it runs with unless another is asked for.
    pub seed: u64,
    /// How long load and faults go on.
    pub duration: Duration,
    /// How long after the last fault has ended all nodes must agree again.
    pub convergence: Duration,
    /// Regions, nodes, backends, and the tenants' documents.
    pub fleet: FleetPlan,
    /// Where its regions are written.
    pub regions_spot: Spot,
    /// Every tenant's rules, as the judge reads them: the node's own reading is not asked.
    pub rules: BTreeMap<String, Rules>,
    /// Who asks for what.
    pub loads: Vec<Load>,
    /// What goes wrong, in the order of its beginning.
    pub faults: Vec<TimedFault>,
    /// What must hold.
    pub objectives: Vec<Objective>,
}

impl Scenario {
    /// The longest a scenario may be.
    pub const DURATION_MAX: Duration = Duration::from_hours(24);

    /// Reads a scenario called `name`. Gives it if nothing is wrong, and everything that is wrong or hardly meant.
    pub fn parse(name: &str, source: &Source) -> (Option<Self>, Vec<Diagnostic>) {
        let page = Page::new(&source.name);
        let tree = Text::of(source, &page).and_then(|text| parse(&text, &page));
        let scenario = tree.and_then(|tree| read::read(&page, &tree, name));
        (scenario.filter(|_| !page.has_errors()), page.into_diagnostics())
    }

    /// Every time a fault begins, with the moment of its end if it ends, in order. A repeated fault comes several times.
    pub fn occurrences(&self) -> Vec<Occurrence> {
        let mut occurrences: Vec<_> = (0..)
            .zip(&self.faults)
            .flat_map(|(fault, timed)| {
                let times = timed.times().take_while(|(at, _)| *at < self.duration);
                times.map(move |(at, ends)| Occurrence { fault, at, ends })
            })
            .collect();
        occurrences.sort_by_key(|occurrence| (occurrence.at, occurrence.fault));
        occurrences
    }

    /// When the last fault begins or ends; zero without faults.
    pub fn last_change(&self) -> Duration {
        let changes = self.occurrences().into_iter().map(|occurrence| {
            let took = self.faults[occurrence.fault].fault.takes();
            occurrence.ends.unwrap_or(occurrence.at).max(occurrence.at + took)
        });
        changes.max().unwrap_or_default()
    }
}

/// One time that a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// Its position in [`Scenario::faults`].
    pub fault: usize,
    /// When it begins.
    pub at: Duration,
    /// When it ends; it does not without.
    pub ends: Option<Duration>,
}

#[cfg(test)]
mod tests;
