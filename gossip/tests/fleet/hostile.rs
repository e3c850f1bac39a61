//! Members of the mesh attack gossip: with noise, with floods, with what chitchat asserts against, with lies.

use std::net::IpAddr;
use std::time::Duration;

use graticule_gossip::GossipConfig;
use graticule_gossip_core::Generation;
use tokio::time::sleep;

use crate::mesh::{Mesh, Node, address, announcement, config, name, time_until};

/// Chitchat's wire format, protocol V1, as a hostile member would write it: blocks uncompressed.
struct Wire(Vec<u8>);

impl Wire {
    fn message(kind: u8) -> Self {
        Self(vec![0x53, 0xB0, 1, kind])
    }

    fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn text(mut self, text: &str) -> Self {
        self.0.extend((text.len() as u16).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    fn id(self, node: &str, generation: u64, at: u8) -> Self {
        let mut wire = self.text(node).number(generation);
        let IpAddr::V4(ip) = address(at).ip() else { unreachable!("test addresses are IPv4") };
        wire.0.push(4);
        wire.0.extend(ip.octets());
        wire.0.extend(address(at).port().to_le_bytes());
        wire
    }

    fn block(mut self, contents: &Self) -> Self {
        self.0.push(2);
        self.0.extend((contents.0.len() as u16).to_le_bytes());
        self.0.extend(&contents.0);
        self.0.push(0);
        self
    }
}

/// A first message that tells of one node.
fn syn(node: &str) -> Vec<u8> {
    let entry = Wire(Vec::new()).id(node, 1, 99).number(1).number(0).number(1);
    Wire::message(0).block(&entry).text("test-mesh").0
}

/// A last message that sets a value of somebody.
fn forged_value(start: (&str, u64, u8), key: &str, value: &str, version: u64) -> Vec<u8> {
    let (node, generation, at) = start;
    let mut delta = Wire(vec![0]).id(node, generation, at).number(0).number(0);
    delta.0.push(1);
    delta = delta.text(key).text(value).number(version);
    delta.0.push(0);
    Wire::message(2).block(&delta).0
}

/// Noise, the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize
    }

    fn text(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b'!' + (self.next() % 90) as u8)).collect()
    }

    fn alter(&mut self, message: &[u8]) -> Vec<u8> {
        let mut altered = message.to_vec();
        for _ in 0..=self.next() % 3 {
            let at = self.next() % altered.len();
            altered[at] = self.next() as u8;
        }
        if self.next().is_multiple_of(4) {
            altered.truncate(self.next() % message.len());
        }
        altered
    }
}

async fn two_real_nodes(mesh: &Mesh) -> [Node; 2] {
    let nodes = [mesh.start_real(1).await, mesh.start_real(2).await];
    time_until("meeting", Duration::from_secs(10), || nodes.iter().all(|node| node.live() == 2)).await;
    nodes
}

/// Gossip still works: what the first node says now is believed by the second.
async fn assert_heard(nodes: &[Node; 2]) {
    let mut changed = nodes[0].announcement.clone();
    changed.fleet_version += 1_000;
    nodes[0].gossip.announce(changed);
    let version =
        || nodes[1].view.borrow().member(&name("n1")).map(|member| member.announcement.fleet_version);
    time_until("hearing", Duration::from_secs(20), || version() == Some(1_017)).await;
}

#[tokio::test(flavor = "local")]
async fn hostile_bytes_do_not_stop_gossip() {
    let mesh = Mesh::default();
    let nodes = two_real_nodes(&mesh).await;
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for round in 0..40 {
        for _ in 0..16 {
            let overheard =
                mesh.overheard.borrow().iter().map(|sent| sent.message.clone()).collect::<Vec<_>>();
            let chosen = noise.next() % overheard.len();
            let altered = noise.alter(&overheard[chosen]);
            let junk = noise.text(noise.0 as usize % 2_000).into_bytes();
            mesh.inject(1, 50 + round, &format!("mallory-{round}"), altered);
            mesh.inject(1, 50 + round, &format!("mallory-{round}"), junk);
        }
        mesh.inject(1, 50 + round, "mallory", vec![0x53; 70_000]);
        sleep(Duration::from_millis(20)).await;
    }
    assert!(nodes[0].counters().malformed > 100, "{:?}", nodes[0].counters());
    assert_heard(&nodes).await;
}

