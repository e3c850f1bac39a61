//! How long a body is, how far it has come, and whether it ended as announced.

use bytes::{BufMut, BytesMut};
use http::HeaderMap;

use super::fields::{self, Section};
use super::frame::{self, FrameKind};
use super::payload::Payload;
use super::{DATA_BYTES_MAX, FramingError, HEAD_BYTES_MAX};

/// The length of a body, as the head announces it. What travels in `content-length` must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// So many bytes.
    Known(u64),
    /// It ends with an end frame.
    Unknown,
}

/// Appends a data frame, or several if there is more than [`DATA_BYTES_MAX`], or none if there is nothing.
pub fn encode_data(data: &[u8], out: &mut BytesMut) {
    for part in data.chunks(DATA_BYTES_MAX) {
        frame::encode_header(FrameKind::Data, part.len(), out);
        out.extend_from_slice(part);
    }
}

/// Appends the header of a data frame of `length` bytes (1 to [`DATA_BYTES_MAX`]), which the caller writes after it.
pub fn encode_data_header(length: usize, out: &mut BytesMut) -> Result<(), FramingError> {
    check_data(length)?;
    frame::encode_header(FrameKind::Data, length, out);
    Ok(())
}

/// Appends the frame that ends a body. Needed after a body of unknown length and in each direction of an upgraded
/// connection; allowed after any.
pub fn encode_end(out: &mut BytesMut) {
    frame::encode_header(FrameKind::End, 0, out);
}

/// Appends the frame that ends a body, with trailers. On an error nothing is appended.
pub fn encode_trailers(trailers: &HeaderMap, out: &mut BytesMut) -> Result<(), FramingError> {
    frame::encode(FrameKind::End, HEAD_BYTES_MAX, out, |out| {
        fields::encode(trailers, Section::Trailers, out).map(drop)
    })
}

/// How much of a body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyProgress {
    /// Bytes still to come; `None` if nobody has said.
    left: Option<u64>,
    ended: bool,
}

impl BodyProgress {
    /// A body of the announced length that has not begun.
    pub(super) fn new(length: BodyLength) -> Self {
        let left = match length {
            BodyLength::None => Some(0),
            BodyLength::Known(length) => Some(length),
            BodyLength::Unknown => None,
        };
        Self { left, ended: false }
    }

    /// Whether a frame of this kind and length may come next.
    pub(super) fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError> {
        match kind {
            FrameKind::Data | FrameKind::End if self.ended => Err(FramingError::OutOfOrder(kind.name())),
            FrameKind::Data => self.admit_data(length),
            FrameKind::End if self.left.is_some_and(|left| left > 0) => Err(FramingError::LengthMismatch),
            FrameKind::End => {
                self.ended = true;
                kind.limit(length, HEAD_BYTES_MAX)
            }
            _ => Err(FramingError::OutOfOrder(kind.name())),
        }
    }

    /// Whether the stream may end here. A frame that was admitted counts as come.
    pub(super) fn is_complete(&self) -> bool {
        self.ended || self.left == Some(0)
    }

    fn admit_data(&mut self, length: usize) -> Result<(), FramingError> {
        check_data(length)?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(length as u64).ok_or(FramingError::LengthMismatch)?;
        }
        Ok(())
    }
}

impl BodyLength {
    /// Appends it to a head.
    pub(super) fn encode(self, out: &mut BytesMut) {
        match self {
            Self::None => out.put_u8(0),
            Self::Known(length) => {
                out.put_u8(1);
                out.put_u64(length);
            }
            Self::Unknown => out.put_u8(2),
        }
    }

    /// Reads it from a head.
    pub(super) fn decode(payload: &mut Payload) -> Result<Self, FramingError> {
        match payload.u8()? {
            0 => Ok(Self::None),
            1 => payload.u64().map(Self::Known),
            2 => Ok(Self::Unknown),
            _ => Err(payload.malformed()),
        }
    }
}

fn check_data(length: usize) -> Result<(), FramingError> {
    if length == 0 {
        return Err(FramingError::Malformed("data"));
    }
    FrameKind::Data.limit(length, DATA_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_length_is_kept_exactly() {
        let mut body = BodyProgress::new(BodyLength::Known(10));
        assert_eq!(body.admit(FrameKind::Data, 4), Ok(()));
        assert!(!body.is_complete());
        assert_eq!(body.admit(FrameKind::Data, 7), Err(FramingError::LengthMismatch));
        assert_eq!(body.admit(FrameKind::Data, 6), Ok(()));
        assert!(body.is_complete());
        assert_eq!(body.admit(FrameKind::Data, 1), Err(FramingError::LengthMismatch));
    }

    #[test]
    fn an_end_before_the_announced_length_is_refused() {
        let mut body = BodyProgress::new(BodyLength::Known(10));
        assert_eq!(body.admit(FrameKind::Data, 9), Ok(()));
        assert_eq!(body.admit(FrameKind::End, 0), Err(FramingError::LengthMismatch));
    }

    #[test]
    fn an_unknown_length_ends_only_with_its_end_and_only_once() {
        let mut body = BodyProgress::new(BodyLength::Unknown);
        assert_eq!(body.admit(FrameKind::Data, 4), Ok(()));
        assert!(!body.is_complete());
        assert_eq!(body.admit(FrameKind::End, 0), Ok(()));
        assert!(body.is_complete());
        assert_eq!(body.admit(FrameKind::End, 0), Err(FramingError::OutOfOrder("end")));
        assert_eq!(body.admit(FrameKind::Data, 1), Err(FramingError::OutOfOrder("data")));
    }

    #[test]
    fn limits_of_data_are_exact() {
        let mut out = BytesMut::new();
        assert_eq!(encode_data_header(0, &mut out), Err(FramingError::Malformed("data")));
        assert_eq!(encode_data_header(DATA_BYTES_MAX + 1, &mut out), Err(FramingError::TooLarge("data")));
        assert!(out.is_empty());
        assert_eq!(encode_data_header(DATA_BYTES_MAX, &mut out), Ok(()));
        let mut body = BodyProgress::new(BodyLength::Unknown);
        assert_eq!(body.admit(FrameKind::Data, DATA_BYTES_MAX), Ok(()));
        assert_eq!(body.admit(FrameKind::Data, DATA_BYTES_MAX + 1), Err(FramingError::TooLarge("data")));
        assert_eq!(body.admit(FrameKind::Data, 0), Err(FramingError::Malformed("data")));
    }

    #[test]
    fn too_much_for_one_frame_becomes_several() {
        let mut out = BytesMut::new();
        encode_data(&vec![7; DATA_BYTES_MAX + 1], &mut out);
        assert_eq!(out.len(), DATA_BYTES_MAX + 1 + 2 * super::super::FRAME_HEADER_BYTES);
        let mut none = BytesMut::new();
        encode_data(&[], &mut none);
        assert!(none.is_empty());
    }
}
