//! What crosses a tunnel: stream kinds and the frames on them, versioned and bounded.
//!
//! Probes are datagrams, see [`Probe`]. Everything else has a stream.
//!
//! Every stream begins with two bytes: its [`StreamKind`] and [`FRAMING_VERSION`]. What follows is frames: one byte kind,
//! four bytes length (big-endian, like every number here), payload. A gossip stream alone carries no frames but one message
//! to its end.
//!
//! ```text
//! request, edge -> serving     head  data*  end?
//!          serving -> edge     refused
//!                              accepted  informational*  head  data*  end?
//! exceptions                   ->  exceptions
//! admin                        call   ->  answer
//! ```
//!
//! **Ends are said, not implied.** A QUIC library that drops a stream half-way finishes it as if all had been written, so
//! the end of a stream proves nothing. A body of known length is complete with its last byte; one of unknown length, and
//! either direction of an upgraded connection, only with an `end` frame (which may carry trailers). `finish` of a decoder
//! tells a complete message from a truncated one.
//!
//! Data is passed on as it arrives: a data frame's payload is never collected or copied.

use bytes::{Bytes, BytesMut};

mod admin;
mod body;
mod decoder;
mod error;
mod exceptions;
mod fields;
mod frame;
mod payload;
mod probe;
mod request;
pub mod reset;
mod response;
#[cfg(test)]
mod tests;

pub use admin::{AdminAnswer, AdminAnswerDecoder, AdminCall, AdminCallDecoder};
pub use body::{BodyLength, encode_data, encode_data_header, encode_end, encode_trailers};
pub use decoder::{Decoder, Protocol};
pub use error::FramingError;
pub use exceptions::{ExceptionsDecoder, encode_exceptions};
pub use probe::{PROBE_BYTES, Probe};
pub use request::{RequestDecoder, RequestFrame, RequestHead, RequestHeadRef, RequestProtocol};
pub use response::{
    ACCEPTED, ResponseDecoder, ResponseFrame, ResponseHead, ResponseHeadRef, ResponseProtocol,
    encode_accepted, encode_informational, encode_refused,
};

/// What a stream is for: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StreamKind {
    /// One request and its response; bidirectional, opened by the edge.
    Request = 1,
    /// One gossip message; unidirectional.
    Gossip = 2,
    /// Documents; bidirectional.
    Policy = 3,
    /// Leases of budgets; bidirectional.
    Lease = 4,
    /// The answering node's tenants without a healthy backend; bidirectional, nothing is asked but by opening it.
    Exceptions = 5,
    /// One admin call; bidirectional.
    Admin = 6,
}

impl StreamKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Request, Self::Gossip, Self::Policy, Self::Lease, Self::Exceptions, Self::Admin];

    /// The two bytes that a stream of this kind begins with, written by whoever opens it.
    pub const fn preface(self) -> [u8; PREFACE_BYTES] {
        [self as u8, FRAMING_VERSION]
    }

    /// The kind of a stream that begins with `preface`; an error if the kind or the version is not known here.
    pub fn from_preface(preface: [u8; PREFACE_BYTES]) -> Result<Self, FramingError> {
        let [kind, version] = preface;
        let known = Self::ALL.into_iter().find(|known| *known as u8 == kind);
        let known = known.ok_or(FramingError::UnknownStreamKind(kind))?;
        if version == FRAMING_VERSION { Ok(known) } else { Err(FramingError::UnknownVersion(version)) }
    }
}

/// Appends a whole gossip stream: the preface and `message`, 1 to [`GOSSIP_BYTES_MAX`] bytes.
pub fn encode_gossip(message: &[u8], out: &mut BytesMut) -> Result<(), FramingError> {
    check_gossip(message.len())?;
    out.extend_from_slice(&StreamKind::Gossip.preface());
    out.extend_from_slice(message);
    Ok(())
}

/// The message of a gossip stream, from everything that followed the preface.
pub fn decode_gossip(stream: Bytes) -> Result<Bytes, FramingError> {
    check_gossip(stream.len()).map(|()| stream)
}

fn check_gossip(length: usize) -> Result<(), FramingError> {
    match length {
        0 => Err(FramingError::Truncated),
        1..=GOSSIP_BYTES_MAX => Ok(()),
        _ => Err(FramingError::TooLarge("gossip message")),
    }
}

/// The version of everything in this module; the second byte of every stream.
pub const FRAMING_VERSION: u8 = 1;
/// What a stream begins with.
pub const PREFACE_BYTES: usize = 2;
/// What every frame begins with: kind and length.
pub const FRAME_HEADER_BYTES: usize = 5;
/// The payload of a head, an informational head, or an end with trailers.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Header lines of one head or of trailers.
pub const HEADERS_MAX: usize = 256;
/// One header's name.
pub const HEADER_NAME_BYTES_MAX: usize = 255;
/// One header's value.
pub const HEADER_VALUE_BYTES_MAX: usize = 65_535;
/// The payload of one data frame.
pub const DATA_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Informational heads before one response.
pub const INFORMATIONAL_MAX: usize = 16;
/// One gossip message.
pub const GOSSIP_BYTES_MAX: usize = 65_507;
/// The path of an admin call.
pub const ADMIN_PATH_BYTES_MAX: usize = 2_048;
/// The body of an admin answer.
pub const ADMIN_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
