//! What is really wrong with the fleet at any moment, and where each tenant may really be: known to nobody in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use graticule_geo::Country;

use crate::fleet::{FleetPlan, RegionPlan};
use crate::places;
use crate::scenario::{Fault, Permission, Reach, Rules, Scenario, Unknown};

pub(super) mod life;

use life::{Life, Turn};

/// What is wrong, and since when it is not.
#[derive(Debug, Default)]
pub(super) struct Truth {
    parts: BTreeMap<Part, Wounds>,
    /// When the last fault began.
    last_begun: Option<Duration>,
    /// When the last fault ended.
    last_ended: Option<Duration>,
    /// Every node's process.
    lives: BTreeMap<String, Life>,
    /// Every document that a node found on its disk, with the moment.
    documents: BTreeMap<(String, String), Vec<(Duration, Rules)>>,
}

/// What a fault can meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// A node's process or machine. It is hurt by what becomes of it, whatever faults go on.
    Node(String),
    /// The way from one node to another.
    Way(String, String),
    /// A region's backends, for one tenant or for all.
    Backends(String, Option<String>),
    /// What a node knows about where addresses are.
    Geo(String),
    /// What a node knows about a tenant.
    Document(String, String),
}

#[derive(Debug, Default)]
struct Wounds {
    /// The faults that hurt it, by their numbers.
    open: BTreeSet<u64>,
    /// When one was opened or closed last.
    last: Duration,
}

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    In(Country),
    Nowhere,
}

impl Truth {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let nodes = scenario.fleet.node_names();
        let documents = nodes.flat_map(|node| {
            let rules = scenario.rules.iter();
            rules.map(move |(tenant, rules)| {
                ((node.clone(), tenant.clone()), vec![(Duration::ZERO, rules.clone())])
            })
        });
        Self { documents: documents.collect(), ..Self::default() }
    }

    /// A fault begins to hurt these.
    pub(super) fn hurt(&mut self, parts: &[Part], fault: u64, now: Duration) {
        self.last_begun = Some(now);
        for part in parts {
            let wounds = self.parts.entry(part.clone()).or_default();
            wounds.open.insert(fault);
            wounds.last = now;
        }
    }

    /// It hurts them no longer.
    pub(super) fn heal(&mut self, parts: &[Part], fault: u64, now: Duration) {
        self.last_ended = Some(now);
        for part in parts {
            if let Some(wounds) = self.parts.get_mut(part).filter(|wounds| wounds.open.contains(&fault)) {
                wounds.open.remove(&fault);
                wounds.last = now;
            }
        }
    }

    /// Whatever hurt it is undone, though faults go on.
    pub(super) fn cure(&mut self, part: &Part, now: Duration) {
        if let Some(wounds) = self.parts.get_mut(part).filter(|wounds| !wounds.open.is_empty()) {
            wounds.open.clear();
            wounds.last = now;
        }
    }

    /// Whether nothing has been wrong with it since a moment, nor is now.
    pub(super) fn is_sound(&self, part: &Part, since: Option<Duration>) -> bool {
        if let Part::Node(node) = part {
            return self.life(node).is_none_or(|life| life.is_sound(since));
        }
        self.parts
            .get(part)
            .is_none_or(|wounds| wounds.open.is_empty() && since.is_some_and(|since| wounds.last < since))
    }

    /// Whether nothing is wrong with it at the moment.
    pub(super) fn is_unhurt(&self, part: &Part) -> bool {
        if let Part::Node(node) = part {
            return self.life(node).is_none_or(Life::is_well);
        }
        self.parts.get(part).is_none_or(|wounds| wounds.open.is_empty())
    }

    /// Whether any way is hurt at the moment.
    pub(super) fn any_way_is_hurt(&self) -> bool {
        self.parts.iter().any(|(part, wounds)| matches!(part, Part::Way(..)) && !wounds.open.is_empty())
    }

    /// When the last fault began and the last one ended.
    pub(super) fn last_changes(&self) -> (Option<Duration>, Option<Duration>) {
        (self.last_begun, self.last_ended)
    }

    /// Something becomes of a node's process.
    pub(super) fn befalls<R>(&mut self, node: &str, now: Duration, what: impl FnOnce(&mut Life) -> R) -> R {
        let life = self.lives.entry(node.to_owned()).or_default();
        let was_well = life.is_well();
        let became = what(life);
        match life.turn(was_well, now) {
            Some(Turn::Ill) => self.last_begun = Some(now),
            Some(Turn::Well) => self.last_ended = Some(now),
            None => {}
        }
        became
    }

    /// What has become of a node's process; nothing if nothing has.
    pub(super) fn life(&self, node: &str) -> Option<&Life> {
        self.lives.get(node)
    }

    /// Whether a node can be heard: it runs, and does not stand still.
    pub(super) fn speaks(&self, node: &str) -> bool {
        self.life(node).is_none_or(|life| life.runs() && !life.stands_still())
    }

    /// Since when a node is leaving.
    pub(super) fn draining_since(&self, node: &str) -> Option<Duration> {
        self.life(node)?.draining_since()
    }

    /// The moment since which a node has had so much time until `at`.
    pub(super) fn had(&self, node: &str, time: Duration, at: Duration) -> Duration {
        self.life(node).map_or(at.saturating_sub(time), |life| life.had(time, at))
    }

    /// A node finds other rules for a tenant on its disk.
    pub(super) fn set_rules(&mut self, node: &str, tenant: &str, rules: Rules, now: Duration) {
        self.documents.entry((node.to_owned(), tenant.to_owned())).or_default().push((now, rules));
    }

    /// Every document of a tenant that a node may have acted by since a moment.
    pub(super) fn rules_since(&self, node: &str, tenant: &str, since: Duration) -> Vec<&Rules> {
        let Some(known) = self.documents.get(&(node.to_owned(), tenant.to_owned())) else {
            return Vec::new();
        };
        let old = known.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        known[old..].iter().map(|(_, rules)| rules).collect()
    }
}

