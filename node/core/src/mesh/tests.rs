//! The state of the mesh as one value.

use super::*;
use crate::decide::testing::{exceptions, peer, region, region_state, tenant_id};

fn state(costs: &[u32]) -> MeshState {
    let regions = costs.iter().map(|cost| region_state(*cost, 0.0, Vec::new())).collect();
    MeshState { regions, preference: Preference::default() }
}

#[test]
fn without_a_preference_cost_decides_and_then_the_name() {
    let state = state(&[20, 10, 10]);
    assert_eq!(state.prefer(region(0), region(1), 0), region(1));
    assert_eq!(state.prefer(region(2), region(1), 0), region(1));
    assert_eq!(state.prefer(region(9), region(0), 0), region(0), "what is not known is furthest");
}

#[test]
fn a_preference_outweighs_the_cost_of_the_moment() {
    let mut machine = PreferenceMachine::default();
    let standing = |cost| Standing { cost: Cost(cost), load: 0.0, measured: true };
    machine.update(&[standing(10_000), standing(20_000)], crate::Moment::default());
    let state = MeshState { preference: machine.preference(), ..state(&[20, 10]) };
    assert_eq!(state.prefer(region(0), region(1), 0), region(0));
    assert_eq!(state.prefer(region(1), region(0), u32::MAX), region(0));
}

#[test]
fn a_region_is_overloaded_from_its_hard_limit_on() {
    assert!(!region_state(0, 0.949, Vec::new()).is_overloaded());
    assert!(region_state(0, 0.95, Vec::new()).is_overloaded());
}

#[test]
fn only_usable_peers_serve_and_only_tenants_they_do_not_except() {
    let mut peer = peer(1, Condition::Usable);
    peer.exceptions = exceptions(&["a"]);
    assert!(peer.can_serve(&Sought::new(&tenant_id("b"))) && !peer.can_serve(&Sought::new(&tenant_id("a"))));
    for condition in [Condition::Suspect, Condition::Draining, Condition::Unreachable] {
        peer.condition = condition;
        assert!(!peer.can_serve(&Sought::new(&tenant_id("b"))));
    }
}

#[test]
fn a_peer_with_too_many_exceptions_is_able_until_it_refuses() {
    let mut peer = peer(1, Condition::Usable);
    peer.exceptions = Arc::new(Exceptions { tenants: Vec::new(), many: true }.into());
    assert!(peer.can_serve(&Sought::new(&tenant_id("a"))));
}
