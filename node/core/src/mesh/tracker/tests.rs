//! The whole mesh through one door.

use proptest::prelude::*;

use super::*;
use crate::decide::testing::{fleet, region, tenant_id};
use crate::mesh::{Condition, Cost, ExceptionsDigest, Report, Sought};

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn region_name(at: usize) -> RegionName {
    format!("r{at:03}").parse().unwrap()
}

fn report(load: f32) -> Report {
    Report {
        load,
        draining: false,
        fleet_version: 1,
        policy_digest: [0; 32],
        exceptions: ExceptionsDigest::NONE,
    }
}

/// What a peer says at once when it hears probe `heard`.
fn answer(heard: u64, report: Report) -> Probe {
    Probe { seq: heard, heard, at_once: true, wanted: false, deaf: false, report }
}

/// A tracker in region 0 of three.
fn tracker() -> Tracker {
    Tracker::new(&region_name(0), &fleet(3), at(0))
}

/// Follows and connects a node that answers one probe after `rtt` milliseconds.
fn add(tracker: &mut Tracker, node: &str, region: usize, rtt: u64, load: f32) -> PeerId {
    let id = tracker.add(&name(node), &region_name(region)).unwrap();
    tracker.connected(id, at(0));
    tracker.probe_sent(id, 1, at(1));
    tracker.heard(id, &answer(1, report(load)), at(1 + rtt));
    id
}

fn events(tracker: &mut Tracker) -> Vec<MeshEvent> {
    std::iter::from_fn(|| tracker.poll_event()).collect()
}

fn cost(state: &MeshState, at: usize) -> Cost {
    state.region(region(at)).unwrap().cost
}

#[test]
fn before_anything_is_known_distance_decides_and_the_own_region_is_here() {
    let mut tracker = tracker();
    let state = tracker.poll_state().unwrap();
    // A degree on the equator is 111.2 km: 1.113 ms there and back in glass.
    assert_eq!(cost(&state, 0), Cost(0));
    assert!(cost(&state, 1).0.abs_diff(1_113) <= 1 && cost(&state, 2).0.abs_diff(2_225) <= 2);
    assert_eq!(state.prefer(region(2), region(1), 0), region(1));
}

