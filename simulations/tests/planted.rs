//! Mistakes that a node could make are noticed: each is planted into running nodes, and an invariant names it.
//!
//! They are planted from outside, in what a node decides by: its snapshot is replaced by one that a mistaken node would
//! have acted on. The node's code has no switch for it, in no build. What is judged is what clients and backends saw.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::sync::Arc;

use graticule::shared::Shared;
use graticule::task;
use graticule_node_core::document::Source;
use graticule_node_core::mesh::{Condition, MeshState};
use graticule_node_core::policy::{Permission, Policy};
use graticule_node_core::{RegionIndex, Snapshot};
use graticule_sim::Simulation;
use graticule_sim::fleet::Fleet;
use graticule_sim::outcome::Outcome;
use graticule_sim::run::{Tamper, run, run_tampered};
use graticule_sim::scenario::Scenario;

const STAGE: &str = r#"
title = "Stage for mistakes"
duration = "12s"
convergence = "6s"

[regions.eu-central]
country = "DE"
latitude = 50.11
longitude = 8.68
nodes = 2

[regions.eu-west]
country = "IE"
latitude = 53.35
longitude = -6.26
nodes = 2

[regions.us-east]
country = "US"
latitude = 39.04
longitude = -77.49

[tenants.union]
pools = ["any"]
residency = { allow = ["set:EU"] }

[load.union]
tenant = "union"
edges = ["us-east-1"]
per_second = 40
"#;

const DEAD_REGION: &str =
    "\n[[fault]]\nkind = \"crash\"\nat = \"4s\"\nnodes = [\"region:eu-central\", \"region:eu-west\"]\n";
const DEAD_NODE: &str = "\n[[fault]]\nkind = \"crash\"\nat = \"4s\"\nnodes = [\"eu-west-1\"]\n";
const LEAVING_NODE: &str = "\n[[fault]]\nkind = \"drain\"\nat = \"4s\"\nnodes = [\"eu-west-1\"]\n";

const STALLED_EDGE: &str =
    "\n[[fault]]\nkind = \"stall\"\nat = \"2s\"\nfor = \"3s\"\nnodes = [\"us-east-1\"]\n";
const NARROWED: &str = "\n[[fault]]\nkind = \"document\"\nat = \"3s\"\nnodes = [\"us-east-1\"]\ntenant = \"union\"\nresidency = { allow = [\"country:DE\"] }\n";

fn outcome(fault: &str, tamper: Option<Tamper>) -> Outcome {
    let (scenario, found) =
        Scenario::parse("planted", &Source::new("planted.toml", format!("{STAGE}{fault}")));
    let scenario = scenario.unwrap_or_else(|| panic!("{found:?}"));
    match tamper {
        Some(tamper) => run_tampered(&scenario, 1, tamper).unwrap(),
        None => run(&scenario, 1).unwrap(),
    }
}

