//! The serving node's half of a request stream: refused, or accepted and answered.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use super::body::{BodyLength, BodyProgress};
use super::decoder::{Decoder, Protocol};
use super::fields::{self, Section};
use super::frame::{self, FrameKind};
use super::payload::Payload;
use super::request::decode_trailers;
use super::{FramingError, HEAD_BYTES_MAX, INFORMATIONAL_MAX};
use crate::Reason;

/// Makes [`ResponseFrame`]s of what comes back on a request stream.
pub type ResponseDecoder = Decoder<ResponseProtocol>;

impl ResponseDecoder {
    /// A decoder for the response to a request that asked for an `upgrade` or did not: only then may 101 be answered.
    pub fn new(upgrade: bool) -> Self {
        Self::with_protocol(ResponseProtocol { upgrade, phase: Phase::Opening })
    }
}

/// What comes from the serving node: a refusal, or acceptance, informational heads, one head, data, and an end where one
/// is needed.
#[derive(Debug, Clone, PartialEq)]
pub enum ResponseFrame {
    /// The request is not served here. Before acceptance no backend has seen it; after it, the reason says whether one may
    /// have: `backend-failed` and `backend-timeout` mean that it may.
    Refused(Reason),
    /// The request is taken: from here on a backend may see it.
    Accepted,
    /// A 1xx response other than 101; its body is [`BodyLength::None`].
    Informational(ResponseHead),
    /// The response.
    Head(ResponseHead),
    /// A piece of the body, or of what an upgraded connection carries.
    Data(Bytes),
    /// The end of the body, with trailers.
    Trailers(HeaderMap),
    /// The end of the body.
    End,
}

/// What a backend answers.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// Every header, without those that speak of one connection.
    pub headers: HeaderMap,
    /// The length of the body; [`BodyLength::None`] with 101, after which data is what the upgraded connection carries.
    pub body: BodyLength,
}

/// A [`ResponseHead`] to be sent, of parts that stay where they are.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "field by field those of `ResponseHead`")]
pub struct ResponseHeadRef<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    pub body: BodyLength,
}

/// Appends a refusal, after which nothing follows.
pub fn encode_refused(reason: Reason, out: &mut BytesMut) {
    let label = reason.row().label.as_bytes();
    frame::encode_header(FrameKind::Refused, label.len(), out);
    out.extend_from_slice(label);
}

/// Acceptance: to be sent before a backend is contacted.
pub const ACCEPTED: [u8; 5] = [FrameKind::Accepted as u8, 0, 0, 0, 0];

/// Appends [`ACCEPTED`].
pub fn encode_accepted(out: &mut BytesMut) {
    out.extend_from_slice(&ACCEPTED);
}

/// Appends an informational head: 1xx without 101. On an error nothing is appended.
pub fn encode_informational(
    status: StatusCode,
    headers: &HeaderMap,
    out: &mut BytesMut,
) -> Result<(), FramingError> {
    ResponseHeadRef { status, headers, body: BodyLength::None }.encode_as(FrameKind::Informational, out)
}

impl ResponseHeadRef<'_> {
    /// Appends the response's head: 101, or 200 and above. On an error nothing is appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FramingError> {
        self.encode_as(FrameKind::Head, out)
    }

    fn encode_as(&self, kind: FrameKind, out: &mut BytesMut) -> Result<(), FramingError> {
        out.reserve(HEAD_BYTES_EXPECTED);
        frame::encode(kind, HEAD_BYTES_MAX, out, |out| {
            check_status(self.status, kind)?;
            out.put_u16(self.status.as_u16());
            self.body.encode(out);
            let declared = fields::encode(self.headers, section(self.status), out)?;
            check_body(self.status, self.body).and_then(|()| declared.check_response(self.body))
        })
    }
}

impl ResponseHead {
    /// The same, to be sent.
    pub fn as_ref(&self) -> ResponseHeadRef<'_> {
        ResponseHeadRef { status: self.status, headers: &self.headers, body: self.body }
    }

    fn decode(payload: Bytes, kind: FrameKind) -> Result<Self, FramingError> {
        let mut payload = Payload::new(payload, kind.name());
        let status = StatusCode::from_u16(payload.u16()?).map_err(|_| FramingError::Malformed("status"))?;
        check_status(status, kind)?;
        let body = BodyLength::decode(&mut payload)?;
        let (headers, declared) = fields::decode(&mut payload, section(status))?;
        check_body(status, body).and_then(|()| declared.check_response(body))?;
        Ok(Self { status, headers, body })
    }
}

