//! What is promised of a fleet of forty nodes: a dead one is spared and known to be dead in time.
//!
//! That a fifth of all packets lost for ten minutes evicts nobody is shown by simulations/fleets/forty-loss.toml, which
//! takes minutes: `.ci/fleets` runs it.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use graticule_node_core::document::Source;
use graticule_sim::Link;
use graticule_sim::outcome::Outcome;
use graticule_sim::run::run;
use graticule_sim::scenario::Scenario;

const DEATH: &str = include_str!("../fleets/forty-death.toml");
const DEAD: &str = "eu-west-1";
/// How often the simulation looks at what nodes think.
const LOOK_INTERVAL_MS: u64 = 10;

#[test]
fn a_dead_node_is_spared_by_all_in_time_and_all_agree_within_three_seconds() {
    let (scenario, found) = Scenario::parse("forty-death", &Source::new("forty-death.toml", DEATH));
    let scenario = scenario.unwrap_or_else(|| panic!("{found:?}"));
    let outcome = run(&scenario, 1).unwrap();
    assert_eq!(outcome.findings(), Vec::<String>::new());
    let death = outcome.faults[0].at_ms;
    let survivors: BTreeSet<_> = scenario.fleet.node_names().filter(|node| node != DEAD).collect();

    let spared = spared_at(&outcome, death);
    assert_eq!(spared.keys().cloned().collect::<BTreeSet<_>>(), survivors, "who had a tunnel to it");
    let mut latest = 0;
    for (node, at) in spared {
        let after = u64::try_from(at - death).unwrap();
        let promised = promised_ms(&scenario, &node);
        assert!(after <= promised + LOOK_INTERVAL_MS, "{node} after {after} ms, promised {promised} ms");
        latest = latest.max(after);
    }

    let told = outcome.views.iter().filter(|change| change.about == DEAD && change.at_ms >= death);
    let told: BTreeMap<_, _> =
        told.map(|change| (change.from.clone(), (change.at_ms, change.alive))).collect();
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), survivors, "whom gossip told");
    assert!(told.values().all(|(at, alive)| !alive && at - death <= 3_000), "{told:?}");
    let agreed = told.values().map(|(at, _)| at - death).max().unwrap();
    println!("spared by all {latest} ms after its death; all views agree after {agreed} ms");
}

/// When each node first held the dead for something else than usable: from then on it chose it for no request.
fn spared_at(outcome: &Outcome, death: i64) -> BTreeMap<String, i64> {
    let mut spared = BTreeMap::new();
    let changes = outcome.tunnels.iter().filter(|change| change.to == DEAD && change.at_ms >= death);
    for change in changes {
        assert_ne!(change.condition, "usable", "{change:?}");
        spared.entry(change.from.clone()).or_insert(change.at_ms);
    }
    spared
}

/// max(250 ms, 3 x RTT), from where the nodes are.
fn promised_ms(scenario: &Scenario, node: &str) -> u64 {
    let coordinates = |node| scenario.fleet.region_of(node).unwrap().coordinates;
    let rtt = 2 * Link::between(coordinates(node), coordinates(DEAD)).latency;
    (3 * rtt).max(Duration::from_millis(250)).as_millis() as u64
}
