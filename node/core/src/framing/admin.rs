//! One admin call passed to another node, and its answer.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::decoder::{Decoder, Protocol};
use super::frame::{self, FrameKind};
use super::payload::Payload;
use super::{ADMIN_BODY_BYTES_MAX, ADMIN_PATH_BYTES_MAX, FramingError};

/// What is asked of another node's admin API.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminCall {
    /// Path and query; with the token at most [`ADMIN_PATH_BYTES_MAX`] bytes. Without NUL.
    pub path: String,
    /// The token of whoever asked first; the node that is asked judges it.
    pub token: Option<String>,
}

impl fmt::Debug for AdminCall {
    /// Without the token, which would be a secret in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminCall").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What the other node answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminAnswer {
    /// The HTTP status, 100 to 999.
    pub status: u16,
    /// The body, at most [`ADMIN_BODY_BYTES_MAX`] bytes.
    pub body: Bytes,
}

/// Makes an [`AdminCall`] of an admin stream's bytes, from after the preface.
pub type AdminCallDecoder = Decoder<AdminCallProtocol>;

/// Makes an [`AdminAnswer`] of what comes back on an admin stream.
pub type AdminAnswerDecoder = Decoder<AdminAnswerProtocol>;

impl AdminCallDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }
}

impl AdminAnswerDecoder {
    /// A decoder at the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl AdminCall {
    /// Appends the call's frame, without the stream's preface. On an error nothing is appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FramingError> {
        frame::encode(FrameKind::AdminCall, ADMIN_PATH_BYTES_MAX, out, |out| {
            if self.path.contains('\0') {
                return Err(FramingError::Malformed("admin call"));
            }
            out.extend_from_slice(self.path.as_bytes());
            if let Some(token) = &self.token {
                out.put_u8(0);
                out.extend_from_slice(token.as_bytes());
            }
            Ok(())
        })
    }
}

impl AdminAnswer {
    /// Appends the answer's frame. On an error nothing is appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FramingError> {
        frame::encode(FrameKind::AdminAnswer, ANSWER_BYTES_MAX, out, |out| {
            check_status(self.status)?;
            out.put_u16(self.status);
            out.extend_from_slice(&self.body);
            Ok(())
        })
    }
}

/// One call.
#[derive(Debug, Default)]
pub struct AdminCallProtocol(Once);

impl Protocol for AdminCallProtocol {
    type Frame = AdminCall;

    fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError> {
        self.0.admit(kind, FrameKind::AdminCall)?;
        kind.limit(length, ADMIN_PATH_BYTES_MAX)
    }

    fn decode(&mut self, _: FrameKind, payload: Bytes) -> Result<AdminCall, FramingError> {
        let text = String::from_utf8(payload.into()).map_err(|_| FramingError::Malformed("admin call"))?;
        Ok(match text.split_once('\0') {
            Some((path, token)) => AdminCall { path: path.to_owned(), token: Some(token.to_owned()) },
            None => AdminCall { path: text, token: None },
        })
    }

    fn is_complete(&self) -> bool {
        self.0.came
    }
}

/// One answer.
#[derive(Debug, Default)]
pub struct AdminAnswerProtocol(Once);

impl Protocol for AdminAnswerProtocol {
    type Frame = AdminAnswer;

    fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError> {
        self.0.admit(kind, FrameKind::AdminAnswer)?;
        kind.limit(length, ANSWER_BYTES_MAX)
    }

    fn decode(&mut self, kind: FrameKind, payload: Bytes) -> Result<AdminAnswer, FramingError> {
        let mut payload = Payload::new(payload, kind.name());
        let status = payload.u16()?;
        check_status(status)?;
        Ok(AdminAnswer { status, body: payload.rest() })
    }

    fn is_complete(&self) -> bool {
        self.0.came
    }
}

/// Whether the one frame of a stream has come.
#[derive(Debug, Default)]
struct Once {
    came: bool,
}

impl Once {
    fn admit(&mut self, kind: FrameKind, expected: FrameKind) -> Result<(), FramingError> {
        if self.came || kind != expected {
            return Err(FramingError::OutOfOrder(kind.name()));
        }
        self.came = true;
        Ok(())
    }
}

fn check_status(status: u16) -> Result<(), FramingError> {
    if (100..=999).contains(&status) { Ok(()) } else { Err(FramingError::Malformed("status")) }
}

/// Status and body.
const ANSWER_BYTES_MAX: usize = 2 + ADMIN_BODY_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact() {
        let mut out = BytesMut::new();
        let call = |length| AdminCall { path: "p".repeat(length), token: None };
        assert_eq!(
            call(ADMIN_PATH_BYTES_MAX + 1).encode(&mut out),
            Err(FramingError::TooLarge("admin call"))
        );
        assert!(out.is_empty());
        assert_eq!(call(ADMIN_PATH_BYTES_MAX).encode(&mut out), Ok(()));
        let mut decoder = AdminCallDecoder::new();
        decoder.push(out.freeze());
        assert_eq!(decoder.next(), Ok(Some(call(ADMIN_PATH_BYTES_MAX))));
        assert_eq!(decoder.finish(), Ok(()));

        let mut out = BytesMut::new();
        let answer = |length| AdminAnswer { status: 200, body: vec![b'b'; length].into() };
        let over = answer(ADMIN_BODY_BYTES_MAX + 1).encode(&mut out);
        assert_eq!(over, Err(FramingError::TooLarge("admin answer")));
        assert_eq!(answer(ADMIN_BODY_BYTES_MAX).encode(&mut out), Ok(()));
        let mut decoder = AdminAnswerDecoder::new();
        decoder.push(out.freeze());
        assert_eq!(decoder.next(), Ok(Some(answer(ADMIN_BODY_BYTES_MAX))));
    }

    #[test]
    fn a_stream_carries_one_call_and_not_less() {
        let mut out = BytesMut::new();
        let call = AdminCall { path: "/v1/nodes".into(), token: Some("secret".into()) };
        call.encode(&mut out).unwrap();
        call.encode(&mut out).unwrap();
        let mut decoder = AdminCallDecoder::new();
        assert_eq!(decoder.finish(), Err(FramingError::Truncated));
        decoder.push(out.freeze());
        assert_eq!(decoder.next(), Ok(Some(call)));
        assert_eq!(decoder.next(), Err(FramingError::OutOfOrder("admin call")));
        assert_eq!(decoder.next(), Err(FramingError::OutOfOrder("admin call")));
    }

    #[test]
    fn a_token_is_not_shown() {
        let call = AdminCall { path: "/v1/drain".into(), token: Some("secret".into()) };
        let shown = format!("{call:?}");
        assert!(shown.contains("/v1/drain") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_status_has_three_digits() {
        for (status, legal) in [(99, false), (100, true), (999, true), (1_000, false)] {
            let encoded = AdminAnswer { status, body: Bytes::new() }.encode(&mut BytesMut::new());
            assert_eq!(encoded.is_ok(), legal, "{status}");
        }
    }
}
