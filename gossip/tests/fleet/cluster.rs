//! A fleet lives: nodes meet, speak, die, return, and are believed.

use std::time::Duration;

use graticule_gossip::{Carrier, Gossip, GossipError, Handover};
use graticule_gossip_core::Generation;
use tokio::sync::mpsc;
use tokio::time::{advance, sleep};

use crate::mesh::{Mesh, Node, announcement, config, name, time_until};

async fn fleet(mesh: &Mesh, size: u8) -> Vec<Node> {
    let mut nodes = Vec::new();
    for n in 1..=size {
        nodes.push(mesh.start(n, 1).await);
    }
    let all = usize::from(size);
    let met =
        time_until("meeting", Duration::from_secs(10), || nodes.iter().all(|node| node.live() == all)).await;
    assert!(met < Duration::from_secs(4), "took {met:?}");
    nodes
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn five_nodes_meet_one_dies_and_returns() {
    let mesh = Mesh::default();
    let mut nodes = fleet(&mesh, 5).await;
    for node in &nodes {
        for other in &nodes {
            let view = node.view.borrow();
            assert_eq!(view.member(&other.announcement.node).unwrap().announcement, other.announcement);
        }
    }

    nodes.remove(2).die();
    let everybody = |nodes: &[Node], belief| nodes.iter().all(|node| node.believes("n3") == Some(belief));
    let seen = time_until("death", Duration::from_secs(5), || everybody(&nodes, (1, false))).await;
    assert!((Duration::from_millis(500)..Duration::from_secs(3)).contains(&seen), "seen after {seen:?}");
    assert!(nodes.iter().all(|node| node.live() == 4));

    let returned = mesh.start(3, 2).await;
    time_until("return", Duration::from_secs(3), || everybody(&nodes, (2, true))).await;
    time_until("catching up", Duration::from_secs(3), || returned.live() == 5).await;
    sleep(Duration::from_secs(10)).await;
    assert!(nodes.iter().all(|node| node.view.borrow().members.len() == 5), "seen once");
    assert!(everybody(&nodes, (2, true)));
    assert!(nodes.iter().all(|node| node.counters().restarts == 0 && node.counters().malformed == 0));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_node_that_returns_before_its_death_is_seen_is_seen_once() {
    let mesh = Mesh::default();
    let mut nodes = fleet(&mesh, 3).await;
    nodes.remove(1).die();
    let _returned = mesh.start(2, 2).await;
    let others = [&nodes[0], &nodes[1]];
    time_until("return", Duration::from_secs(3), || {
        others.iter().all(|n| n.believes("n2") == Some((2, true)))
    })
    .await;
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        assert!(others.iter().all(|node| node.believes("n2") == Some((2, true))));
        assert!(others.iter().all(|node| node.view.borrow().members.len() == 3));
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_change_is_told_and_a_quiet_fleet_is_silent() {
    let mesh = Mesh::default();
    let mut nodes = fleet(&mesh, 5).await;
    sleep(Duration::from_secs(2)).await;
    let mut changed = nodes[0].announcement.clone();
    changed.draining = true;
    changed.fleet_version = 18;
    nodes[0].gossip.announce(changed.clone());
    let told = |node: &Node| node.view.borrow().member(&name("n1")).unwrap().announcement == changed;
    time_until("telling", Duration::from_secs(3), || nodes.iter().all(told)).await;

    for node in &mut nodes {
        node.view.mark_unchanged();
        node.gossip.announce(if node.announcement.node == changed.node {
            changed.clone()
        } else {
            node.announcement.clone()
        });
    }
    sleep(Duration::from_mins(1)).await;
    assert!(nodes.iter().all(|node| !node.view.has_changed().unwrap()));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_announcement_cannot_change_who_speaks() {
    let mesh = Mesh::default();
    let nodes = fleet(&mesh, 2).await;
    let mut changed = announcement("somebody-else", 9, 99);
    changed.software = "0.2.0".to_owned();
    nodes[0].gossip.announce(changed);
    let software = || nodes[1].view.borrow().member(&name("n1")).unwrap().announcement.software.clone();
    time_until("telling", Duration::from_secs(3), || software() == "0.2.0").await;
    assert_eq!(nodes[1].believes("n1"), Some((1, true)));
    assert_eq!(nodes[1].view.borrow().members.len(), 2);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn after_a_lag_a_node_doubts_itself_first() {
    let mesh = Mesh::default();
    let mut nodes = fleet(&mesh, 4).await;
    sleep(Duration::from_secs(5)).await;
    for node in &mut nodes {
        node.view.mark_unchanged();
    }
    // Every loop of this thread is away for five seconds; phi alone would call everybody dead.
    advance(Duration::from_secs(5)).await;
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        assert!(nodes.iter().all(|node| node.live() == 4));
    }
    sleep(Duration::from_secs(10)).await;
    nodes.remove(3).die();
    let seen = || nodes.iter().all(|node| node.live() == 3);
    time_until("death after the doubt", Duration::from_secs(3), seen).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_dead_are_forgotten_after_the_grace() {
    let mesh = Mesh::default();
    let mut nodes = Vec::new();
    for n in 1..=3 {
        let mut config = config(&announcement(&format!("n{n}"), n, 1));
        config.timing.dead_grace = Duration::from_mins(2);
        nodes.push(mesh.start_configured(config).await);
    }
    time_until("meeting", Duration::from_secs(10), || nodes.iter().all(|node| node.live() == 3)).await;
    nodes.remove(2).die();
    sleep(Duration::from_secs(110)).await;
    assert!(nodes.iter().all(|node| node.believes("n3") == Some((1, false))));
    sleep(Duration::from_secs(20)).await;
    assert!(nodes.iter().all(|node| node.believes("n3").is_none()));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_carrier_that_takes_nothing_does_not_hold_gossip_up() {
    let (outbound, _never_read) = mpsc::channel(1);
    let (_inbox, inbound) = mpsc::channel(1);
    let own = announcement("n2", 2, 1);
    let codec = Box::new(Handover::default().codec());
    let gossip = Gossip::start(config(&own), codec, Carrier { outbound, inbound }).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let counters = gossip.counters();
    assert_eq!(counters.sent, 1);
    assert!((30..50).contains(&counters.dropped), "one question each interval: {}", counters.dropped);

    let view = gossip.view();
    gossip.announce(graticule_gossip_core::Announcement { draining: true, ..own });
    let draining = || view.borrow().live().all(|own| own.draining);
    time_until("saying it to oneself", Duration::from_secs(1), draining).await;
    gossip.stop().await;
    assert!(view.has_changed().is_err(), "nobody publishes any more");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_carrier_that_is_gone_does_not_end_gossip() {
    let (outbound, _) = mpsc::channel(1);
    let (_, inbound) = mpsc::channel(1);
    let codec = Box::new(Handover::default().codec());
    let config = config(&announcement("n2", 2, 1));
    let gossip = Gossip::start(config, codec, Carrier { outbound, inbound }).await.unwrap();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(gossip.counters().restarts, 0);
    assert_eq!(gossip.view().borrow().live().count(), 1);
    gossip.stop().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn gossip_that_is_dropped_leaves_nothing_running() {
    let (outbound, mut sent) = mpsc::channel(100);
    let (inbox, inbound) = mpsc::channel(1);
    let codec = Box::new(Handover::default().codec());
    let config = config(&announcement("n2", 2, 1));
    let gossip = Gossip::start(config, codec, Carrier { outbound, inbound }).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    drop(gossip);
    while sent.recv().await.is_some() {}
    assert!(inbox.is_closed());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_address_that_nobody_can_dial_is_an_error_at_the_start() {
    let (outbound, _) = mpsc::channel(1);
    let (_, inbound) = mpsc::channel(1);
    let mut own = announcement("n2", 2, 1);
    own.mesh.base = "0.0.0.0:4400".parse().unwrap();
    let codec = Box::new(Handover::default().codec());
    let refused = Gossip::start(config(&own), codec, Carrier { outbound, inbound }).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, GossipError::NotDialable(_)));
    assert!(error.to_string().contains("0.0.0.0:4400"));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn two_nodes_with_one_name_are_noticed() {
    let mesh = Mesh::default();
    let nodes = fleet(&mesh, 2).await;
    let _double = mesh.start_as(&name("n2"), announcement("n2", 7, 2)).await;
    let noticed = || nodes[1].counters().members_rejected == 1;
    time_until("noticing", Duration::from_secs(5), noticed).await;
    assert_eq!(nodes[1].believes("n2"), Some((1, true)), "everybody believes in itself");
    assert_eq!(nodes[0].believes("n2"), Some((2, true)));
}

/// What gossip costs in a small fleet. Measured: 37 messages and 2.6 kB a second sent by each, without QUIC's part.
#[tokio::test(flavor = "local", start_paused = true)]
async fn six_quiet_nodes_cost_little() {
    const SECONDS: u64 = 60;
    let mesh = Mesh::default();
    let nodes = fleet(&mesh, 6).await;
    sleep(Duration::from_secs(5)).await;
    let sent =
        || nodes.iter().map(|node| (node.counters().sent, node.counters().sent_bytes)).collect::<Vec<_>>();
    let before = sent();
    sleep(Duration::from_secs(SECONDS)).await;
    for ((messages, bytes), (messages_before, bytes_before)) in sent().into_iter().zip(before) {
        let (messages, bytes) = ((messages - messages_before) / SECONDS, (bytes - bytes_before) / SECONDS);
        assert!((10..60).contains(&messages) && bytes < 5_000, "{messages} messages/s, {bytes} bytes/s");
    }
}

#[tokio::test(flavor = "local")]
async fn two_nodes_meet_over_real_bytes() {
    let mesh = Mesh::default();
    let nodes = [mesh.start_real(1).await, mesh.start_real(2).await];
    time_until("meeting", Duration::from_secs(10), || nodes.iter().all(|node| node.live() == 2)).await;
    let believed = nodes[0].view.borrow().member(&name("n2")).unwrap().announcement.clone();
    assert_eq!(believed, nodes[1].announcement);
    assert_eq!(believed.generation, Generation(1));
}
