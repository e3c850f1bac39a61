//! What becomes of probes, silence and refusals over time.

use std::time::Duration;

use graticule_node_core::framing::Probe;
use graticule_node_core::mesh::{Condition, ExceptionsDigest};

use super::*;
use crate::task::{self, Task};
use crate::testing::{eventually, policy, run as on_runtime, snapshot, target};

fn report(load: f32) -> Report {
    Report {
        load,
        draining: false,
        fleet_version: 3,
        policy_digest: [0; 32],
        exceptions: ExceptionsDigest::NONE,
    }
}

/// What a peer says at once when it hears probe `heard`.
fn answer(heard: u64, load: f32) -> Probe {
    Probe { seq: heard, heard, at_once: true, wanted: false, deaf: false, report: report(load) }
}

/// Tracking of `edge-1` in `us`, driven.
fn start() -> (Rc<Tracking>, Arc<Shared>, Task) {
    let snapshot = snapshot(policy(&[]), ("edge-1", "us"), &[]);
    let world = World::system();
    let tracking = Tracking::new(
        world,
        &"us".parse().unwrap(),
        &snapshot.policy.fleet,
        (report(0.0), Exceptions::default()),
    );
    let tracking = Rc::new(tracking);
    let (shared, refusals) = Shared::new(snapshot, 1);
    let shared = Arc::new(shared);
    let task = task::spawn("tracking", run(Rc::clone(&tracking), Arc::clone(&shared), refusals));
    (tracking, shared, task)
}

fn node(tracking: &Tracking) -> PeerTarget {
    let address = "192.0.2.1:7400".parse().unwrap();
    let id = tracking.add(&"node-1".parse().unwrap(), &"eu".parse().unwrap()).unwrap();
    let target = PeerTarget { id, ..target(0, "node-1", "eu", address) };
    tracking.keep(&target);
    target
}

fn condition(shared: &Shared) -> Option<Condition> {
    let snapshot = shared.snapshot();
    snapshot.mesh.regions.iter().flat_map(|region| &region.peers).map(|peer| peer.condition).next()
}

#[test]
fn a_peer_that_answers_is_usable_and_one_that_does_not_is_suspect() {
    on_runtime(async {
        let (tracking, shared, _task) = start();
        let node = node(&tracking);
        tracking.connected(node.id);
        tracking.probe_sent(node.id, 1);
        tracking.heard(node.id, &answer(1, 0.25));
        eventually("it is usable", || condition(&shared) == Some(Condition::Usable)).await;
        tracking.probe_sent(node.id, 2);
        eventually("it is suspect", || condition(&shared) == Some(Condition::Suspect)).await;
        tracking.heard(node.id, &answer(2, 0.25));
        eventually("it is trusted again", || condition(&shared) == Some(Condition::Usable)).await;
        assert!((tracking.tunnels().borrow()[0].load - 0.25).abs() < 0.01);
    });
}

#[test]
fn what_workers_report_counts_like_a_probe() {
    on_runtime(async {
        let (tracking, shared, _task) = start();
        let node = node(&tracking);
        tracking.connected(node.id);
        tracking.probe_sent(node.id, 1);
        tracking.heard(node.id, &answer(1, 0.0));
        eventually("it is usable", || condition(&shared) == Some(Condition::Usable)).await;
        let sent = World::system().clock.now();
        tokio::time::sleep(Duration::from_millis(200)).await;
        shared.suspect(node.id, sent);
        eventually("it is suspect", || condition(&shared) == Some(Condition::Suspect)).await;
    });
}

#[test]
fn why_there_is_no_tunnel_is_said_at_once_also_of_a_peer_that_was_never_reached() {
    on_runtime(async {
        let (tracking, _shared, _task) = start();
        let tunnels = tracking.tunnels();
        let reason = || tunnels.borrow().first().and_then(|tunnel| tunnel.reason.clone());
        let node = node(&tracking);
        eventually("it is listed", || reason().as_deref() == Some("not dialled yet")).await;
        tracking.disconnected(node.id, "no answer for 3000 ms".to_owned());
        eventually("the reason is listed", || reason().as_deref() == Some("no answer for 3000 ms")).await;
        tracking.connected(node.id);
        eventually("it stands", || reason().is_none()).await;
        tracking.remove(node.id);
        eventually("it is listed no longer", || tunnels.borrow().is_empty()).await;
    });
}

#[test]
fn a_report_carries_the_load_that_was_measured() {
    on_runtime(async {
        let (tracking, ..) = start();
        tracking.set_load(0.5);
        tracking.set_report(Report { draining: true, ..report(0.0) }, Exceptions::default());
        let said = tracking.report();
        assert!(said.draining && (said.load - 0.5).abs() < f32::EPSILON);
    });
}
