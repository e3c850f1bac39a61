use std::collections::BTreeSet;

use graticule_gossip_core::{Generation, Member, MeshAddress};
use graticule_node_core::framing::AdminAnswer;
use graticule_node_core::mesh::{Exceptions, ExceptionsDigest, PeerId, Report};

use super::*;
use crate::identity::testing::{authority, identity};
use crate::mesh::{AdminHandler, MeshParts, MeshSettings, Role, Tracking};
use crate::testing::{LOOPBACK, Pair, endpoint, pair, policy, run, snapshot};
use crate::world::World;

const MAX: usize = 2;

/// The control side of `edge-1` in `us`, not running.
fn mesh() -> Rc<Mesh> {
    let identity = identity(&authority("atlas"), "us", "edge-1");
    let snapshot = snapshot(policy(&[]), ("edge-1", "us"), &[]);
    let (world, us) = (World::system(), "us".parse().unwrap());
    let report = Report {
        load: 0.0,
        draining: false,
        fleet_version: 1,
        policy_digest: [0; 32],
        exceptions: ExceptionsDigest::NONE,
    };
    let tracking = Tracking::new(world.clone(), &us, &snapshot.policy.fleet, (report, Exceptions::default()));
    let parts = MeshParts {
        world,
        shared: Arc::new(Shared::new(snapshot, 1).0),
        endpoint: endpoint(&identity),
        identity,
        tracking: Rc::new(tracking),
        view: watch::channel(Arc::default()).1,
        gossip_in: tokio::sync::mpsc::channel(1).0,
        admin: AdminHandler::new(|_| AdminAnswer { status: 200, body: "".into() }),
    };
    let dial = [("nat-1".parse().unwrap(), LOOPBACK)].into();
    Mesh::new(parts, MeshSettings { seeds: Vec::new(), dial, tunnels_per_region_max: MAX })
}

fn view(members: &[(&str, &str, bool)]) -> View {
    let member = |(at, (node, region, alive)): (usize, &(&str, &str, bool))| Member {
        announcement: Announcement {
            node: node.parse().unwrap(),
            region: region.parse().unwrap(),
            generation: Generation(1),
            mesh: MeshAddress { base: SocketAddr::from(([192, 0, 2, 1], 7_000 + at as u16)), workers: 3 },
            software: String::new(),
            fleet_version: 1,
            policy_digest: String::new(),
            draining: false,
        },
        alive: *alive,
    };
    let members = members.iter().enumerate().map(member);
    View { members: members.map(|member| (member.announcement.node.clone(), member)).collect() }
}

fn wanted(mesh: &Mesh, view: &View) -> Vec<PeerTarget> {
    mesh.wanted(&mesh.shared.snapshot(), view)
}

fn names(targets: &[PeerTarget]) -> Vec<&str> {
    targets.iter().map(|target| target.node.as_str()).collect()
}

#[test]
fn every_known_regions_nodes_are_wanted_but_not_this_one_nor_revoked_ones() {
    run(async {
        let mesh = mesh();
        let view = view(&[
            ("edge-1", "us", true),
            ("edge-2", "us", true),
            ("node-1", "eu", true),
            ("thief", "eu", true),
            ("alien", "mars", true),
        ]);
        let targets = wanted(&mesh, &view);
        assert_eq!(names(&targets), ["node-1", "edge-2"]);
        assert_eq!((targets[0].base.port(), targets[0].workers), (7_002, 3));
        assert!(targets[0].expected_rtt > targets[1].expected_rtt, "by distance");
    });
}

#[test]
fn a_peer_keeps_its_number_and_is_dialled_where_the_configuration_says() {
    run(async {
        let mesh = mesh();
        let first = wanted(&mesh, &view(&[("nat-1", "eu", true), ("node-1", "eu", true)]));
        assert_eq!(first[0].base, LOOPBACK);
        let again = wanted(&mesh, &view(&[("node-1", "eu", true)]));
        assert_eq!(again[0].id, first[1].id);
    });
}