/// Which frames of a response may come when.
#[derive(Debug)]
pub struct ResponseProtocol {
    upgrade: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Opening,
    Refused,
    Accepted { informational: usize },
    Answered(BodyProgress),
}

impl Protocol for ResponseProtocol {
    type Frame = ResponseFrame;

    fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError> {
        match (&mut self.phase, kind) {
            (Phase::Opening, FrameKind::Accepted) => kind.limit(length, 0),
            (Phase::Opening | Phase::Accepted { .. }, FrameKind::Refused) => {
                kind.limit(length, REASON_BYTES_MAX)
            }
            (Phase::Accepted { informational: INFORMATIONAL_MAX }, FrameKind::Informational) => {
                Err(FramingError::TooLarge("number of informational heads"))
            }
            (Phase::Accepted { .. }, FrameKind::Head | FrameKind::Informational) => {
                kind.limit(length, HEAD_BYTES_MAX)
            }
            (Phase::Answered(body), kind) => body.admit(kind, length),
            _ => Err(FramingError::OutOfOrder(kind.name())),
        }
    }

    fn decode(&mut self, kind: FrameKind, payload: Bytes) -> Result<ResponseFrame, FramingError> {
        match kind {
            FrameKind::Refused => {
                self.phase = Phase::Refused;
                decode_reason(&payload).map(ResponseFrame::Refused)
            }
            FrameKind::Accepted => {
                self.phase = Phase::Accepted { informational: 0 };
                Ok(ResponseFrame::Accepted)
            }
            FrameKind::Informational => self.decode_informational(payload),
            FrameKind::Head => self.decode_head(payload),
            FrameKind::Data => Ok(ResponseFrame::Data(payload)),
            _ if payload.is_empty() => Ok(ResponseFrame::End),
            _ => decode_trailers(payload).map(ResponseFrame::Trailers),
        }
    }

    fn is_complete(&self) -> bool {
        match &self.phase {
            Phase::Refused => true,
            Phase::Answered(body) => body.is_complete(),
            Phase::Opening | Phase::Accepted { .. } => false,
        }
    }
}

impl ResponseProtocol {
    fn decode_informational(&mut self, payload: Bytes) -> Result<ResponseFrame, FramingError> {
        let head = ResponseHead::decode(payload, FrameKind::Informational)?;
        if let Phase::Accepted { informational } = &mut self.phase {
            *informational += 1;
        }
        Ok(ResponseFrame::Informational(head))
    }

    fn decode_head(&mut self, payload: Bytes) -> Result<ResponseFrame, FramingError> {
        let head = ResponseHead::decode(payload, FrameKind::Head)?;
        let length = match head.status {
            StatusCode::SWITCHING_PROTOCOLS if !self.upgrade => {
                return Err(FramingError::OutOfOrder("upgrade"));
            }
            StatusCode::SWITCHING_PROTOCOLS => BodyLength::Unknown,
            _ => head.body,
        };
        self.phase = Phase::Answered(BodyProgress::new(length));
        Ok(ResponseFrame::Head(head))
    }
}

fn decode_reason(label: &[u8]) -> Result<Reason, FramingError> {
    let label = std::str::from_utf8(label).ok();
    label.and_then(Reason::from_label).ok_or(FramingError::Malformed("refusal's reason"))
}

fn section(status: StatusCode) -> Section {
    Section::Response { upgrade: status == StatusCode::SWITCHING_PROTOCOLS }
}

fn check_status(status: StatusCode, kind: FrameKind) -> Result<(), FramingError> {
    let informational = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
    if informational == (kind == FrameKind::Informational) {
        Ok(())
    } else {
        Err(FramingError::Malformed("status"))
    }
}

fn check_body(status: StatusCode, body: BodyLength) -> Result<(), FramingError> {
    if status.is_informational() && body != BodyLength::None {
        return Err(FramingError::LengthMismatch);
    }
    Ok(())
}

const REASON_BYTES_MAX: usize = 64;
/// Room for most heads, so that a fresh buffer grows once.
const HEAD_BYTES_EXPECTED: usize = 512;
