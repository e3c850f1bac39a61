//! Which node of the chosen region: asked by the edge when it relays.

use super::two_choices;
use crate::mesh::{PeerId, PeerState, RegionState, Sought};
use crate::policy::TenantId;

/// A node of `region` that can serve `tenant`: of two drawn by chance, the one with fewer of this node's requests in
/// flight.
///
/// Not one of `tried`, where this request has failed already. `chance` is uniform over all values. `None` if no node is
/// left; then the region has been tried.
pub fn choose<'r>(
    region: &'r RegionState,
    tenant: &TenantId,
    tried: &[PeerId],
    in_flight: impl Fn(PeerId) -> u32,
    chance: u32,
) -> Option<&'r PeerState> {
    let sought = Sought::new(tenant);
    let able = region.peers.iter().filter(|peer| peer.can_serve(&sought) && !tried.contains(&peer.id));
    two_choices::pick(able, |peer| in_flight(peer.id), chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{exceptions, peer, region_state, tenant_id};
    use crate::mesh::Condition;
    use proptest::prelude::*;

    #[test]
    fn a_region_without_able_nodes_has_none_to_give() {
        let mut excepted = peer(3, Condition::Usable);
        excepted.exceptions = exceptions(&["shop"]);
        let peers = vec![
            peer(0, Condition::Suspect),
            peer(1, Condition::Draining),
            peer(2, Condition::Unreachable),
            excepted,
        ];
        let region = region_state(10, 0.0, peers);
        assert_eq!(choose(&region, &tenant_id("shop"), &[], |_| 0, 0), None);
        let other = choose(&region, &tenant_id("other"), &[], |_| 0, 0);
        assert_eq!(other.map(|peer| peer.id), Some(PeerId(3)));
    }

    #[test]
    fn the_less_busy_node_is_chosen() {
        let region = region_state(10, 0.0, vec![peer(0, Condition::Usable), peer(1, Condition::Usable)]);
        for chance in [0, u32::MAX / 3, u32::MAX] {
            let chosen = choose(&region, &tenant_id("shop"), &[], |peer| 1 - peer.0, chance);
            assert_eq!(chosen.map(|peer| peer.id), Some(PeerId(1)));
        }
    }

    proptest! {
        #[test]
        fn a_node_that_failed_is_never_asked_again(tried in proptest::collection::vec(0u32..6, 0..6), chance: u32) {
            let region = region_state(10, 0.0, (0..6).map(|id| peer(id, Condition::Usable)).collect());
            let tried: Vec<_> = tried.into_iter().map(PeerId).collect();
            let chosen = choose(&region, &tenant_id("shop"), &tried, |_| 0, chance);
            prop_assert!(chosen.is_some_and(|peer| !tried.contains(&peer.id)));
        }
    }
}
