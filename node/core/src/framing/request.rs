//! The edge's half of a request stream: what is asked, and the body after it.

use bytes::{BufMut, Bytes, BytesMut};
use graticule_geo::Country;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method};

use super::body::{BodyLength, BodyProgress};
use super::decoder::{Decoder, Protocol};
use super::fields::{self, Section};
use super::frame::{self, FrameKind};
use super::payload::{Payload, put_long, put_short};
use super::{FramingError, HEAD_BYTES_MAX};
use crate::decide::ClientCountry;
use crate::policy::TenantId;

/// Makes [`RequestFrame`]s of a request stream's bytes, from after the preface.
pub type RequestDecoder = Decoder<RequestProtocol>;

impl RequestDecoder {
    /// A decoder at the beginning of a request.
    pub fn new() -> Self {
        Self::with_protocol(RequestProtocol::default())
    }
}

/// What comes from the edge, in this order: one head, data, and an end where one is needed.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestFrame {
    /// What is asked.
    Head(RequestHead),
    /// A piece of the body, or of what an upgraded connection carries.
    Data(Bytes),
    /// The end of the body, with trailers.
    Trailers(HeaderMap),
    /// The end of the body.
    End,
}

/// What an edge asks of a serving node.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestHead {
    /// Whose request it is, by the edge's claims.
    pub tenant: TenantId,
    /// The version of the tenant's document by which the edge decided.
    pub tenant_version: u64,
    /// The version of the fleet document by which the edge decided.
    pub fleet_version: u64,
    /// Where the client is, as far as the edge's rules asked.
    pub client: ClientCountry,
    /// The method.
    pub method: Method,
    /// Host and port as the client asked for them; without user information. Stands for `host`.
    pub authority: Authority,
    /// Path and query, or `*`.
    pub target: PathAndQuery,
    /// Every header but `host`, without those that speak of one connection.
    pub headers: HeaderMap,
    /// The length of the body.
    pub body: BodyLength,
    /// Whether the client asks for an upgrade (then there is no body). `headers` has `upgrade`, and `connection` is to be
    /// added; data after the head is what the upgraded connection carries, to be sent once 101 has been answered.
    pub upgrade: bool,
}

/// A [`RequestHead`] to be sent, of parts that stay where they are.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "field by field those of `RequestHead`")]
pub struct RequestHeadRef<'a> {
    pub tenant: &'a TenantId,
    pub tenant_version: u64,
    pub fleet_version: u64,
    pub client: ClientCountry,
    pub method: &'a Method,
    pub authority: &'a Authority,
    pub target: &'a PathAndQuery,
    /// `host` is left out when it is sent; headers of one connection are an error.
    pub headers: &'a HeaderMap,
    pub body: BodyLength,
    pub upgrade: bool,
}

impl RequestHeadRef<'_> {
    /// Appends the head's frame, without the stream's preface. On an error nothing is appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FramingError> {
        out.reserve(HEAD_BYTES_EXPECTED);
        frame::encode(FrameKind::Head, HEAD_BYTES_MAX, out, |out| {
            self.body.encode(out);
            out.put_u8(u8::from(self.upgrade));
            encode_client(self.client, out);
            out.put_u64(self.tenant_version);
            out.put_u64(self.fleet_version);
            put_short(self.tenant.as_str().as_bytes(), "tenant", out)?;
            put_short(self.method.as_str().as_bytes(), "method", out)?;
            put_long(self.authority.as_str().as_bytes(), "authority", out)?;
            put_long(self.target.as_str().as_bytes(), "target", out)?;
            check_form(self.authority, self.target)?;
            let declared = fields::encode(self.headers, Section::Request { upgrade: self.upgrade }, out)?;
            check_body(self.body, self.upgrade).and_then(|()| declared.check_request(self.body))
        })
    }
}

impl RequestHead {
    /// The same, to be sent.
    pub fn as_ref(&self) -> RequestHeadRef<'_> {
        RequestHeadRef {
            tenant: &self.tenant,
            tenant_version: self.tenant_version,
            fleet_version: self.fleet_version,
            client: self.client,
            method: &self.method,
            authority: &self.authority,
            target: &self.target,
            headers: &self.headers,
            body: self.body,
            upgrade: self.upgrade,
        }
    }

    fn decode(payload: Bytes) -> Result<Self, FramingError> {
        let mut payload = Payload::new(payload, FrameKind::Head.name());
        let body = BodyLength::decode(&mut payload)?;
        let upgrade = payload.flag()?;
        let client = decode_client(&mut payload)?;
        let tenant_version = payload.u64()?;
        let fleet_version = payload.u64()?;
        let tenant = decode_tenant(&mut payload)?;
        let method = decode_method(&mut payload)?;
        let (authority, target) = decode_address(&mut payload)?;
        let (headers, declared) = fields::decode(&mut payload, Section::Request { upgrade })?;
        check_body(body, upgrade).and_then(|()| declared.check_request(body))?;
        Ok(Self {
            tenant,
            tenant_version,
            fleet_version,
            client,
            method,
            authority,
            target,
            headers,
            body,
            upgrade,
        })
    }
}