#[test]
fn a_region_is_as_near_as_its_nearest_node_and_as_busy_as_the_mean() {
    let mut tracker = tracker();
    add(&mut tracker, "b", 1, 30, 0.9);
    add(&mut tracker, "a", 1, 20, 1.0);
    let leaving = add(&mut tracker, "c", 1, 40, 0.0);
    tracker.probe_sent(leaving, 2, at(50));
    tracker.heard(leaving, &answer(2, Report { draining: true, ..report(0.0) }), at(90));
    tracker.handle_timeout(at(100), Duration::ZERO);
    let state = tracker.poll_state().unwrap();
    let region = &state.regions[1];
    assert!((region.load - 0.95).abs() < 1e-6, "one that is leaving does not count");
    assert!(region.cost.0.abs_diff(70_000) <= 1);
    let names: Vec<_> = region.peers.iter().map(|peer| peer.node.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn the_own_load_counts_in_the_own_region() {
    let mut tracker = tracker();
    add(&mut tracker, "a", 0, 30, 0.5);
    tracker.set_own_load(1.5);
    tracker.handle_timeout(at(100), Duration::ZERO);
    let state = tracker.poll_state().unwrap();
    assert!((state.regions[0].load - 1.0).abs() < 1e-6);
    assert!(cost(&state, 0).0.abs_diff(62_500) <= 1, "no way, only load: {:?}", cost(&state, 0));
}

#[test]
fn a_node_that_is_gone_no_longer_measures_the_way_while_another_does() {
    let mut tracker = tracker();
    let near = add(&mut tracker, "near", 1, 5, 0.0);
    add(&mut tracker, "far", 1, 50, 0.0);
    tracker.disconnected(near, at(60));
    tracker.handle_timeout(at(100), Duration::ZERO);
    assert_eq!(cost(&tracker.poll_state().unwrap(), 1), Cost(50_000));
}

#[test]
fn suspicion_is_published_at_its_deadline_and_said() {
    let mut tracker = tracker();
    let id = add(&mut tracker, "a", 1, 20, 0.0);
    tracker.probe_sent(id, 2, at(101));
    let mut now = at(101);
    while tracker.peer(id).unwrap().condition() == Condition::Usable {
        now = tracker.poll_timeout().unwrap();
        assert!(now <= at(500), "a dead peer is noticed");
        tracker.handle_timeout(now, Duration::ZERO);
    }
    // It was heard at 21 ms, and may be silent for max(250 ms, 3 x 20 ms) - 10 ms - 10 ms.
    assert_eq!(now, at(251));
    let state = tracker.poll_state().unwrap();
    assert_eq!(state.regions[1].peers[0].condition, Condition::Suspect);
    let after = Duration::from_millis(230);
    let (connected, suspected) =
        (MeshEvent::PeerConnected { node: name("a") }, MeshEvent::PeerSuspected { node: name("a"), after });
    assert_eq!(events(&mut tracker), [connected, suspected]);
    tracker.heard(id, &answer(2, report(0.0)), at(300));
    assert_eq!(events(&mut tracker), [MeshEvent::PeerTrusted { node: name("a") }]);
    assert_eq!(tracker.poll_state().unwrap().regions[1].peers[0].condition, Condition::Usable);
}

#[test]
fn a_refusal_keeps_a_tenant_away_for_a_second() {
    let mut tracker = tracker();
    let id = add(&mut tracker, "a", 1, 20, 0.0);
    let shop = tenant_id("shop");
    let can_serve = |tracker: &Tracker| tracker.state().regions[1].peers[0].can_serve(&Sought::new(&shop));
    tracker.poll_state();
    assert!(can_serve(&tracker));
    tracker.refused(id, &shop, at(50));
    assert!(tracker.poll_state().is_some());
    assert!(!can_serve(&tracker));
    tracker.heard(id, &answer(1, report(0.0)), at(1_040));
    tracker.handle_timeout(at(1_049), Duration::ZERO);
    tracker.poll_state();
    assert!(!can_serve(&tracker));
    tracker.handle_timeout(at(1_050), Duration::ZERO);
    tracker.poll_state();
    assert!(can_serve(&tracker));
}

#[test]
fn numbers_are_kept_and_not_given_again_soon() {
    let mut tracker = tracker();
    let a = tracker.add(&name("a"), &region_name(1)).unwrap();
    assert_eq!(tracker.add(&name("a"), &region_name(1)), Some(a));
    tracker.remove(a);
    let b = tracker.add(&name("b"), &region_name(1)).unwrap();
    let moved = tracker.add(&name("b"), &region_name(2)).unwrap();
    assert!(a != b && b != moved && a != moved);
    let state = tracker.poll_state().unwrap();
    assert!(state.regions[1].peers.is_empty());
    assert_eq!(state.regions[2].peers[0].id, moved);
}

#[test]
fn so_many_peers_and_no_more_are_followed() {
    let mut tracker = tracker();
    let added =
        (0..PEERS_MAX + 5).filter_map(|at| tracker.add(&name(&format!("n{at}")), &region_name(1))).count();
    assert_eq!(added, PEERS_MAX as usize);
}

#[test]
fn names_may_come_and_go_without_end_and_numbers_stay_small_and_rest_long() {
    let mut tracker = tracker();
    let mut recent = VecDeque::new();
    for at in 0..3 * PEERS_MAX {
        let id = tracker.add(&name(&format!("n{at}")), &region_name(1)).unwrap();
        assert!(id.0 < PEERS_MAX, "tables by number have no place for {id:?}");
        assert!(!recent.contains(&id), "something may still be reported of who had {id:?}");
        recent.push_back(id);
        if recent.len() > 1_000 {
            recent.pop_front();
        }
        if at >= 100 {
            let gone = tracker.find(&name(&format!("n{}", at - 100))).unwrap().0;
            tracker.remove(gone);
        }
    }
}

#[test]
fn another_fleet_renumbers_regions_and_keeps_what_is_known() {
    let mut tracker = tracker();
    add(&mut tracker, "a", 2, 40, 0.0);
    tracker.handle_timeout(at(100), Duration::ZERO);
    let mut smaller = fleet(3);
    smaller.regions.remove(1);
    tracker.set_fleet(&smaller, at(150));
    let state = tracker.poll_state().unwrap();
    assert_eq!(state.regions.len(), 2);
    assert_eq!((cost(&state, 0), cost(&state, 1)), (Cost(0), Cost(40_000)));
    assert_eq!(state.regions[1].peers.len(), 1);
    assert_eq!(state.prefer(region(0), region(1), 0), region(0));

    smaller.regions.remove(1);
    tracker.set_fleet(&smaller, at(160));
    assert_eq!(tracker.poll_state().unwrap().regions.len(), 1, "its node waits until its region is back");
    tracker.set_fleet(&fleet(3), at(170));
    assert_eq!(tracker.poll_state().unwrap().regions[2].peers.len(), 1);
}

#[test]
fn a_fleet_without_the_own_region_leaves_only_the_others() {
    let mut tracker = Tracker::new(&"nowhere".parse().unwrap(), &fleet(2), at(0));
    assert!(tracker.poll_state().unwrap().regions.iter().all(|region| region.cost == Cost(500_000)));
}

#[test]
fn a_state_is_handed_out_once() {
    let mut tracker = tracker();
    assert!(tracker.poll_state().is_some());
    assert!(tracker.poll_state().is_none());
    let id = add(&mut tracker, "a", 1, 20, 0.0);
    assert!(tracker.poll_state().is_some());
    tracker.probe_sent(id, 2, at(50));
    assert!(tracker.poll_state().is_none(), "sending a probe changes nothing");
}

#[test]
fn strangers_are_ignored() {
    let mut tracker = tracker();
    tracker.poll_state();
    let stranger = PeerId(77);
    tracker.connected(stranger, at(1));
    tracker.heard(stranger, &answer(1, report(1.0)), at(2));
    tracker.refused(stranger, &tenant_id("a"), at(3));
    tracker.remove(stranger);
    assert!(tracker.poll_state().is_none() && events(&mut tracker).is_empty());
}

proptest! {
    #[test]
    fn every_timeout_that_is_handled_is_over(
        inputs in proptest::collection::vec((0u8..9, 0u32..6, 0u64..400), 0..200)
    ) {
        let (mut tracker, mut now) = (tracker(), 0);
        for (input, peer, wait) in inputs {
            now += wait;
            let (id, moment) = (PeerId(peer), at(now));
            match input {
                0 | 1 => { tracker.add(&name(&format!("n{peer}")), &region_name(peer as usize % 4)); }
                2 => tracker.connected(id, moment),
                3 => tracker.disconnected(id, moment),
                4 => tracker.probe_sent(id, wait, moment),
                5 => tracker.heard(id, &answer(wait, report(wait as f32 / 200.0)), moment),
                6 => tracker.refused(id, &tenant_id("shop"), moment),
                7 => tracker.unanswered(id, at(now.saturating_sub(wait)), moment),
                _ => tracker.set_fleet(&fleet(1 + peer as usize), moment),
            }
            tracker.handle_timeout(moment, Duration::ZERO);
            prop_assert!(tracker.poll_timeout().is_some_and(|next| next > moment));
            if let Some(state) = tracker.poll_state() {
                for region in &state.regions {
                    prop_assert!(region.peers.is_sorted_by(|a, b| a.node < b.node));
                    prop_assert!(region.load.is_finite());
                }
            }
        }
    }
}