/// What a fault hurts while it lasts.
pub(super) fn parts_of(fault: &Fault) -> Vec<Part> {
    let ways = |from: &[String], to: &[String]| {
        let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (from.clone(), to.clone())));
        pairs.filter(|(from, to)| from != to).map(|(from, to)| Part::Way(from, to)).collect::<Vec<_>>()
    };
    match fault {
        Fault::Cut { from, to } | Fault::Link { from, to, .. } => ways(from, to),
        Fault::Partition { groups } => {
            let pairs = groups.iter().flat_map(|one| groups.iter().map(move |other| (one, other)));
            pairs.filter(|(one, other)| one != other).flat_map(|(one, other)| ways(one, other)).collect()
        }
        Fault::Backends { regions, tenant, .. } => {
            regions.iter().map(|region| Part::Backends(region.clone(), tenant.clone())).collect()
        }
        Fault::Geo { nodes, .. } => nodes.iter().cloned().map(Part::Geo).collect(),
        Fault::Document { nodes, tenant, .. } => {
            nodes.iter().map(|node| Part::Document(node.clone(), tenant.clone())).collect()
        }
        // Whether a node is hurt is told by what becomes of its process. Wrong clocks and names may hurt nobody: clocks
        // are not compared, and names are needed only by who knows nobody.
        Fault::Crash { .. }
        | Fault::Stall { .. }
        | Fault::Drain { .. }
        | Fault::Upgrade { .. }
        | Fault::Clock { .. }
        | Fault::Names { .. } => Vec::new(),
    }
}

/// The regions that rules permit for a client.
pub(super) fn permitted(rules: &Rules, fleet: &FleetPlan, client: Whereabouts) -> BTreeSet<String> {
    let permission = match client {
        _ if rules.by_client.is_empty() => &rules.everybody,
        Whereabouts::In(country) => {
            let rule = rules.by_client.iter().find(|(when, _)| speaks_of(when, country));
            rule.map_or(&rules.everybody, |(_, permission)| permission)
        }
        Whereabouts::Nowhere => {
            let home = rules.home.iter().filter(|_| rules.unknown == Unknown::Home);
            return home.cloned().collect();
        }
    };
    in_reach(permission, fleet)
}

/// The regions that rules permit for any client.
pub(super) fn permitted_to_anybody(rules: &Rules, fleet: &FleetPlan) -> BTreeSet<String> {
    let permissions = rules.by_client.iter().map(|(_, permission)| permission).chain([&rules.everybody]);
    let home = rules.home.iter().filter(|_| rules.unknown == Unknown::Home && !rules.by_client.is_empty());
    permissions.flat_map(|permission| in_reach(permission, fleet)).chain(home.cloned()).collect()
}

fn in_reach(permission: &Permission, fleet: &FleetPlan) -> BTreeSet<String> {
    let reaches =
        |reach: &Reach, region: &RegionPlan| reach.0.iter().any(|place| places::includes(place, region));
    let allowed = fleet.regions.iter().filter(|region| {
        !reaches(&permission.deny, region)
            && (reaches(&permission.allow, region)
                || permission.fallback.iter().any(|tier| reaches(tier, region)))
    });
    allowed.map(|region| region.name.clone()).collect()
}

fn speaks_of(reach: &Reach, country: Country) -> bool {
    reach.0.iter().any(|place| places::includes_country(place, country))
}

#[cfg(test)]
mod tests;
