//! Where one frame ends and the next begins, in pieces of any size.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{FRAME_HEADER_BYTES, FramingError};

/// What a frame is: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Head = 1,
    Data = 2,
    End = 3,
    Accepted = 4,
    Refused = 5,
    Informational = 6,
    Exceptions = 7,
    AdminCall = 8,
    AdminAnswer = 9,
}

impl FrameKind {
    /// What it is called in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Data => "data",
            Self::End => "end",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Informational => "informational head",
            Self::Exceptions => "exceptions",
            Self::AdminCall => "admin call",
            Self::AdminAnswer => "admin answer",
        }
    }

    /// Nothing if `length` is at most `bytes_max`, else the error that says so.
    pub fn limit(self, length: usize, bytes_max: usize) -> Result<(), FramingError> {
        if length <= bytes_max { Ok(()) } else { Err(FramingError::TooLarge(self.name())) }
    }

    fn from_byte(byte: u8) -> Result<Self, FramingError> {
        Ok(match byte {
            1 => Self::Head,
            2 => Self::Data,
            3 => Self::End,
            4 => Self::Accepted,
            5 => Self::Refused,
            6 => Self::Informational,
            7 => Self::Exceptions,
            8 => Self::AdminCall,
            9 => Self::AdminAnswer,
            unknown => return Err(FramingError::UnknownFrame(unknown)),
        })
    }
}

