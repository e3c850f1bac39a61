//! Has anything grown that should not: asked at the end, when every client has its answer.

use super::Stage;
use super::chronicle::Finding;

/// Checks all that can be counted from outside.
pub(super) fn check(stage: &Stage) {
    let nodes = stage.scenario.fleet.node_names().count();
    for machine in stage.fleet.machines() {
        let in_flight = machine.shared().map_or(0, |shared| shared.in_flight.total());
        if in_flight > 0 {
            tell(
                stage,
                machine.name(),
                format!("{in_flight} requests are in flight, and nobody waits for them"),
            );
        }
    }
    let connections = stage.simulation.tcp_connections();
    if connections > nodes * TCP_CONNECTIONS_PER_NODE_MAX {
        tell(stage, "-", format!("{connections} TCP connections are open"));
    }
    let datagrams = stage.simulation.events_waiting();
    if datagrams > nodes * EVENTS_PER_NODE_MAX {
        tell(stage, "-", format!("{datagrams} packets and timers are under way"));
    }
}

fn tell(stage: &Stage, node: &str, what: String) {
    stage.chronicle.violation(Finding { invariant: "nothing-grows", node: Some(node.to_owned()), what });
}

/// Kept to backends, by a node that serves some tenants.
const TCP_CONNECTIONS_PER_NODE_MAX: usize = 500;
const EVENTS_PER_NODE_MAX: usize = 1_000;
