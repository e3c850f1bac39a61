//! Which of a peer's workers a worker dials.

use std::net::SocketAddr;

use graticule_gossip_core::{MeshAddress, NodeName};

use super::rendezvous::rank;

/// Where worker number `worker` of the node `own` dials `peer`: the port base + 1 + ((hash(own) + worker) mod the peer's
/// workers).
///
/// A node's workers spread over all of the peer's; the hash keeps nodes with one worker from all meeting at the first.
/// `None` if the peer announces no workers or no port that exists.
pub fn worker_address(own: &NodeName, worker: u16, peer: MeshAddress) -> Option<SocketAddr> {
    let workers = u64::from(peer.workers);
    let start = rank(&[own.as_str()]).checked_rem(workers)?;
    let index = (start + u64::from(worker)) % workers;
    let port = u64::from(peer.base.port()) + 1 + index;
    Some(SocketAddr::new(peer.base.ip(), u16::try_from(port).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn peer(port: u16, workers: u16) -> MeshAddress {
        MeshAddress { base: SocketAddr::from(([192, 0, 2, 7], port)), workers }
    }

    fn node(number: u32) -> NodeName {
        format!("node-{number}").parse().unwrap()
    }

    proptest! {
        #[test]
        fn as_many_workers_as_the_peers_meet_each_once(own: u32, base in 1u16..60_000, workers in 1u16..256) {
            let ports: BTreeSet<_> = (0..workers)
                .filter_map(|worker| worker_address(&node(own), worker, peer(base, workers)))
                .map(|address| address.port())
                .collect();
            prop_assert_eq!(ports, (base + 1..=base + workers).collect::<BTreeSet<_>>());
        }

        #[test]
        fn ports_that_do_not_exist_are_not_dialled(own: u32, worker: u16, base: u16, workers: u16) {
            if let Some(address) = worker_address(&node(own), worker, peer(base, workers)) {
                prop_assert!(address.port() > base);
                prop_assert_eq!(address.ip(), peer(base, workers).base.ip());
            }
        }
    }

    #[test]
    fn a_peer_without_workers_or_at_the_last_port_has_no_address() {
        assert_eq!(worker_address(&node(1), 0, peer(7_000, 0)), None);
        assert_eq!(worker_address(&node(1), 0, peer(65_535, 1)), None);
    }

    #[test]
    fn nodes_with_one_worker_spread_over_a_peers() {
        let ports: BTreeSet<_> = (0..64)
            .filter_map(|own| worker_address(&node(own), 0, peer(7_000, 4)))
            .map(|a| a.port())
            .collect();
        assert_eq!(ports, BTreeSet::from([7_001, 7_002, 7_003, 7_004]));
    }
}
