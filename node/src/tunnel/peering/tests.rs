//! Who is let in, and what both ends say when somebody is not.

use std::cell::{Cell, RefCell};

use super::*;
use crate::identity::testing::{Machine, authority, identity, issued, node_of, today};
use crate::testing::{dial_to, endpoint, policy, run};

const DAY: Duration = Duration::from_hours(24);

fn peer(node: &str, region: &str) -> PeerIdentity {
    identity(&authority("atlas"), region, node).own()
}

fn fleet() -> Fleet {
    policy(&[]).fleet
}

#[test]
fn a_fleet_wants_its_own_nodes_for_as_long_as_their_certificates_last() {
    let (fleet, own) = (fleet(), "edge-1".parse().unwrap());
    let admitted = |node: &str, region: &str, now| admit(&fleet, &own, &peer(node, region), now);
    assert_eq!(admitted("node-1", "eu", today()), Ok(()));
    assert_eq!(admitted("thief", "eu", today()), Err(refusal::REVOKED));
    assert_eq!(admitted("node-1", "mars", today()), Err(refusal::UNKNOWN_REGION));
    assert_eq!(admitted("edge-1", "eu", today()), Err(refusal::SAME_NAME));
    assert_eq!(admitted("node-1", "eu", today() + DAY * 91), Err(refusal::EXPIRED));
}

