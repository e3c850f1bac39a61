//! How gossip crosses a simulated network: a ticket travels, the envelope is handed over inside the process.
//!
//! The bytes that cross are a ticket number padded to the size that chitchat's own encoding has, so that the
//! simulated links see gossip of the right size. A ticket that is lost, repeated, cut or altered on the way decodes
//! to nothing. Nothing here waits, reads a clock or draws a random number.
//!
//! Chitchat shows the size of an encoding only by making it and reading it back, which costs more than all the rest of
//! gossip together. So it is made only where the size cannot be known otherwise.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chitchat::transport::{ChannelTransport, Socket, Transport};
use chitchat::{ChitchatEnvelope, ChitchatMessage, ProtocolVersion, Serializable};

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
        HandoverCodec { handover: self.clone(), scale: None, last: None }
    }

    /// How many envelopes lie on the table: those under way, and those lost on the way that nobody will fetch.
    pub fn held(&self) -> usize {
        self.with_table(|table| table.envelopes.len())
    }

    /// All that was ever left on the table.
    pub fn carried(&self) -> Carried {
        self.with_table(|table| table.carried)
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

/// Gossip that all nodes of one process have said, with the sizes that it has between processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Encodes by leaving envelopes on a [`Handover`], decodes by fetching them. For one process only.
pub struct HandoverCodec {
    handover: Handover,
    scale: Option<Scale>,
    /// What was said last, while it lies on the table.
    last: Option<Left>,
}

/// An envelope that was left on the table.
#[derive(Debug, Clone, Copy)]
struct Left {
    ticket: u64,
    bytes: usize,
}

#[async_trait]
impl Codec for HandoverCodec {
    async fn encode(&mut self, envelope: ChitchatEnvelope) -> Result<Bytes, CodecError> {
        let (envelope, bytes) = match self.said_before(&envelope) {
            Some(bytes) => (envelope, bytes),
            None => self.weigh(envelope).await?,
        };
        let bytes = bytes.max(TICKET_BYTES);
        let ticket = self.handover.leave(envelope, bytes);
        self.last = Some(Left { ticket, bytes });
        let mut message = BytesMut::zeroed(bytes);
        message[..TICKET_BYTES].copy_from_slice(&ticket.to_be_bytes());
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

impl HandoverCodec {
    /// How long the encoding is, if the same was said last: in one round, chitchat asks all its peers the same.
    fn said_before(&self, envelope: &ChitchatEnvelope) -> Option<usize> {
        let Left { ticket, bytes } = self.last?;
        self.handover.with_table(|table| table.holds(ticket, envelope)).then_some(bytes)
    }

    async fn weigh(&mut self, envelope: ChitchatEnvelope) -> Result<(ChitchatEnvelope, usize), CodecError> {
        // Taken while in use: whoever gives up half-way leaves no half-used scale behind.
        let mut scale = match self.scale.take() {
            Some(scale) => scale,
            None => Scale::new().await.ok_or(CodecError::Malformed)?,
        };
        let weighed = scale.weigh(envelope).await.ok_or(CodecError::Malformed)?;
        self.scale = Some(scale);
        Ok(weighed)
    }
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    carried: Carried,
    envelopes: BTreeMap<u64, (usize, ChitchatEnvelope)>,
}

impl Table {
    fn leave(&mut self, envelope: ChitchatEnvelope, bytes: usize) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.carried.messages += 1;
        self.carried.bytes += bytes as u64;
        self.envelopes.insert(ticket, (bytes, envelope));
        if self.envelopes.len() > ENVELOPES_HELD_MAX {
            self.envelopes.pop_first();
        }
        ticket
    }

    fn holds(&self, ticket: u64, envelope: &ChitchatEnvelope) -> bool {
        self.envelopes.get(&ticket).is_some_and(|(_, held)| held == envelope)
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
    /// What comes before the body of every message.
    head_bytes: usize,
}

impl Scale {
    async fn new() -> Option<Self> {
        let transport = ChannelTransport::with_mtu(MESSAGE_BYTES_MAX);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let from = transport.open(any).await.ok()?;
        let to = transport.open(any).await.ok()?;
        let address = to.local_addr().ok()?;
        let mut scale = Self { from, to, address, head_bytes: 0 };
        let bodiless =
            ChitchatEnvelope { version: ProtocolVersion::V1, message: ChitchatMessage::BadCluster };
        scale.head_bytes = scale.encoded(bodiless).await?.1;
        Some(scale)
    }

    async fn weigh(&mut self, envelope: ChitchatEnvelope) -> Option<(ChitchatEnvelope, usize)> {
        match &envelope.message {
            // A delta knows how long it is.
            ChitchatMessage::Ack { delta } => {
                let bytes = self.head_bytes + delta.serialized_len();
                (bytes <= MESSAGE_BYTES_MAX).then_some((envelope, bytes))
            }
            _ => self.encoded(envelope).await,
        }
    }

    async fn encoded(&mut self, envelope: ChitchatEnvelope) -> Option<(ChitchatEnvelope, usize)> {
        self.from.send(self.address, envelope).await.ok()?;
        let outcome = self.to.recv().await.ok()?;
        Some((outcome.envelope, outcome.num_bytes_received))
    }
}

const TICKET_BYTES: usize = size_of::<u64>();
/// Enough for every node of the largest simulation to have an exchange under way; the oldest are given up first.
const ENVELOPES_HELD_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests;