/// Which frames of a request may come when.
#[derive(Debug, Default)]
pub struct RequestProtocol {
    /// `None` before the head.
    body: Option<BodyProgress>,
}

impl Protocol for RequestProtocol {
    type Frame = RequestFrame;

    fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError> {
        match &mut self.body {
            None if kind == FrameKind::Head => kind.limit(length, HEAD_BYTES_MAX),
            None => Err(FramingError::OutOfOrder(kind.name())),
            Some(body) => body.admit(kind, length),
        }
    }

    fn decode(&mut self, kind: FrameKind, payload: Bytes) -> Result<RequestFrame, FramingError> {
        match kind {
            FrameKind::Head => {
                let head = RequestHead::decode(payload)?;
                let length = if head.upgrade { BodyLength::Unknown } else { head.body };
                self.body = Some(BodyProgress::new(length));
                Ok(RequestFrame::Head(head))
            }
            FrameKind::Data => Ok(RequestFrame::Data(payload)),
            _ if payload.is_empty() => Ok(RequestFrame::End),
            _ => decode_trailers(payload).map(RequestFrame::Trailers),
        }
    }

    fn is_complete(&self) -> bool {
        self.body.is_some_and(|body| body.is_complete())
    }
}

/// Reads the payload of an end frame that has one.
pub(super) fn decode_trailers(payload: Bytes) -> Result<HeaderMap, FramingError> {
    fields::decode(&mut Payload::new(payload, "trailers"), Section::Trailers).map(|(trailers, _)| trailers)
}

fn encode_client(client: ClientCountry, out: &mut BytesMut) {
    match client {
        ClientCountry::NotAsked => out.put_u8(0),
        ClientCountry::Unknown => out.put_u8(1),
        ClientCountry::Known(country) => {
            out.put_u8(2);
            out.extend_from_slice(country.as_str().as_bytes());
        }
    }
}

fn decode_client(payload: &mut Payload) -> Result<ClientCountry, FramingError> {
    match payload.u8()? {
        0 => Ok(ClientCountry::NotAsked),
        1 => Ok(ClientCountry::Unknown),
        2 => {
            let country = text::<Country>(payload.slice(COUNTRY_BYTES)?);
            country.map(ClientCountry::Known).ok_or(FramingError::Malformed("client country"))
        }
        _ => Err(payload.malformed()),
    }
}

fn decode_tenant(payload: &mut Payload) -> Result<TenantId, FramingError> {
    let length = usize::from(payload.u8()?);
    text(payload.slice(length)?).ok_or(FramingError::Malformed("tenant"))
}

fn decode_method(payload: &mut Payload) -> Result<Method, FramingError> {
    let length = usize::from(payload.u8()?);
    Method::from_bytes(payload.slice(length)?).map_err(|_| FramingError::Malformed("method"))
}

fn decode_address(payload: &mut Payload) -> Result<(Authority, PathAndQuery), FramingError> {
    let length = usize::from(payload.u16()?);
    let authority = Authority::from_maybe_shared(payload.shared(length)?);
    let authority = authority.map_err(|_| FramingError::Malformed("authority"))?;
    let length = usize::from(payload.u16()?);
    let target = PathAndQuery::from_maybe_shared(payload.shared(length)?);
    let target = target.map_err(|_| FramingError::Malformed("target"))?;
    // Parsing cuts off a fragment and makes nothing to `/`: then it is not what was sent.
    if target.as_str().len() != length {
        return Err(FramingError::Malformed("target"));
    }
    check_form(&authority, &target).map(|()| (authority, target))
}

fn check_form(authority: &Authority, target: &PathAndQuery) -> Result<(), FramingError> {
    if authority.as_str().is_empty() || authority.as_str().contains('@') {
        return Err(FramingError::Malformed("authority"));
    }
    if !target.as_str().starts_with('/') && target.as_str() != "*" {
        return Err(FramingError::Malformed("target"));
    }
    Ok(())
}

fn check_body(body: BodyLength, upgrade: bool) -> Result<(), FramingError> {
    if upgrade && body != BodyLength::None { Err(FramingError::Malformed("upgrade")) } else { Ok(()) }
}

fn text<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

const COUNTRY_BYTES: usize = 2;
/// Room for most heads, so that a fresh buffer grows once.
const HEAD_BYTES_EXPECTED: usize = 1_024;