/// The invariants that were violated, each once.
fn violated(outcome: &Outcome) -> Vec<&str> {
    let mut names: Vec<_> = outcome.violations.iter().map(|violation| &*violation.invariant).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Lets every node decide by what `mistake` makes of its snapshots, from one published to the next.
fn plant(fleet: &Fleet, mistake: fn(&mut Snapshot)) {
    for machine in fleet.machines() {
        let shared: Arc<Shared> = machine.shared().unwrap();
        task::spawn_detached("mistake", async move {
            let mut published = shared.published();
            loop {
                shared.update(mistake);
                published.mark_unchanged();
                if published.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Whoever is in one of these conditions can be given requests, this node thinks.
fn take_for_usable(mesh: &MeshState, conditions: &[Condition]) -> MeshState {
    let mut mistaken = mesh.clone();
    for peer in mistaken.regions.iter_mut().flat_map(|region| &mut region.peers) {
        if conditions.contains(&peer.condition) {
            peer.condition = Condition::Usable;
        }
    }
    mistaken
}

fn suspects_are_used(_: &Simulation, fleet: &Fleet) {
    plant(fleet, |snapshot| {
        snapshot.mesh =
            Arc::new(take_for_usable(&snapshot.mesh, &[Condition::Suspect, Condition::Unreachable]));
    });
}

fn leavers_are_used(_: &Simulation, fleet: &Fleet) {
    plant(fleet, |snapshot| {
        snapshot.mesh = Arc::new(take_for_usable(&snapshot.mesh, &[Condition::Draining]));
    });
}

/// Once no peer of an allowed region answers, no rule is asked any more: what a retry would do that skips residency.
fn retries_forget_the_rules(_: &Simulation, fleet: &Fleet) {
    plant(fleet, |snapshot| {
        let able = |region: &str| {
            let index = snapshot.policy.fleet.regions.iter().position(|known| known.name.as_str() == region);
            let peers = index.and_then(|index| snapshot.mesh.regions.get(index)).map(|state| &state.peers);
            peers.is_some_and(|peers| peers.iter().any(|peer| peer.condition == Condition::Usable))
        };
        if snapshot.here.node.as_str() == "us-east-1" && !able("eu-central") && !able("eu-west") {
            snapshot.policy = Arc::new(lawless(&snapshot.policy));
        }
    });
}

/// A node beyond the ocean acts as if it were where its tenant may be.
fn a_node_mistakes_its_place(_: &Simulation, fleet: &Fleet) {
    plant(fleet, |snapshot| {
        let regions = &snapshot.policy.fleet.regions;
        let union = regions.iter().position(|region| region.name.as_str() == "eu-central");
        if snapshot.here.node.as_str() == "us-east-1"
            && let Some(region) = union.and_then(RegionIndex::new)
        {
            snapshot.here.region = region;
        }
    });
}

/// Every node goes on as the first document allowed, whatever newer ones say.
fn newer_documents_are_ignored(_: &Simulation, fleet: &Fleet) {
    plant(fleet, |snapshot| {
        let regions = &snapshot.policy.fleet.regions;
        let union = regions.iter().enumerate().filter(|(_, region)| region.name.as_str().starts_with("eu-"));
        let union = union.filter_map(|(index, _)| RegionIndex::new(index)).collect();
        let mut policy = Policy::clone(&snapshot.policy);
        for tenant in &mut policy.tenants {
            Arc::make_mut(tenant).residency.permission = Permission::new([union]);
        }
        snapshot.policy = Arc::new(policy);
    });
}

/// The same policy, with every region allowed to everybody.
fn lawless(policy: &Policy) -> Policy {
    let mut lawless = policy.clone();
    for tenant in &mut lawless.tenants {
        let mut allowed = (**tenant).clone();
        let everywhere = (0..policy.fleet.regions.len()).filter_map(RegionIndex::new).collect();
        allowed.residency.permission = Permission::new([everywhere]);
        *tenant = Arc::new(allowed);
    }
    lawless
}

#[test]
fn nodes_without_mistakes_violate_nothing() {
    for fault in [DEAD_REGION, DEAD_NODE, LEAVING_NODE] {
        assert_eq!(violated(&outcome(fault, None)), [""; 0], "{fault}");
    }
}

#[test]
fn a_retry_that_does_not_ask_for_residency_is_caught() {
    let outcome = outcome(DEAD_REGION, Some(retries_forget_the_rules));
    assert_eq!(
        violated(&outcome),
        ["recorded-in-place", "served-in-place"],
        "what is served is recorded, too"
    );
}

#[test]
fn a_node_that_records_where_the_rules_forbid_it_is_caught() {
    let outcome = outcome("", Some(a_node_mistakes_its_place));
    assert_eq!(violated(&outcome), ["recorded-in-place"]);
}

#[test]
fn a_suspect_peer_that_is_still_used_is_caught() {
    let outcome = outcome(DEAD_NODE, Some(suspects_are_used));
    assert!(violated(&outcome).contains(&"suspects-are-spared"), "{:?}", violated(&outcome));
}

#[test]
fn a_draining_node_that_is_still_chosen_is_caught() {
    let outcome = outcome(LEAVING_NODE, Some(leavers_are_used));
    assert!(violated(&outcome).contains(&"not-by-who-leaves"), "{:?}", violated(&outcome));
}

#[test]
fn a_node_that_stood_still_may_act_by_what_it_had_then_and_is_caught_when_it_goes_on_so() {
    let outcome = outcome(&format!("{STALLED_EDGE}{NARROWED}"), Some(newer_documents_are_ignored));
    let first = outcome.violations.iter().find(|found| found.invariant == "served-in-place").unwrap();
    // It goes on after 5 s, and has 5 s then to read what is new.
    assert!((10_000..11_000).contains(&first.at_ms), "{first:?}");
}

/// So that the tests above fail for the mistake and not for the planting.
#[test]
fn planting_nothing_changes_nothing() {
    let plant_nothing: Tamper = |_, fleet| plant(fleet, |_| {});
    let outcome = outcome(DEAD_NODE, Some(plant_nothing));
    assert_eq!(violated(&outcome), [""; 0]);
}
