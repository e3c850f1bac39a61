//! Who is told what, and when.

use super::*;
use crate::testing::{policy, run, snapshot, target};

fn shared() -> (Shared, mpsc::Receiver<(PeerId, TenantId)>) {
    Shared::new(snapshot(policy(&[]), ("node-1", "eu"), &[]), 2)
}

#[test]
fn a_snapshot_is_newer_only_when_it_was_replaced() {
    let (shared, _refusals) = shared();
    let mut published = shared.published();
    let known = shared.snapshot();
    assert!(shared.snapshot_if_newer(&known).is_none());
    assert!(!published.has_changed().unwrap());
    shared.update(|snapshot| snapshot.here.node = "other".parse().unwrap());
    let newer = shared.snapshot_if_newer(&known).unwrap();
    assert_eq!((newer.here.node.as_str(), known.here.node.as_str()), ("other", "node-1"));
    assert!(published.has_changed().unwrap());
    published.mark_unchanged();
}

#[test]
fn the_same_targets_are_no_news() {
    let (shared, _refusals) = shared();
    let mut targets = shared.targets();
    let some = || vec![target(0, "edge-1", "us", "192.0.2.1:1".parse().unwrap())];
    shared.retarget(some());
    assert!(targets.has_changed().unwrap());
    assert_eq!(**targets.borrow_and_update(), some());
    shared.retarget(some());
    assert!(!targets.has_changed().unwrap());
    shared.retarget(Vec::new());
    assert!(targets.has_changed().unwrap());
}

#[test]
fn a_suspect_wakes_the_control_side_once_and_is_taken_once() {
    run(async {
        let (shared, _refusals) = shared();
        shared.suspect(PeerId(3), Moment::from_micros(5));
        shared.suspect(PeerId(3), Moment::from_micros(9));
        shared.suspected().await;
        let suspects = shared.take_suspects();
        assert_eq!(suspects.len(), 1);
        assert_eq!(suspects[0].0, PeerId(3));
        assert!(shared.take_suspects().is_empty());
        shared.suspect(PeerId(PEERS_MAX as u32 + 1), Moment::from_micros(1));
        assert!(shared.take_suspects().is_empty(), "a number beyond the limit is nobody");
    });
}

#[test]
fn refusals_never_wait_and_are_bounded() {
    let (shared, mut refusals) = shared();
    let tenant: TenantId = "acme".parse().unwrap();
    for peer in 0..=REFUSALS_MAX as u32 {
        shared.refused(PeerId(peer), &tenant);
    }
    let mut met = 0;
    while let Ok((peer, _)) = refusals.try_recv() {
        assert_eq!(peer, PeerId(met));
        met += 1;
    }
    assert_eq!(met as usize, REFUSALS_MAX);
}
