//! A session says only what its node says, holds no more than a fleet says, and tells when it is over.

use std::net::SocketAddr;
use std::sync::Arc;

use chitchat::{DeletionStatus, VersionedValue};
use graticule_gossip_core::{Generation, MeshAddress};

use super::*;
use crate::config::{Timing, chitchat_config};
use crate::lane::{LaneEnd, lane};
use crate::pace::{Pace, Rounds};

fn own() -> Announcement {
    Announcement {
        node: "n1".parse().unwrap(),
        region: "eu-central".parse().unwrap(),
        generation: Generation(1),
        mesh: MeshAddress { base: ([203, 0, 113, 1], 4400).into(), workers: 1 },
        software: "0.1.0".to_owned(),
        fleet_version: 1,
        policy_digest: String::new(),
        draining: false,
    }
}

async fn session() -> (Session, LaneEnd) {
    let own = own();
    let timing = Timing::default();
    let rounds = Rounds::new(&Pace::new(&timing), timing.interval);
    let (lane, end) = lane(own.mesh.base, &Arc::default(), rounds);
    let seeds = [SocketAddr::from(([203, 0, 113, 2], 4400))];
    let config = chitchat_config(&"test-mesh".parse().unwrap(), &own, &seeds, &timing);
    (Session::start(config, &own, &lane).await.unwrap(), end)
}

fn values(chitchat: &Chitchat) -> Vec<(String, String)> {
    let state = chitchat.node_state(chitchat.self_chitchat_id()).unwrap();
    state.key_values().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn said(own: &Announcement) -> Vec<(String, String)> {
    let mut values: Vec<_> =
        own.to_values().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    values.sort();
    values
}

/// Another node that says `bytes` in one value.
fn hear_of(chitchat: &mut Chitchat, node: usize, bytes: usize) {
    let id = ChitchatId::new(format!("f{node}"), 1, ([203, 0, 113, 9], 4400).into());
    let value = VersionedValue { value: "x".repeat(bytes), version: 1, status: DeletionStatus::Set };
    chitchat.reset_node_state_if_update(&id, [("key".to_owned(), value)].into_iter(), 1, 0);
}

#[tokio::test(start_paused = true)]
async fn it_says_what_its_node_says_and_mends_what_others_made_of_it() {
    let (session, _end) = session().await;
    assert_eq!(session.look(values).await.unwrap(), said(&own()));
    let tamper = |chitchat: &mut Chitchat| {
        chitchat.self_node_state().set("smuggled", "contraband");
        chitchat.self_node_state().set("software", "evil");
    };
    session.with(tamper).await.unwrap();
    session.say(&own()).await.unwrap();
    assert_eq!(session.look(values).await.unwrap(), said(&own()));
}

#[tokio::test(start_paused = true)]
async fn saying_the_same_again_tells_peers_nothing() {
    let (session, _end) = session().await;
    let version =
        |chitchat: &Chitchat| chitchat.node_state(chitchat.self_chitchat_id()).unwrap().max_version();
    let before = session.look(version).await.unwrap();
    session.say(&own()).await.unwrap();
    assert_eq!(session.look(version).await.unwrap(), before);
    session.say(&Announcement { draining: true, ..own() }).await.unwrap();
    assert_eq!(session.look(version).await.unwrap(), before + 1, "one value changed");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_names_is_noticed() {
    let (session, _end) = session().await;
    let hear = |chitchat: &mut Chitchat| (1..STARTS_HELD_MAX).for_each(|node| hear_of(chitchat, node, 1));
    session.with(hear).await.unwrap();
    assert_eq!(session.check().await, Ok(()));
    session.with(|chitchat| hear_of(chitchat, STARTS_HELD_MAX, 1)).await.unwrap();
    assert_eq!(session.check().await, Err(Failure::Flooded));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bytes_is_noticed() {
    let (session, _end) = session().await;
    session.with(|chitchat| hear_of(chitchat, 1, HELD_BYTES_MAX / 2)).await.unwrap();
    assert_eq!(session.check().await, Ok(()));
    session.with(|chitchat| hear_of(chitchat, 2, HELD_BYTES_MAX / 2)).await.unwrap();
    assert_eq!(session.check().await, Err(Failure::Flooded));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_call_is_a_failure_and_leaves_no_lock_behind() {
    let (session, _end) = session().await;
    let exhaust = |chitchat: &mut Chitchat| chitchat.self_node_state().set_max_version(u64::MAX);
    session.with(exhaust).await.unwrap();
    assert_eq!(session.say(&Announcement { draining: true, ..own() }).await, Err(Failure::Panicked));
    assert!(session.look(values).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn its_end_is_an_event() {
    let (mut session, _end) = session().await;
    assert!(matches!(session.event().await, SessionEvent::Changed), "it begins by seeing itself");
    session.handle.abort();
    let over = loop {
        if let SessionEvent::Ended(failure) = session.event().await {
            break failure;
        }
    };
    assert_eq!(over, Failure::Died);
}

#[tokio::test(start_paused = true)]
async fn it_stops_in_order_and_says_nothing_more() {
    let (session, mut end) = session().await;
    assert!(end.outbound.recv().await.is_some());
    session.stop().await;
    while end.outbound.try_recv().is_ok() {}
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(end.outbound.is_empty());
}