#[tokio::test(flavor = "local")]
async fn a_flood_that_kills_chitchat_is_survived_under_a_newer_generation() {
    let mesh = Mesh::default();
    let nodes = two_real_nodes(&mesh).await;
    let mut noise = Noise(7);
    // What is known of two such names does not fit into one message, and chitchat asserts that it does.
    for _ in 0..3 {
        assert!(mesh.inject(1, 66, "mallory", syn(&noise.text(60_000))));
    }
    time_until("falling", Duration::from_secs(5), || nodes[0].counters().restarts == 1).await;
    assert_eq!(nodes[0].live(), 2, "the last view stands");
    let newer = || nodes[1].believes("n1") == Some((1_000, true));
    time_until("returning", Duration::from_secs(20), newer).await;
    assert_heard(&nodes).await;
}

#[tokio::test(flavor = "local")]
async fn a_forged_own_value_is_mended() {
    let mesh = Mesh::default();
    let nodes = two_real_nodes(&mesh).await;
    assert!(mesh.inject(1, 66, "mallory", forged_value(("n1", 1, 1), "software", "evil", 40)));
    assert!(mesh.inject(1, 66, "mallory", forged_value(("n1", 1, 1), "smuggled", "contraband", 41)));
    assert!(mesh.inject(2, 66, "mallory", forged_value(("n1", 1, 1), "software", "evil", 40)));
    let software =
        |node: &Node| node.view.borrow().member(&name("n1")).unwrap().announcement.software.clone();
    time_until("the lie", Duration::from_secs(5), || software(&nodes[1]) == "evil").await;
    assert_eq!(software(&nodes[0]), "0.1.0", "a node believes itself");
    time_until("the truth", Duration::from_secs(5), || software(&nodes[1]) == "0.1.0").await;
    assert_eq!(nodes[0].counters().restarts, 0);
}

#[tokio::test(flavor = "local")]
async fn a_forged_last_version_is_escaped_by_a_newer_generation() {
    let mesh = Mesh::default();
    let nodes = two_real_nodes(&mesh).await;
    assert!(mesh.inject(1, 66, "mallory", forged_value(("n1", 1, 1), "software", "evil", u64::MAX)));
    time_until("falling", Duration::from_secs(5), || nodes[0].counters().restarts == 1).await;
    time_until("returning", Duration::from_secs(20), || nodes[1].believes("n1") == Some((1_000, true))).await;
    assert_heard(&nodes).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn who_calls_itself_another_is_not_believed() {
    let mesh = Mesh::default();
    let honest = [mesh.start(1, 1).await, mesh.start(2, 1).await, mesh.start(3, 1).await];
    let liar = mesh.start_as(&name("mallory"), announcement("zoe", 9, 1)).await;
    time_until("listening", Duration::from_secs(10), || liar.live() == 4).await;
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        let fooled = honest.iter().filter(|node| node.believes("zoe") == Some((1, true))).count();
        assert!(fooled == 0, "{fooled} nodes believe in zoe");
    }
    assert!(honest.iter().all(|node| node.counters().members_rejected == 1 && node.live() == 3));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn another_mesh_is_not_heard() {
    let mesh = Mesh::default();
    let node = mesh.start(1, 1).await;
    let other = config(&announcement("stranger", 2, 1));
    let other = GossipConfig { mesh: "other-mesh".parse().unwrap(), ..other };
    let stranger = mesh.start_configured(other).await;
    sleep(Duration::from_secs(10)).await;
    assert!(node.counters().refused > 20);
    assert_eq!((node.view.borrow().members.len(), stranger.view.borrow().members.len()), (1, 1));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn one_peer_cannot_drown_the_others() {
    let mesh = Mesh::default();
    let nodes = [mesh.start(1, 1).await, mesh.start(2, 1).await];
    for _ in 0..500 {
        for _ in 0..32 {
            mesh.inject(1, 66, "mallory", vec![0; 8]);
        }
        sleep(Duration::from_millis(10)).await;
    }
    let counters = nodes[0].counters();
    assert!(counters.refused > 10 * counters.malformed, "{counters:?}");
    assert!(nodes.iter().all(|node| node.live() == 2));
}

#[tokio::test(flavor = "local")]
async fn a_counter_that_does_not_rise_does_not_make_peers_deaf() {
    let mesh = Mesh::default();
    let mut broken = config(&announcement("n1", 1, 5));
    broken.next_generation = Box::new(|| Generation(0));
    let nodes = [mesh.start_configured_real(broken).await, mesh.start_real(2).await];
    time_until("meeting", Duration::from_secs(10), || nodes.iter().all(|node| node.live() == 2)).await;
    assert!(mesh.inject(1, 66, "mallory", forged_value(("n1", 5, 1), "software", "evil", u64::MAX)));
    time_until("returning", Duration::from_secs(20), || nodes[1].believes("n1") == Some((6, true))).await;
    assert_heard(&nodes).await;
}
