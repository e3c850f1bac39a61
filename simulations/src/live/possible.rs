//! What can real processes on one machine not do: asked before anything is started.

use graticule_node_core::document::Diagnostic;
use graticule_node_core::document::reading::Page;

use crate::scenario::Scenario;

/// Everything in a scenario's file that only the world in memory can do, with its place and the reason.
pub fn impossible(file: &str, scenario: &Scenario) -> Vec<Diagnostic> {
    let page = Page::new(file);
    for timed in &scenario.faults {
        if let Some(reason) = timed.fault.needs_memory() {
            let message = format!("`{}` cannot happen to real processes: {reason}", timed.fault.kind());
            page.error_with(timed.spot, message, HELP);
        }
    }
    let nodes = scenario.fleet.node_names().count();
    if nodes > NODES_MAX {
        let message = format!("{nodes} nodes are too many for one machine: there can be {NODES_MAX}");
        page.error_with(scenario.regions_spot, message, HELP);
    }
    page.into_diagnostics()
}

const HELP: &str = "rehearse it in memory: graticule-sim run";
/// Relays, and the probes that cross them, grow with the square of it.
const NODES_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use graticule_node_core::document::Source;

    use super::*;

    fn found(nodes: u8, fault: &str) -> Vec<String> {
        let text = format!(
            "title = \"t\"\nduration = \"60s\"\n[regions.a]\ncountry = \"DE\"\nlatitude = 1\nlongitude = 1\n\
             nodes = {nodes}\n[tenants]\n[[fault]]\nat = \"1s\"\nfor = \"1s\"\n{fault}\n"
        );
        let (scenario, found) = Scenario::parse("s", &Source::new("s.toml", text));
        let scenario = scenario.unwrap_or_else(|| panic!("{found:?}"));
        impossible("s.toml", &scenario).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_only_memory_can_do_is_told_with_place_and_reason() {
        assert_eq!(
            found(2, "kind = \"clock\"\nnodes = [\"any\"]\ndrift_ppm = 5"),
            [
                "s.toml:12:8: error: `clock` cannot happen to real processes: processes of one machine share its clock\n  help: rehearse it in memory: graticule-sim run"
            ]
        );
        let names = found(2, "nodes = [\"any\"]\nkind = \"names\"");
        assert!(names[0].starts_with("s.toml:13:8: error: `names` cannot happen"), "{names:?}");
    }

    #[test]
    fn what_processes_can_do_is_possible() {
        for fault in ["kind = \"crash\"", "kind = \"stall\"", "kind = \"crash\"\ndisk = \"lost\""] {
            assert_eq!(found(2, &format!("{fault}\nnodes = [\"any\"]")), [""; 0], "{fault}");
        }
    }

    #[test]
    fn a_machine_has_room_for_some_nodes_only() {
        let found = found(25, "kind = \"stall\"\nnodes = [\"any\"]");
        let expected = "s.toml:3:2: error: 25 nodes are too many for one machine: there can be 24";
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}
