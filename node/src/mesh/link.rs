//! One kept control tunnel: dialled, probed, and dialled again.

use std::rc::Rc;

use bytes::BytesMut;
use graticule_node_core::framing::{Probe, ProbeReplyDecoder, StreamKind};
use graticule_node_core::mesh::{Backoff, PROBE_INTERVAL, PeerId, Report};
use quinn::Connection;
use rand::RngCore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Mesh;
use super::streams::{exchange, only};
use crate::body::BodyError;
use crate::identity::Expect;
use crate::shared::PeerTarget;
use crate::task;
use crate::tunnel::{self, Dial};

impl Mesh {
    /// Keeps a control tunnel to `target` and probes it; ends with its task.
    pub(super) async fn keep_link(self: Rc<Self>, target: PeerTarget) {
        let mut backoff = Backoff::default();
        let mut chance = self.world.chance.generator();
        loop {
            let mut known = self.links.newest();
            let expect = Expect::node(target.node.clone(), target.region.clone());
            let dial = Dial { address: target.base, expect, expected_rtt: target.expected_rtt };
            let admit = |peer: &_| self.admit(peer);
            let reason = match tunnel::dial(&self.endpoint, &self.identity, dial, admit).await {
                Err(error) => {
                    tracing::warn!(node = %target.node, address = %target.base, %error, "cannot dial a peer");
                    error.to_string()
                }
                Ok((connection, peer)) => {
                    let begun = self.world.clock.now();
                    tracing::info!(node = %target.node, address = %target.base, "tunnel up");
                    self.tracking.connected(target.id);
                    let probing = Rc::clone(&self).probe(target.id, connection.clone());
                    let probing = task::spawn("prober", probing);
                    self.serve_link(connection.clone(), peer, true).await;
                    drop(probing);
                    backoff.ended(self.world.clock.now().since(begun));
                    known = self.links.newest();
                    let reason = tunnel::close_text(&connection.closed().await);
                    tracing::warn!(node = %target.node, %reason, "tunnel down");
                    reason
                }
            };
            self.tracking.disconnected(target.id, reason);
            let pause = backoff.next(chance.next_u32());
            // A peer that has dialled this node meanwhile is back: it is not kept waiting.
            let _ = timeout(pause, self.links.newer(&target.node, known)).await;
        }
    }

    /// Probes a peer until the connection ends or the task is dropped.
    async fn probe(self: Rc<Self>, peer: PeerId, connection: Connection) {
        let mut ticks = interval(PROBE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for seq in 1.. {
            ticks.tick().await;
            if connection.close_reason().is_some() {
                return;
            }
            let (mesh, connection) = (Rc::clone(&self), connection.clone());
            mesh.tracking.probe_sent(peer, seq);
            task::spawn_detached("probe", async move {
                // No answer is what the tracker waits for; nothing to do here.
                if let Ok(report) = probe_once(&connection, seq).await {
                    mesh.tracking.probe_answered(peer, seq, report);
                }
            });
        }
    }
}

async fn probe_once(connection: &Connection, seq: u64) -> Result<Report, BodyError> {
    let mut probe = BytesMut::new();
    Probe { seq }.encode(&mut probe);
    let bytes = exchange(connection, StreamKind::Probe, &probe, REPLY_BYTES_MAX).await?;
    let reply = only(ProbeReplyDecoder::new(), bytes)?;
    if reply.seq == seq { Ok(reply.report) } else { Err("the answer is to another probe".into()) }
}

/// A report with as many exceptions as there can be.
const REPLY_BYTES_MAX: usize = 64 * 1024;
