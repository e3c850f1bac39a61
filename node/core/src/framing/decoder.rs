//! The decoder that every stream shares: bytes in, frames of one protocol out.

use std::fmt::Debug;

use bytes::Bytes;

use super::FramingError;
use super::frame::{FrameKind, Frames};

/// Which frames may come when, and what they mean.
pub trait Protocol: Debug {
    /// What comes out.
    type Frame;

    /// Whether a frame of this kind and length may come now. Sees to the kind's limit.
    fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError>;

    /// What an admitted frame means; of a data frame, one piece.
    fn decode(&mut self, kind: FrameKind, payload: Bytes) -> Result<Self::Frame, FramingError>;

    /// Whether nothing is missing, with every admitted frame taken as come: the decoder knows how far the last one is.
    fn is_complete(&self) -> bool;
}

/// Makes frames of the bytes of one stream, from after the preface.
///
/// Feed it with [`push`](Self::push) whatever has arrived, then take frames with [`next`](Self::next) until there is none,
/// and ask [`finish`](Self::finish) when the stream ends. It holds at most the chunk that was pushed last and the beginning
/// of one payload, within that payload's limit. After an error it gives the same error for ever.
#[derive(Debug, Default)]
pub struct Decoder<P> {
    frames: Frames,
    protocol: P,
    failed: Option<FramingError>,
}

impl<P: Protocol> Decoder<P> {
    pub(super) fn with_protocol(protocol: P) -> Self {
        Self { frames: Frames::default(), protocol, failed: None }
    }

    /// Hands in the next bytes of the stream. Cheap if everything pushed before has come out; otherwise both are copied
    /// together.
    pub fn push(&mut self, chunk: Bytes) {
        self.frames.push(chunk);
    }

    /// The next frame, or the next piece of a data frame; `None` if more bytes are needed.
    #[expect(
        clippy::should_implement_trait,
        reason = "none for now is not none for ever, and errors are an outcome"
    )]
    pub fn next(&mut self) -> Result<Option<P::Frame>, FramingError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.advance().inspect_err(|error| self.failed = Some(*error))
    }

    /// Whether everything that was announced has come: a body of known length to its last byte (trailers may follow), any
    /// other to its end frame.
    pub fn is_complete(&self) -> bool {
        self.failed.is_none() && !self.frames.is_within_payload() && self.protocol.is_complete()
    }

    /// To be asked at the end of the stream, after [`next`](Self::next) has given `None`: nothing if the message was
    /// complete.
    pub fn finish(&self) -> Result<(), FramingError> {
        match self.failed {
            Some(failed) => Err(failed),
            None if self.frames.is_drained() && self.protocol.is_complete() => Ok(()),
            None => Err(FramingError::Truncated),
        }
    }

    fn advance(&mut self) -> Result<Option<P::Frame>, FramingError> {
        let protocol = &mut self.protocol;
        match self.frames.next(|kind, length| protocol.admit(kind, length))? {
            Some((kind, payload)) => self.protocol.decode(kind, payload).map(Some),
            None => Ok(None),
        }
    }
}