/// What the dialling end and the accepting end say of one attempt.
async fn refused_with(refusal: Refusal, by_dialler: bool) -> (String, Option<Refusal>) {
    let authority = authority("atlas");
    let (edge, node) = (identity(&authority, "us", "edge-1"), identity(&authority, "eu", "node-1"));
    let (at_edge, at_node) = (endpoint(&edge), endpoint(&node));
    let accepting = at_node.clone();
    let at_acceptor = Rc::new(RefCell::new(None));
    let seen = Rc::clone(&at_acceptor);
    let _accepting = task::spawn("accepting", async move {
        let admit = move |_: &PeerIdentity| if by_dialler { Ok(()) } else { Err(refusal) };
        accept(accepting, admit, move |connection, _| {
            let seen = Rc::clone(&seen);
            async move { *seen.borrow_mut() = Refusal::of(&connection.closed().await) }
        })
        .await;
    });
    let admit = |_: &PeerIdentity| if by_dialler { Err(refusal) } else { Ok(()) };
    match dial(&at_edge, &edge, dial_to(&at_node), admit).await {
        Ok((connection, _)) => {
            let error = connection.closed().await;
            (close_text(&error), Refusal::of(&error))
        }
        Err(error) => {
            for _ in 0..1_000 {
                if at_acceptor.borrow().is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (error.to_string(), at_acceptor.take())
        }
    }
}

#[test]
fn both_ends_know_why_a_peer_was_refused() {
    run(async {
        for refusal in [refusal::REVOKED, refusal::UNKNOWN_REGION, refusal::SAME_NAME, refusal::OTHER_REGION]
        {
            for by_dialler in [true, false] {
                let (text, other_end) = refused_with(refusal, by_dialler).await;
                assert!(text.contains(refusal.text()), "{text}");
                assert_eq!(other_end, Some(refusal), "by the dialler: {by_dialler}");
            }
        }
    });
}

#[test]
fn a_standing_tunnel_ends_at_both_ends_when_its_peer_is_revoked() {
    run(async {
        let pair = crate::testing::pair().await;
        let revoked = Cell::new(false);
        let admit = |_: &PeerIdentity| if revoked.get() { Err(refusal::REVOKED) } else { Ok(()) };
        let peer = pair.edge.identity.own();
        let standing = until_closed(&pair.node.connection, &peer, admit);
        let revoking = async {
            tokio::time::sleep(STANDING_CHECK_INTERVAL * 3 / 2).await;
            assert!(pair.node.connection.close_reason().is_none(), "it stands while it may");
            revoked.set(true);
        };
        let (reason, ()) = tokio::join!(standing, revoking);
        assert_eq!(reason, refusal::REVOKED.text());
        assert_eq!(Refusal::of(&pair.edge.connection.closed().await), Some(refusal::REVOKED));
    });
}

#[test]
fn a_standing_tunnel_ends_with_its_peers_certificate() {
    run(async {
        let pair = crate::testing::pair().await;
        let (fleet, own, peer) = (fleet(), pair.node.identity.own().node, pair.edge.identity.own());
        let now = Cell::new(peer.not_after - Duration::from_secs(1));
        let standing = until_closed(&pair.node.connection, &peer, |peer: &PeerIdentity| {
            admit(&fleet, &own, peer, now.get())
        });
        let passing = async {
            tokio::time::sleep(STANDING_CHECK_INTERVAL * 3 / 2).await;
            now.set(peer.not_after);
        };
        let (reason, ()) = tokio::join!(standing, passing);
        assert_eq!(reason, refusal::EXPIRED.text());
    });
}

#[test]
fn the_peers_words_for_closing_are_passed_on() {
    run(async {
        let pair = crate::testing::pair().await;
        pair.node.connection.close(VarInt::from_u32(7), b"not today");
        let peer = pair.node.identity.own();
        let reason = until_closed(&pair.edge.connection, &peer, |_| Ok(())).await;
        assert!(reason.contains("not today"), "{reason}");
    });
}

#[test]
fn a_peer_that_comes_back_is_dialled_afresh_unless_it_is_answering_already() {
    run(async {
        let dials = Cell::new(0);
        // The first dial is answered never, or after so long; the second at once.
        let dialled = async |answered_ms: Option<u64>| {
            dials.set(0);
            let dial = || async {
                dials.set(dials.get() + 1);
                match (dials.get(), answered_ms) {
                    (1, Some(answered_ms)) => tokio::time::sleep(Duration::from_millis(answered_ms)).await,
                    (1, None) => std::future::pending().await,
                    _ => {}
                }
                dials.get()
            };
            let back = || tokio::time::sleep(Duration::from_millis(20));
            dial_afresh(dial, back, Duration::from_millis(50)).await
        };
        assert_eq!(dialled(None).await, 2);
        assert_eq!(dialled(Some(1)).await, 1, "nobody came back");
        assert_eq!(dialled(Some(60)).await, 1, "its handshake was under way");
    });
}

#[test]
fn a_peer_that_is_not_there_is_silent() {
    run(async {
        let edge = identity(&authority("atlas"), "us", "edge-1");
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let dial_nobody = Dial {
            address: nobody.local_addr().unwrap(),
            expected_rtt: Duration::ZERO,
            carries: Carries::Control,
            expect: Expect::ANY,
        };
        let error = dial(&endpoint(&edge), &edge, dial_nobody, |_| Ok(())).await.unwrap_err();
        assert_eq!(error, PeeringError::Silent { waited: CONNECT_DEADLINE });
        assert!(error.to_string().contains("UDP is blocked"), "{error}");
    });
}

#[test]
fn a_certificate_of_another_authority_or_node_is_refused_in_the_handshake() {
    run(async {
        let authority = authority("atlas");
        let (edge, node) = (identity(&authority, "us", "edge-1"), identity(&authority, "eu", "node-1"));
        let (at_edge, at_node) = (endpoint(&edge), endpoint(&node));
        let serving = at_node.clone();
        let _accepting = task::spawn("accepting", accept(serving, |_| Ok(()), |_, _| std::future::pending()));
        let other = Expect::node("node-2".parse().unwrap(), "eu".parse().unwrap());
        let error = dial(&at_edge, &edge, Dial { expect: other, ..dial_to(&at_node) }, |_| Ok(()));
        assert!(matches!(error.await, Err(PeeringError::Refused(text)) if text.contains("node-2")));

        let theirs = crate::identity::testing::authority("atlas");
        let both = format!("{}{}", authority.certificate(), theirs.certificate());
        let (_machine, stranger): (Machine, _) = node_of(&issued(&theirs, "us", "edge-1"), &both);
        let at_stranger = endpoint(&stranger);
        let dialled = dial(&at_stranger, &stranger, dial_to(&at_node), |_| Ok(())).await;
        let text = match dialled {
            Ok((connection, _)) => close_text(&connection.closed().await),
            Err(error) => error.to_string(),
        };
        assert!(text.contains("authority"), "{text}");
    });
}

/// Passes the first packet of each of many dials on to `target`, each from a port of its own, and answers none.
async fn strangers(target: std::net::SocketAddr, count: usize) -> Vec<tokio::net::UdpSocket> {
    let identity = identity(&authority("atlas"), "us", "stranger-1");
    let (silent, dialling) = (tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap(), endpoint(&identity));
    let dial = || {
        let config = identity.client_config(Expect::ANY).unwrap();
        dialling.connect_with(config, silent.local_addr().unwrap(), SERVER_NAME).unwrap()
    };
    let _dials: Vec<_> = (0..count).map(|_| dial()).collect();
    let (mut seen, mut sockets) = (std::collections::BTreeSet::new(), Vec::new());
    let mut packet = [0; 2_048];
    while seen.len() < count {
        let length = silent.recv(&mut packet).await.unwrap();
        let id_end = 6 + usize::from(packet[5]);
        if seen.insert(packet[6..id_end].to_vec()) {
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.send_to(&packet[..length], target).await.unwrap();
            sockets.push(socket);
        }
    }
    sockets
}

#[test]
fn a_peer_gets_in_past_a_crowd_that_never_ends_its_handshakes() {
    run(async {
        let authority = authority("atlas");
        let (edge, node) = (identity(&authority, "us", "edge-1"), identity(&authority, "eu", "node-1"));
        let (at_edge, at_node) = (endpoint(&edge), endpoint(&node));
        let served = Rc::new(Cell::new(0));
        let counted = Rc::clone(&served);
        let accepting = accept(
            at_node.clone(),
            |_| Ok(()),
            move |connection, _| {
                counted.set(counted.get() + 1);
                async move { drop(connection.closed().await) }
            },
        );
        let _accepting = task::spawn("accepting", accepting);
        let crowd = strangers(at_node.local_addr().unwrap(), 100).await;
        let (connection, _) = dial(&at_edge, &edge, dial_to(&at_node), |_| Ok(())).await.unwrap();
        crate::testing::eventually("it is served", || served.get() == 1).await;
        drop((connection, crowd));
    });
}
