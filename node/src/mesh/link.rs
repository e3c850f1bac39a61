//! One kept control tunnel: dialled, probed, and dialled again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use graticule_node_core::mesh::Backoff;
use rand::RngCore;
use tokio::time::timeout;

use super::{Mesh, Role};
use crate::identity::Expect;
use crate::shared::PeerTarget;
use crate::tunnel::{self, Carries, Dial, Farewell, PeeringError};

/// How a tunnel that stood has ended.
pub(super) struct Ending {
    /// Why: the peer's words, this node's or the network's.
    pub(super) reason: String,
    /// For how long it stood.
    pub(super) stood: Duration,
    /// What the peer said last, if it ended the tunnel because it ends itself.
    pub(super) farewell: Option<Farewell>,
}

impl Mesh {
    /// Keeps a control tunnel to `target` and probes it; ends with its task.
    pub(super) async fn keep_link(self: Rc<Self>, target: PeerTarget) {
        let mut backoff = Backoff::default();
        let mut chance = self.world.chance.generator();
        let mut said = None;
        loop {
            let mut known = self.links.newest();
            let met = Rc::clone(&self).meet(&target).await;
            if self.shared.drain.is_finished() {
                // This node ends and has closed the tunnel itself.
                return;
            }
            let reason = match met {
                Ok(Ending { reason, stood, farewell }) => {
                    backoff.ended(stood);
                    known = self.links.newest();
                    if farewell == Some(Farewell::Left) {
                        tracing::info!(node = %target.node, reason, "tunnel closed by a node that leaves");
                    } else {
                        tracing::warn!(node = %target.node, reason, "tunnel down");
                    }
                    said = None;
                    reason
                }
                Err(error) => {
                    let error = error.to_string();
                    if said.as_ref() == Some(&error) {
                        tracing::debug!(node = %target.node, error, "still cannot dial a peer");
                    } else {
                        tracing::warn!(node = %target.node, address = %target.base, error, "cannot dial a peer");
                        said = Some(error.clone());
                    }
                    error
                }
            };
            self.tracking.disconnected(target.id, reason);
            let pause = backoff.next(chance.next_u32());
            // A peer that has dialled this node meanwhile is back: it is not kept waiting.
            let _ = timeout(pause, self.links.newer(&target.node, known)).await;
        }
    }

    /// Dials a peer, and probes and serves it until the tunnel ends.
    async fn meet(self: Rc<Self>, target: &PeerTarget) -> Result<Ending, PeeringError> {
        let expect = Expect::node(target.node.clone(), target.region.clone());
        let admit = |peer: &_| self.admit(peer);
        let dial = || {
            let (expect, expected_rtt) = (expect.clone(), target.expected_rtt);
            let dial = Dial { address: target.base, expect, expected_rtt, carries: Carries::Control };
            tunnel::dial(&self.endpoint, &self.identity, dial, admit)
        };
        let seen = Cell::new(self.links.newest());
        let back = || async {
            self.links.newer(&target.node, seen.get()).await;
            seen.set(self.links.newest());
        };
        let (connection, peer) = tunnel::dial_afresh(dial, back, target.expected_rtt).await?;
        let begun = self.world.clock.now();
        tracing::info!(node = %target.node, address = %target.base, "tunnel up");
        self.tracking.connected(target.id);
        let role = Role::Kept(target.id);
        let serving = Rc::clone(&self).serve_link(connection.clone(), peer.clone(), role);
        let (reason, ()) = tokio::join!(tunnel::until_closed(&connection, &peer, admit), serving);
        let (stood, farewell) = (self.world.clock.now().since(begun), Farewell::of(&connection));
        Ok(Ending { reason, stood, farewell })
    }
}
