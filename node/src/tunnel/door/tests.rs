//! Whom a crowd before the door keeps out, and whom not.

use super::*;

fn v4(last: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from(0x0a00_0000 + last))
}

fn entered(knock: Knock) -> Handshake {
    match knock {
        Knock::Enter(handshake) => handshake,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_crowd_of_made_up_addresses_has_to_prove_them_and_keeps_nobody_else_out() {
    let door = Rc::new(Door::default());
    let crowd: Vec<_> = (0..UNPROVEN_MAX as u32).map(|at| entered(door.knock(v4(at), false))).collect();
    for at in 1_000..100_000 {
        assert!(matches!(door.knock(v4(at), false), Knock::Prove));
    }
    let peer = entered(door.knock(v4(7), true));
    assert_eq!(door.counts.borrow().handshakes.len(), UNPROVEN_MAX, "nothing is remembered of the others");
    drop(crowd);
    entered(door.knock(v4(8), false));
    drop(peer);
    let counts = door.counts.borrow();
    assert_eq!((counts.all, counts.unproven, counts.handshakes.len()), (0, 0, 0));
}

#[test]
fn one_network_takes_its_share_and_leaves_the_rest() {
    let door = Rc::new(Door::default());
    let crowd: Vec<_> = (0..HANDSHAKES_PER_NETWORK_MAX).map(|_| entered(door.knock(v4(1), true))).collect();
    assert!(matches!(door.knock(v4(1), true), Knock::Refuse));
    entered(door.knock(v4(2), true));
    drop(crowd);
    entered(door.knock(v4(1), true));
}

#[test]
fn an_ipv6_network_is_one_however_many_addresses_it_has() {
    let door = Rc::new(Door::default());
    let address = |last: u128| IpAddr::V6(std::net::Ipv6Addr::from((0x2001_0db8_u128 << 96) + last));
    let _crowd: Vec<_> =
        (0..HANDSHAKES_PER_NETWORK_MAX as u128).map(|at| entered(door.knock(address(at), true))).collect();
    assert!(matches!(door.knock(address(u128::from(u64::MAX)), true), Knock::Refuse));
    entered(door.knock(address(1 << 64), true));
}

#[test]
fn one_node_takes_its_share_of_tunnels_and_leaves_the_rest() {
    let door = Rc::new(Door::default());
    let (greedy, other): (NodeName, NodeName) = ("greedy".parse().unwrap(), "other".parse().unwrap());
    let mut taken: Vec<_> = (0..TUNNELS_PER_NODE_MAX).map(|_| door.stand(&greedy).unwrap()).collect();
    assert!(door.stand(&greedy).is_none());
    assert!(door.stand(&other).is_some());
    taken.pop();
    assert!(door.stand(&greedy).is_some(), "one has ended");
    drop(taken);
    assert!(door.counts.borrow().tunnels.is_empty());
}

#[test]
fn there_is_a_number_of_places_and_no_more() {
    let door = Rc::new(Door::default());
    let mut taken: Vec<_> = (0..CONNECTIONS_MAX as u32).map(|at| entered(door.knock(v4(at), true))).collect();
    assert!(matches!(door.knock(v4(9_999), true), Knock::Refuse));
    taken.pop();
    entered(door.knock(v4(9_999), true));
}

#[tokio::test(start_paused = true)]
async fn refusals_without_number_are_told_of_now_and_then_with_their_number() {
    let door = Door::default();
    let told =
        |count: usize| (0..count).filter_map(|_| door.is_worth_a_line(Instant::now())).collect::<Vec<_>>();
    assert_eq!(told(1_000), vec![0; LINES_PER_SECOND_MAX as usize]);
    tokio::time::advance(SECOND).await;
    assert_eq!(told(2), [1_000 - u64::from(LINES_PER_SECOND_MAX), 0]);
}
