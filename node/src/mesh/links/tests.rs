//! Who may have a link, which one is preferred, and what is forgotten.

use graticule_gossip_core::{Announcement, Generation, Member, MeshAddress};

use super::*;
use crate::identity::testing::{authority, identity};
use crate::testing::{Pair, pair, run};

fn peer(node: &str, region: &str) -> PeerIdentity {
    identity(&authority("atlas"), region, node).own()
}

fn links() -> Links {
    Links::new("edge-1".parse().unwrap())
}

fn enter<'a>(links: &'a Links, pair: &Pair, peer: &PeerIdentity, role: Role) -> LinkGuard<'a> {
    links.enter(pair.edge.connection.clone(), peer.clone(), role).unwrap()
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

#[test]
fn a_link_is_there_until_its_guard_is_dropped() {
    run(async {
        let (links, pair, peer) = (links(), pair().await, peer("node-1", "eu"));
        assert!(links.to(&peer.node).is_none());
        let first = enter(&links, &pair, &peer, Role::Accepted);
        let second = enter(&links, &pair, &peer, Role::Accepted);
        assert_eq!(links.all().len(), 2);
        drop(first);
        assert!(Rc::ptr_eq(&links.to(&peer.node).unwrap(), second.link()));
        drop(second);
        assert!(links.to(&peer.node).is_none() && links.all().is_empty());
    });
}

#[test]
fn the_newest_link_that_was_dialled_here_is_preferred() {
    run(async {
        let (links, pair, peer) = (links(), pair().await, peer("node-1", "eu"));
        let old = enter(&links, &pair, &peer, Role::Seed);
        let newer = enter(&links, &pair, &peer, Role::Seed);
        let accepted = enter(&links, &pair, &peer, Role::Accepted);
        assert!(Rc::ptr_eq(&links.to(&peer.node).unwrap(), newer.link()));
        drop((old, newer));
        assert!(Rc::ptr_eq(&links.to(&peer.node).unwrap(), accepted.link()));
    });
}

#[test]
fn a_name_belongs_to_one_region_while_it_is_connected() {
    run(async {
        let (links, pair) = (links(), pair().await);
        let first = enter(&links, &pair, &peer("node-1", "eu"), Role::Accepted);
        let other = links.enter(pair.edge.connection.clone(), peer("node-1", "us"), Role::Accepted);
        assert_eq!(other.unwrap_err(), refusal::OTHER_REGION);
        drop(first);
        let _moved = enter(&links, &pair, &peer("node-1", "us"), Role::Accepted);
    });
}

#[test]
fn one_node_has_a_bounded_number_of_links_and_no_say_in_those_of_others() {
    run(async {
        let (links, pair, peer) = (links(), pair().await, peer("node-1", "eu"));
        let mut held: Vec<_> =
            (0..LINKS_PER_NODE_MAX).map(|_| enter(&links, &pair, &peer, Role::Accepted)).collect();
        let further = links.enter(pair.edge.connection.clone(), peer.clone(), Role::Accepted);
        assert_eq!(further.unwrap_err(), refusal::TOO_MANY);
        let _other = enter(&links, &pair, &super::tests::peer("node-2", "eu"), Role::Accepted);
        held.pop();
        held.push(enter(&links, &pair, &peer, Role::Accepted));
    });
}

#[test]
fn addresses_lead_to_whoever_was_learned_last_and_are_bounded() {
    run(async {
        let (links, pair, peer) = (links(), pair().await, peer("node-1", "eu"));
        let link = enter(&links, &pair, &peer, Role::Seed);
        assert!(links.to_address(address(1)).is_none());
        links.learn_address(address(1), &peer.node);
        assert!(Rc::ptr_eq(&links.to_address(address(1)).unwrap(), link.link()));
        links.learn_address(address(1), &"node-2".parse().unwrap());
        assert!(links.to_address(address(1)).is_none(), "there is no tunnel to that one");
        for port in 2..=(ADDRESSES_MAX as u16 + 100) {
            links.learn_address(address(port), &peer.node);
        }
        assert_eq!(links.addresses.borrow().len(), ADDRESSES_MAX);
        links.learn_address(address(1), &peer.node);
        assert!(links.to_address(address(1)).is_some(), "those that are known still change");
    });
}

#[test]
fn a_view_teaches_addresses_and_forgets_those_of_strangers() {
    run(async {
        let (links, pair, peer) = (links(), pair().await, peer("node-1", "eu"));
        let _link = enter(&links, &pair, &peer, Role::Seed);
        links.learn_address(address(1), &peer.node);
        links.learn_address(address(2), &"gone".parse().unwrap());
        let announcement = Announcement {
            node: "node-2".parse().unwrap(),
            region: "eu".parse().unwrap(),
            generation: Generation(1),
            mesh: MeshAddress { base: address(3), workers: 1 },
            software: String::new(),
            fleet_version: 1,
            policy_digest: String::new(),
            draining: false,
        };
        let member = Member { announcement, alive: false };
        let view = View { members: [(member.announcement.node.clone(), member)].into() };
        links.learn_view(&view);
        let known: Vec<_> = links.addresses.borrow().keys().copied().collect();
        assert_eq!(known, [address(1), address(3)]);
    });
}
