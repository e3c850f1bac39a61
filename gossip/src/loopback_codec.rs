//! How gossip crosses a real network: the workaround for chitchat's private codec, all of it.
//!
//! Chitchat can write an envelope as bytes and read it back, but only inside its own UDP socket. So that socket is kept
//! here, on loopback, next to one of ours: what it sends to ours is the encoding, what we send to it comes out of it
//! decoded. Ours takes datagrams of that one sender only, and of what comes out of it only what ours has sent counts.
//!
//! Its `recv` swallows what it cannot read and waits on. A fence therefore follows every message: a valid message of a
//! length that no other can have. When the fence comes out first, there was no message before it.
//!
//! Chitchat's decoder also unpacks without a limit: 64 KiB of bytes could become 200 MiB. [`is_well_framed`] looks
//! at the frame first.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chitchat::transport::{Socket, UdpSocket as ChitchatSocket};
use chitchat::{ChitchatEnvelope, ChitchatMessage};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::carrier::MESSAGE_BYTES_MAX;
use crate::codec::{Codec, CodecError};

/// Two UDP sockets on loopback that make bytes of envelopes and envelopes of bytes. Needs real time.
pub struct LoopbackCodec {
    pair: Pair,
    /// False while a call is under way, and after one that was given up: datagrams may then lie in the sockets.
    in_step: bool,
}

impl LoopbackCodec {
    /// Binds the two sockets to ports that the system chooses.
    pub async fn open() -> io::Result<Self> {
        Ok(Self { pair: Pair::open().await?, in_step: true })
    }

    async fn begin(&mut self) -> io::Result<()> {
        if !self.in_step {
            self.pair = Pair::open().await?;
        }
        self.in_step = false;
        Ok(())
    }
}

#[async_trait]
impl Codec for LoopbackCodec {
    async fn encode(&mut self, envelope: ChitchatEnvelope) -> Result<Bytes, CodecError> {
        self.begin().await?;
        let message = timeout(STEP_MAX, self.pair.encode(envelope)).await.map_err(io::Error::from)??;
        self.in_step = true;
        Ok(message)
    }

    async fn decode(&mut self, message: Bytes) -> Result<ChitchatEnvelope, CodecError> {
        if !is_well_framed(&message) {
            return Err(CodecError::Malformed);
        }
        self.begin().await?;
        let envelope = timeout(STEP_MAX, self.pair.decode(&message)).await.map_err(io::Error::from)??;
        self.in_step = true;
        envelope.ok_or(CodecError::Malformed)
    }
}

struct Pair {
    ours: UdpSocket,
    our_address: SocketAddr,
    theirs: ChitchatSocket,
    their_address: SocketAddr,
    buffer: Box<[u8]>,
}

impl Pair {
    async fn open() -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let theirs = ChitchatSocket::open(any).await.map_err(io::Error::other)?;
        let their_address = theirs.local_addr().map_err(io::Error::other)?;
        let ours = UdpSocket::bind(any).await?;
        // From here on the kernel drops what anybody else sends to ours.
        ours.connect(their_address).await?;
        let our_address = ours.local_addr()?;
        Ok(Self { ours, our_address, theirs, their_address, buffer: vec![0; MESSAGE_BYTES_MAX].into() })
    }

    async fn encode(&mut self, envelope: ChitchatEnvelope) -> io::Result<Bytes> {
        self.theirs.send(self.our_address, envelope).await.map_err(io::Error::other)?;
        loop {
            // Whatever came between binding and connecting is still there, from whomever.
            let (length, from) = self.ours.recv_from(&mut self.buffer).await?;
            if from == self.their_address {
                return Ok(Bytes::copy_from_slice(&self.buffer[..length]));
            }
        }
    }

    async fn decode(&mut self, message: &[u8]) -> io::Result<Option<ChitchatEnvelope>> {
        self.ours.send(message).await?;
        self.ours.send(&FENCE).await?;
        let mut decoded = None;
        loop {
            let outcome = self.theirs.recv().await.map_err(io::Error::other)?;
            if outcome.from_addr != self.our_address {
                continue;
            }
            let is_fence = outcome.envelope.message == ChitchatMessage::BadCluster
                && outcome.num_bytes_received == FENCE.len();
            if is_fence {
                return Ok(decoded);
            }
            decoded = Some(outcome.envelope);
        }
    }
}

/// Whether `message` has the frame of a message of chitchat's protocol V1, whole and without a byte too many, in no more
/// blocks than an honest one has. Chitchat unpacks a block to at most 64 KiB.
fn is_well_framed(message: &[u8]) -> bool {
    let Some((header, body)) = message.split_first_chunk::<4>() else { return false };
    let rest = match *header {
        SYN => after_blocks(body).and_then(after_text),
        SYN_ACK => after_blocks(body).and_then(after_blocks),
        ACK => after_blocks(body),
        BAD_CLUSTER => Some(body),
        _ => None,
    };
    rest.is_some_and(<[u8]>::is_empty)
}

/// What follows the blocks of a digest or delta: each a type, a length of two bytes, and as many bytes.
fn after_blocks(mut bytes: &[u8]) -> Option<&[u8]> {
    for _ in 0..=BLOCKS_MAX {
        let (kind, rest) = bytes.split_first()?;
        bytes = match *kind {
            NO_MORE_BLOCKS => return Some(rest),
            COMPRESSED_BLOCK | PLAIN_BLOCK => after_text(rest)?,
            _ => return None,
        };
    }
    None
}

fn after_text(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(usize::from(u16::from_le_bytes(*length))..)
}

/// Magic number, protocol version, message type.
const SYN: [u8; 4] = [0x53, 0xB0, 1, 0];
const SYN_ACK: [u8; 4] = [0x53, 0xB0, 1, 1];
const ACK: [u8; 4] = [0x53, 0xB0, 1, 2];
const BAD_CLUSTER: [u8; 4] = [0x53, 0xB0, 1, 3];
/// Chitchat reads the first four bytes and ignores the fifth; a message with one too many is refused before.
const FENCE: [u8; 5] = [0x53, 0xB0, 1, 3, 0];

const NO_MORE_BLOCKS: u8 = 0;
const COMPRESSED_BLOCK: u8 = 1;
const PLAIN_BLOCK: u8 = 2;
/// Of each digest or delta. Chitchat fills blocks with 16 KiB, so that this is 1 MiB of what 1,024 nodes say in 400 KiB.
const BLOCKS_MAX: usize = 64;
/// For one call. Loopback takes microseconds; a datagram that the kernel dropped never comes.
const STEP_MAX: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
