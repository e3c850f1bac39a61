//! How a message of chitchat becomes bytes and is read back.

use std::fmt;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use chitchat::ChitchatEnvelope;

/// Turns envelopes into bytes and back. Chitchat has such a codec and keeps it private.
///
/// Either call may be given up half-way; the next call must work all the same.
#[async_trait]
pub trait Codec: Send {
    /// The bytes of `envelope`, at most [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX).
    async fn encode(&mut self, envelope: ChitchatEnvelope) -> Result<Bytes, CodecError>;

    /// The envelope that `message` carries. The bytes may be anything.
    async fn decode(&mut self, message: Bytes) -> Result<ChitchatEnvelope, CodecError>;
}

/// Why one message was not encoded or decoded. The next one may be.
#[derive(Debug)]
pub enum CodecError {
    /// The bytes are no message, or the message has no bytes that others would accept. The sender's fault.
    Malformed,
    /// The codec itself failed: this machine's fault, and it may be tried again.
    Failed(io::Error),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("no gossip message"),
            Self::Failed(error) => write!(f, "the gossip codec failed: {error}"),
        }
    }
}

impl std::error::Error for CodecError {}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}
