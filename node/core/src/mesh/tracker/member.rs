//! One peer with its name and place, and the tenants it refused.

use std::sync::Arc;

use graticule_gossip_core::{NodeName, RegionName};

use super::event::{Events, MeshEvent};
use super::refusals::Refusals;
use crate::Moment;
use crate::mesh::{Excepted, Peer, PeerId, PeerState};
use crate::policy::TenantId;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) node: NodeName,
    pub(super) region: RegionName,
    pub(super) peer: Peer,
    refusals: Refusals,
}

impl Member {
    pub(super) fn new(node: NodeName, region: RegionName, peer: Peer) -> Self {
        Self { node, region, peer, refusals: Refusals::default() }
    }

    /// Gives the peer an input, and says by an event if that changed its condition. Whether decisions must know at once.
    pub(super) fn watch(&mut self, now: Moment, events: &mut Events, input: impl FnOnce(&mut Peer)) -> bool {
        let (before, exceptions) = (self.peer.condition(), Arc::clone(self.peer.exceptions()));
        input(&mut self.peer);
        let waited = self.peer.unanswered_since().map(|since| now.since(since)).unwrap_or_default();
        let event = MeshEvent::of_change(&self.node, before, self.peer.condition(), waited);
        let changed = event.is_some() || !Arc::ptr_eq(&exceptions, self.peer.exceptions());
        if let Some(event) = event {
            events.push(event);
        }
        changed
    }

    /// Remembers a refusal.
    pub(super) fn refused(&mut self, tenant: &TenantId, now: Moment) {
        self.refusals.insert(tenant, now);
    }

    /// Forgets refusals that are over; whether there were any.
    pub(super) fn forget_refusals(&mut self, now: Moment) -> bool {
        self.refusals.forget(now)
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        [self.peer.poll_timeout(), self.refusals.poll_timeout()].into_iter().flatten().min()
    }

    pub(super) fn state(&self, id: PeerId) -> PeerState {
        PeerState {
            id,
            node: self.node.clone(),
            condition: self.peer.condition(),
            exceptions: self.exceptions(),
            load: self.peer.load(),
            rtt: self.peer.rtt(),
            patience: self.peer.patience(),
        }
    }

    fn exceptions(&self) -> Arc<Excepted> {
        let reported = self.peer.exceptions();
        if self.refusals.is_empty() {
            Arc::clone(reported)
        } else {
            Arc::new(reported.listed().with(self.refusals.iter()).into())
        }
    }
}