#[test]
fn a_region_has_a_bounded_number_of_tunnels_and_the_dead_do_not_take_them() {
    run(async {
        let mesh = mesh();
        let mut members: Vec<_> =
            ["a", "b", "c", "d", "e", "f"].into_iter().map(|node| (node, "eu", true)).collect();
        let chosen = wanted(&mesh, &view(&members));
        assert_eq!(chosen.len(), MAX);
        for member in &mut members {
            member.2 = !names(&chosen).contains(&member.0);
        }
        let targets = wanted(&mesh, &view(&members));
        let (alive, dead): (Vec<_>, Vec<_>) =
            names(&targets).into_iter().partition(|name| !names(&chosen).contains(name));
        assert_eq!(alive.len(), MAX, "as many of the living as ever");
        assert_eq!(BTreeSet::from_iter(dead), BTreeSet::from_iter(names(&chosen)), "and the dead are tried");
    });
}

#[test]
fn who_is_connected_is_alive_whatever_gossip_says() {
    run(async {
        let mesh = mesh();
        let members: Vec<_> = ["a", "b", "c", "d"].into_iter().map(|node| (node, "eu", true)).collect();
        let chosen = wanted(&mesh, &view(&members));
        let Pair { edge, .. } = pair().await;
        let mut peer = edge.identity.own();
        (peer.node, peer.region) = (chosen[0].node.clone(), "eu".parse().unwrap());
        let _link = mesh.links.enter(edge.connection.clone(), peer, Role::Kept(PeerId(0))).unwrap();
        let rumour: Vec<_> =
            members.iter().map(|(node, ..)| (*node, "eu", *node != chosen[0].node.as_str())).collect();
        assert_eq!(wanted(&mesh, &view(&rumour)), chosen, "nothing changes by hearsay");
    });
}

#[test]
fn tunnels_follow_what_is_wanted() {
    run(async {
        let mesh = mesh();
        let mut kept = Kept::new();
        let both = wanted(&mesh, &view(&[("a", "eu", true), ("b", "asia", true)]));
        mesh.retarget(&mut kept, &both);
        assert_eq!(kept.len(), 2);
        mesh.retarget(&mut kept, &both[..1]);
        assert_eq!(kept.keys().copied().collect::<Vec<_>>(), [both[0].id]);
        let moved = PeerTarget { base: LOOPBACK, ..both[0].clone() };
        mesh.retarget(&mut kept, std::slice::from_ref(&moved));
        assert_eq!(kept[&moved.id].0, moved, "a peer that moved is dialled anew");
    });
}

#[test]
fn only_another_policy_wakes_the_keeper() {
    run(async {
        let mesh = mesh();
        let snapshot = mesh.shared.snapshot();
        let mut published = mesh.shared.published();
        mesh.shared.update(|snapshot| snapshot.mesh = Arc::default());
        let short = std::time::Duration::from_millis(50);
        let waiting = another_policy(&mesh.shared, &snapshot.policy, &mut published);
        assert!(tokio::time::timeout(short, waiting).await.is_err());
        mesh.shared.update(|snapshot| snapshot.policy = Arc::new(policy(&[])));
        another_policy(&mesh.shared, &snapshot.policy, &mut published).await;
    });
}

#[test]
fn a_peer_whose_address_changes_is_followed_on() {
    run(async {
        let mesh = mesh();
        let before = wanted(&mesh, &view(&[("node-1", "eu", true)]));
        let after: Vec<_> = before
            .iter()
            .map(|target| PeerTarget { workers: target.workers + 1, ..target.clone() })
            .collect();
        let mut kept = Kept::new();
        mesh.retarget(&mut kept, &before);
        mesh.retarget(&mut kept, &after);
        assert_eq!(kept[&before[0].id].0, after[0]);
        assert!(mesh.tracking.probe_interval(before[0].id).is_some(), "the tracker knows it");
        mesh.retarget(&mut kept, &[]);
        assert!(kept.is_empty() && mesh.tracking.probe_interval(before[0].id).is_none());
    });
}
