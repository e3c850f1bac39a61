//! Moves messages between chitchat's lane and the carrier, as bytes on one side and envelopes on the other.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use chitchat::transport::RecvOutcome;
use chitchat::{ChitchatEnvelope, ChitchatMessage};
use graticule_gossip_core::MeshName;
use tokio::time::Instant;

use crate::carrier::{Carrier, Inbound, MESSAGE_BYTES_MAX, Outbound};
use crate::codec::{Codec, CodecError};
use crate::contain::contain_future;
use crate::lane::LaneEnd;
use crate::speakers::Speakers;
use crate::tally::Tally;

/// The pump, which lives as long as gossip does, whatever becomes of chitchat.
pub(crate) struct Pump {
    pub(crate) mesh: MeshName,
    pub(crate) codec: Box<dyn Codec>,
    pub(crate) carrier: Carrier,
    pub(crate) lane: LaneEnd,
    pub(crate) speakers: Rc<RefCell<Speakers>>,
    pub(crate) tally: Arc<Tally>,
}

impl Pump {
    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                Some((to, envelope)) = self.lane.outbound.recv() => {
                    if let Some(message) = self.encode(envelope).await {
                        self.post(Outbound { to, message });
                    }
                }
                Some(inbound) = self.carrier.inbound.recv() => {
                    if self.is_welcome(&inbound) && let Some(envelope) = self.decode(&inbound).await {
                        self.deliver(&inbound, envelope);
                    }
                }
                else => std::future::pending().await,
            }
        }
    }

    fn post(&self, outbound: Outbound) {
        let bytes = outbound.message.len();
        if self.carrier.outbound.try_send(outbound).is_ok() {
            self.tally.sent.one();
            self.tally.sent_bytes.add(bytes);
        } else {
            self.tally.dropped.one();
        }
    }

    fn is_welcome(&self, inbound: &Inbound) -> bool {
        self.tally.received.one();
        self.tally.received_bytes.add(inbound.message.len());
        let welcome = self.speakers.borrow_mut().hear(inbound.from, &inbound.node, Instant::now());
        if !welcome {
            self.tally.refused.one();
        }
        welcome
    }

    fn deliver(&self, inbound: &Inbound, envelope: ChitchatEnvelope) {
        if !is_of_mesh(&envelope.message, &self.mesh) {
            tracing::debug!(node = %inbound.node, "refused gossip of another mesh");
            return self.tally.refused.one();
        }
        let num_bytes_received = inbound.message.len();
        let outcome = RecvOutcome { from_addr: inbound.from, envelope, num_bytes_received };
        if self.lane.inbound.try_send(outcome).is_err() {
            self.tally.dropped.one();
        }
    }

    async fn encode(&mut self, envelope: ChitchatEnvelope) -> Option<Bytes> {
        let encoded = contain_future(self.codec.encode(envelope)).await;
        let encoded = encoded.unwrap_or(Err(CodecError::Malformed));
        let encoded = encoded.inspect_err(|error| tracing::warn!(%error, "could not write gossip")).ok();
        self.counted(encoded.filter(|message| message.len() <= MESSAGE_BYTES_MAX))
    }

    async fn decode(&mut self, inbound: &Inbound) -> Option<ChitchatEnvelope> {
        if inbound.message.len() > MESSAGE_BYTES_MAX {
            return self.counted(None);
        }
        let decoded = contain_future(self.codec.decode(inbound.message.clone())).await;
        let decoded = decoded.unwrap_or(Err(CodecError::Malformed));
        let node = &inbound.node;
        let decoded =
            decoded.inspect_err(|error| tracing::debug!(%error, %node, "could not read gossip")).ok();
        self.counted(decoded)
    }

    fn counted<T>(&self, converted: Option<T>) -> Option<T> {
        if converted.is_none() {
            self.tally.malformed.one();
        }
        converted
    }
}

/// The first message of an exchange names the mesh. Of a digest or delta nothing can be seen from outside chitchat.
fn is_of_mesh(message: &ChitchatMessage, mesh: &MeshName) -> bool {
    match message {
        ChitchatMessage::Syn { cluster_id, .. } => cluster_id == mesh.as_str(),
        _ => true,
    }
}
