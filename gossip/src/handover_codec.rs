//! How gossip crosses a simulated network: a ticket travels, the envelope is handed over inside the process.
//!
//! The bytes that cross are a ticket number padded to the size that chitchat's own encoding has, so that the
//! simulated links see gossip of the right size. A ticket that is lost, repeated, cut or altered on the way decodes
//! to nothing. Nothing here waits, reads a clock or draws a random number.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chitchat::ChitchatEnvelope;
use chitchat::transport::{ChannelTransport, Socket, Transport};

use crate::carrier::MESSAGE_BYTES_MAX;
use crate::codec::{Codec, CodecError};

/// The table on which all nodes of one process leave their envelopes. Clones are the same table.
#[derive(Debug, Clone, Default)]
pub struct Handover {
    table: Arc<Mutex<Table>>,
}

impl Handover {
    /// A codec for one node.
    pub fn codec(&self) -> HandoverCodec {
        HandoverCodec { handover: self.clone(), scale: None }
    }

    /// How many envelopes lie on the table: those under way, and those lost on the way that nobody will fetch.
    pub fn held(&self) -> usize {
        self.with_table(|table| table.envelopes.len())
    }

    fn leave(&self, envelope: ChitchatEnvelope, bytes: usize) -> u64 {
        self.with_table(|table| table.leave(envelope, bytes))
    }

    fn fetch(&self, ticket: u64, bytes: usize) -> Option<ChitchatEnvelope> {
        self.with_table(|table| table.fetch(ticket, bytes))
    }

    fn with_table<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Encodes by leaving envelopes on a [`Handover`], decodes by fetching them. For one process only.
pub struct HandoverCodec {
    handover: Handover,
    scale: Option<Scale>,
}

#[async_trait]
impl Codec for HandoverCodec {
    async fn encode(&mut self, envelope: ChitchatEnvelope) -> Result<Bytes, CodecError> {
        // Taken while in use: whoever gives up half-way leaves no half-used scale behind.
        let mut scale = match self.scale.take() {
            Some(scale) => scale,
            None => Scale::new().await.ok_or(CodecError::Malformed)?,
        };
        let (envelope, bytes) = scale.weigh(envelope).await.ok_or(CodecError::Malformed)?;
        self.scale = Some(scale);
        let bytes = bytes.max(TICKET_BYTES);
        let mut message = BytesMut::zeroed(bytes);
        message[..TICKET_BYTES].copy_from_slice(&self.handover.leave(envelope, bytes).to_be_bytes());
        Ok(message.freeze())
    }

    async fn decode(&mut self, message: Bytes) -> Result<ChitchatEnvelope, CodecError> {
        let (ticket, padding) = message.split_first_chunk::<TICKET_BYTES>().ok_or(CodecError::Malformed)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(CodecError::Malformed);
        }
        self.handover.fetch(u64::from_be_bytes(*ticket), message.len()).ok_or(CodecError::Malformed)
    }
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    envelopes: BTreeMap<u64, (usize, ChitchatEnvelope)>,
}

impl Table {
    fn leave(&mut self, envelope: ChitchatEnvelope, bytes: usize) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.envelopes.insert(ticket, (bytes, envelope));
        if self.envelopes.len() > ENVELOPES_HELD_MAX {
            self.envelopes.pop_first();
        }
        ticket
    }

    fn fetch(&mut self, ticket: u64, bytes: usize) -> Option<ChitchatEnvelope> {
        if self.envelopes.get(&ticket)?.0 != bytes {
            return None;
        }
        self.envelopes.remove(&ticket).map(|(_, envelope)| envelope)
    }
}

/// Finds out how long an envelope's encoding is: chitchat's own transport for tests encodes, decodes and counts.
struct Scale {
    from: Box<dyn Socket>,
    to: Box<dyn Socket>,
    address: SocketAddr,
}

impl Scale {
    async fn new() -> Option<Self> {
        let transport = ChannelTransport::with_mtu(MESSAGE_BYTES_MAX);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let from = transport.open(any).await.ok()?;
        let to = transport.open(any).await.ok()?;
        let address = to.local_addr().ok()?;
        Some(Self { from, to, address })
    }

    async fn weigh(&mut self, envelope: ChitchatEnvelope) -> Option<(ChitchatEnvelope, usize)> {
        self.from.send(self.address, envelope).await.ok()?;
        let outcome = self.to.recv().await.ok()?;
        Some((outcome.envelope, outcome.num_bytes_received))
    }
}

const TICKET_BYTES: usize = size_of::<u64>();
/// Enough for every node of the largest simulation to have an exchange under way; the oldest are given up first.
const ENVELOPES_HELD_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use chitchat::{ChitchatMessage, ProtocolVersion};

    use super::*;

    fn envelope() -> ChitchatEnvelope {
        ChitchatEnvelope { version: ProtocolVersion::V1, message: ChitchatMessage::BadCluster }
    }

    #[tokio::test(start_paused = true)]
    async fn an_envelope_is_handed_over_once() {
        let handover = Handover::default();
        let (mut sender, mut receiver) = (handover.codec(), handover.codec());
        let message = sender.encode(envelope()).await.unwrap();
        assert_eq!(handover.held(), 1);
        assert_eq!(receiver.decode(message.clone()).await.unwrap(), envelope());
        assert!(matches!(receiver.decode(message).await, Err(CodecError::Malformed)));
        assert_eq!(handover.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn altered_bytes_carry_nothing() {
        let handover = Handover::default();
        let mut codec = handover.codec();
        let message = codec.encode(envelope()).await.unwrap();
        for altered in [&message[..message.len() - 1], &[&message[..], &[0]].concat(), &[9; 8], &[]] {
            assert!(codec.decode(Bytes::copy_from_slice(altered)).await.is_err());
        }
        assert!(codec.decode(message).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_fetches_is_given_up() {
        let handover = Handover::default();
        let mut codec = handover.codec();
        let first = codec.encode(envelope()).await.unwrap();
        for _ in 0..ENVELOPES_HELD_MAX {
            codec.encode(envelope()).await.unwrap();
        }
        assert_eq!(handover.held(), ENVELOPES_HELD_MAX);
        assert!(codec.decode(first).await.is_err());
    }
}