/// Appends a frame whose payload `write` appends; leaves `out` as it was if that fails or is over `bytes_max`.
pub(super) fn encode(
    kind: FrameKind,
    bytes_max: usize,
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), FramingError>,
) -> Result<(), FramingError> {
    let start = out.len();
    encode_header(kind, 0, out);
    let written = write(out).and_then(|()| {
        let length = out.len() - start - FRAME_HEADER_BYTES;
        kind.limit(length, bytes_max)?;
        out[start + 1..start + FRAME_HEADER_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
        Ok(())
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends the header of a frame; `length` is within the kind's limit, and so within 32 bits.
pub(super) fn encode_header(kind: FrameKind, length: usize, out: &mut BytesMut) {
    out.put_u8(kind as u8);
    out.put_u32(length as u32);
}

/// Splits pushed bytes into frames. Data comes out piece by piece as it arrived, every other payload whole.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Pushed and not yet looked at.
    chunk: Bytes,
    /// The beginning of a header or payload whose rest has not been pushed; empty most of the time.
    partial: BytesMut,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    /// Between frames, or within a header.
    #[default]
    Header,
    /// Within a payload that is given whole.
    Payload(FrameKind, usize),
    /// Within a data frame with so many bytes left.
    Data(usize),
}

impl Frames {
    /// Hands bytes in.
    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::from(std::mem::take(&mut self.chunk));
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The next payload, or piece of one if it is data; `None` if more bytes are needed. `admit` is asked about every
    /// header before anything is collected for it, and sees to limits.
    pub(super) fn next(
        &mut self,
        mut admit: impl FnMut(FrameKind, usize) -> Result<(), FramingError>,
    ) -> Result<Option<(FrameKind, Bytes)>, FramingError> {
        loop {
            match self.stage {
                Stage::Header => {
                    let Some((kind, length)) = self.take_header()? else { return Ok(None) };
                    admit(kind, length)?;
                    self.stage = match kind {
                        FrameKind::Data => Stage::Data(length),
                        kind => Stage::Payload(kind, length),
                    };
                }
                Stage::Data(0) => self.stage = Stage::Header,
                Stage::Data(left) => return Ok(self.take_data(left)),
                Stage::Payload(kind, length) => {
                    let Some(payload) = self.take(length) else { return Ok(None) };
                    self.stage = Stage::Header;
                    return Ok(Some((kind, payload)));
                }
            }
        }
    }

    /// Whether some of a payload is still to come out.
    pub(super) fn is_within_payload(&self) -> bool {
        !matches!(self.stage, Stage::Header | Stage::Data(0))
    }

    /// Whether everything pushed has come out and no frame is open.
    pub(super) fn is_drained(&self) -> bool {
        !self.is_within_payload() && self.chunk.is_empty() && self.partial.is_empty()
    }

    fn take_header(&mut self) -> Result<Option<(FrameKind, usize)>, FramingError> {
        let header = match self.chunk.first_chunk::<FRAME_HEADER_BYTES>() {
            Some(header) if self.partial.is_empty() => {
                let header = *header;
                self.chunk.advance(FRAME_HEADER_BYTES);
                header
            }
            _ => {
                let Some(collected) = self.take(FRAME_HEADER_BYTES) else { return Ok(None) };
                collected.first_chunk().copied().unwrap_or_default()
            }
        };
        let [kind, length @ ..] = header;
        Ok(Some((FrameKind::from_byte(kind)?, u32::from_be_bytes(length) as usize)))
    }

    fn take_data(&mut self, left: usize) -> Option<(FrameKind, Bytes)> {
        let piece = self.chunk.split_to(left.min(self.chunk.len()));
        self.stage = Stage::Data(left - piece.len());
        (!piece.is_empty()).then_some((FrameKind::Data, piece))
    }

    /// Exactly `length` bytes: a slice of what was pushed if it holds them all, else a collection that grows only with
    /// what has really come.
    fn take(&mut self, length: usize) -> Option<Bytes> {
        if self.partial.is_empty() && self.chunk.len() >= length {
            return Some(self.chunk.split_to(length));
        }
        let wanted = length - self.partial.len();
        let more = self.chunk.split_to(wanted.min(self.chunk.len()));
        self.partial.extend_from_slice(&more);
        (self.partial.len() == length).then(|| std::mem::take(&mut self.partial).freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "has the shape of a protocol's answer")]
    fn any_length(_: FrameKind, _: usize) -> Result<(), FramingError> {
        Ok(())
    }

    #[test]
    fn kinds_survive_their_byte_and_no_other_byte_is_one() {
        let known = (0..=u8::MAX).filter_map(|byte| FrameKind::from_byte(byte).ok().map(|kind| (byte, kind)));
        let known: Vec<_> = known.collect();
        assert_eq!(known.len(), 9);
        assert!(known.iter().all(|(byte, kind)| *byte == *kind as u8));
    }

    #[test]
    fn data_comes_before_its_frame_is_complete_and_is_not_copied() {
        let mut out = BytesMut::new();
        encode_header(FrameKind::Data, 100, &mut out);
        out.extend_from_slice(b"first");
        let pushed = out.freeze();
        let expected = pushed.as_ptr_range().end as usize - 5;
        let mut frames = Frames::default();
        frames.push(pushed);
        let (kind, piece) = frames.next(any_length).unwrap().unwrap();
        assert_eq!((kind, &piece[..]), (FrameKind::Data, &b"first"[..]));
        assert_eq!(piece.as_ptr() as usize, expected);
        assert_eq!(frames.next(any_length), Ok(None));
        assert!(!frames.is_drained());
    }

    #[test]
    fn a_whole_payload_within_one_chunk_is_not_copied() {
        let mut out = BytesMut::new();
        encode(FrameKind::Head, 10, &mut out, |out| {
            out.extend_from_slice(b"0123456789");
            Ok(())
        })
        .unwrap();
        let pushed = out.freeze();
        let expected = pushed.as_ptr() as usize + FRAME_HEADER_BYTES;
        let mut frames = Frames::default();
        frames.push(pushed);
        let (_, payload) = frames.next(any_length).unwrap().unwrap();
        assert_eq!(payload.as_ptr() as usize, expected);
    }

    #[test]
    fn nothing_is_collected_for_a_frame_that_is_not_admitted() {
        let mut frames = Frames::default();
        frames.push(Bytes::from_static(&[1, 255, 255, 255, 255, 0, 0]));
        let refused = frames.next(|kind, length| kind.limit(length, 10));
        assert_eq!(refused, Err(FramingError::TooLarge("head")));
        assert_eq!(frames.partial.capacity(), 0);
    }

    #[test]
    fn a_large_announced_length_allocates_only_for_what_comes() {
        let mut frames = Frames::default();
        frames.push(Bytes::from_static(&[1, 0, 1, 255, 255, 7]));
        assert_eq!(frames.next(any_length), Ok(None));
        assert!(frames.partial.capacity() < 1_024);
    }

    #[test]
    fn a_payload_over_its_limit_leaves_nothing_behind() {
        let mut out = BytesMut::from(&b"before"[..]);
        let refused = encode(FrameKind::Exceptions, 3, &mut out, |out| {
            out.extend_from_slice(b"four");
            Ok(())
        });
        assert_eq!(refused, Err(FramingError::TooLarge("exceptions")));
        assert_eq!(&out[..], b"before");
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_the_bytes_are_cut(
            payloads in prop::collection::vec((1u8..=9, prop::collection::vec(any::<u8>(), 1..40)), 1..8),
            cuts in prop::collection::vec(1usize..20, 1..60),
            drained in any::<bool>(),
        ) {
            let mut out = BytesMut::new();
            for (kind, payload) in &payloads {
                encode(FrameKind::from_byte(*kind).unwrap(), 40, &mut out, |out| {
                    out.extend_from_slice(payload);
                    Ok(())
                }).unwrap();
            }
            let mut rest = out.freeze();
            let mut frames = Frames::default();
            let mut seen: Vec<(FrameKind, Vec<u8>)> = Vec::new();
            let mut cut = cuts.iter().cycle();
            while !rest.is_empty() || !drained {
                let at = (*cut.next().unwrap()).min(rest.len());
                frames.push(rest.split_to(at));
                if !drained && !rest.is_empty() {
                    continue;
                }
                while let Some((kind, piece)) = frames.next(any_length).unwrap() {
                    seen.push((kind, piece.to_vec()));
                }
                if rest.is_empty() {
                    break;
                }
            }
            let data = |frames: &[(FrameKind, Vec<u8>)]| -> Vec<u8> {
                frames.iter().filter(|(kind, _)| *kind == FrameKind::Data).flat_map(|(_, bytes)| bytes.clone()).collect()
            };
            let sent: Vec<_> =
                payloads.into_iter().map(|(kind, bytes)| (FrameKind::from_byte(kind).unwrap(), bytes)).collect();
            prop_assert_eq!(data(&seen), data(&sent));
            let whole = |frames: Vec<(FrameKind, Vec<u8>)>| -> Vec<_> {
                frames.into_iter().filter(|(kind, _)| *kind != FrameKind::Data).collect()
            };
            prop_assert_eq!(whole(seen), whole(sent));
            prop_assert!(frames.is_drained());
        }
    }
}
