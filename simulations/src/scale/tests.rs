//! A small fleet is measured like a large one.

use super::*;

#[test]
fn what_a_small_fleet_costs_is_measured() {
    let survey = survey(4, 1).unwrap();
    assert_eq!(survey.findings, Vec::<String>::new());
    assert!((2_200..3_000).contains(&survey.requests), "{} requests in 26 s", survey.requests);
    // What is promised of nodes as near as these, and what gossip needs at a quarter of a second.
    assert!(survey.spared_after_death_ms.unwrap() <= 3 * 160 + 10, "{survey:?}");
    assert!((1_000..3_000).contains(&survey.agreed_after_death_ms.unwrap()), "{survey:?}");
    // With three peers at least four probes a second are exchanged, each with an answer.
    assert!(survey.control.messages > 12.0 && survey.control.bytes > survey.gossip.bytes, "{survey:?}");
    assert!((5.0..100.0).contains(&survey.gossip.messages), "{survey:?}");
    assert!(survey.cpu_s > 0.0 && survey.start_cpu_s > 0.0);
}

#[test]
fn fleets_of_all_sizes_are_scenarios() {
    for nodes in [3, 9, 10, 40, 50, 200, NODES_MAX] {
        let scenario = scenario(nodes).unwrap();
        assert_eq!(scenario.fleet.node_names().count(), usize::from(nodes));
        assert!(scenario.last_change() + scenario.convergence <= scenario.duration);
    }
}
