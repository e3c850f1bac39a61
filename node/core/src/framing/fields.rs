//! The header lines of a head or of trailers, and which may not cross a tunnel.

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::payload::{Payload, put_long, put_short};
use super::{BodyLength, FramingError, HEADERS_MAX};
use crate::headers::X_REQUEST_ID;

/// Where header lines stand: what is forbidden depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// A request's head.
    Request {
        /// Whether it asks for an upgrade.
        upgrade: bool,
    },
    /// A response's head.
    Response {
        /// Whether it answers 101.
        upgrade: bool,
    },
    /// After a body.
    Trailers,
}

/// Appends every line of `headers` but `host` of a request, which its head says elsewhere.
pub(super) fn encode(
    headers: &HeaderMap,
    section: Section,
    out: &mut BytesMut,
) -> Result<Declared, FramingError> {
    let count_at = out.len();
    out.put_u16(0);
    let mut declared = Declared::default();
    let mut count: u16 = 0;
    for (name, value) in headers {
        if matches!(section, Section::Request { .. }) && name == http::header::HOST {
            continue;
        }
        declared.look_at(name, value, section)?;
        count += 1;
        check_count(count)?;
        put_short(name.as_str().as_bytes(), "header name", out)?;
        put_long(value.as_bytes(), "header value", out)?;
    }
    out[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
    Ok(declared)
}

/// Reads what [`encode`] wrote, to the payload's end.
pub(super) fn decode(payload: &mut Payload, section: Section) -> Result<(HeaderMap, Declared), FramingError> {
    let count = payload.u16()?;
    check_count(count)?;
    if payload.left() < usize::from(count) * LINE_BYTES_MIN {
        return Err(payload.malformed());
    }
    let too_many = |_| FramingError::TooLarge("headers");
    let room = usize::from(count) + LINES_ADDED_LATER;
    let mut headers = HeaderMap::try_with_capacity(room).map_err(too_many)?;
    let mut declared = Declared::default();
    for _ in 0..count {
        let (name, value) = decode_line(payload)?;
        declared.look_at(&name, &value, section)?;
        headers.try_append(name, value).map_err(too_many)?;
    }
    payload.finish()?;
    Ok((headers, declared))
}

fn decode_line(payload: &mut Payload) -> Result<(HeaderName, HeaderValue), FramingError> {
    let length = usize::from(payload.u8()?);
    let name = payload.slice(length)?;
    let name = match frequent(name) {
        Some(name) => name,
        None => HeaderName::from_lowercase(name).map_err(|_| FramingError::Malformed("header name"))?,
    };
    let length = usize::from(payload.u16()?);
    let value = HeaderValue::from_maybe_shared(payload.shared(length)?);
    Ok((name, value.map_err(|_| FramingError::Malformed("header value"))?))
}

/// Names that nodes add themselves, and the library does not know: not copied for every line.
fn frequent(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"x-forwarded-for" => X_FORWARDED_FOR,
        b"traceparent" => TRACEPARENT,
        b"x-request-id" => X_REQUEST_ID,
        _ => return None,
    })
}

fn check_count(count: u16) -> Result<(), FramingError> {
    if usize::from(count) <= HEADERS_MAX { Ok(()) } else { Err(FramingError::TooLarge("headers")) }
}

/// What header lines say of the body's length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Declared {
    content_length: Option<u64>,
}

impl Declared {
    /// Whether a body of `length` may follow a request's head with these lines.
    pub(super) fn check_request(self, length: BodyLength) -> Result<(), FramingError> {
        match (self.content_length, length) {
            (None, _) | (Some(0), BodyLength::None) => Ok(()),
            (Some(declared), BodyLength::Known(length)) if declared == length => Ok(()),
            _ => Err(FramingError::LengthMismatch),
        }
    }

    /// Whether a body of `length` may follow a response's head with these lines. One without a body may still say how
    /// long it would have been (to HEAD, and 304).
    pub(super) fn check_response(self, length: BodyLength) -> Result<(), FramingError> {
        match length {
            BodyLength::None => Ok(()),
            _ => self.check_request(length),
        }
    }

    fn look_at(&mut self, name: &HeaderName, value: &HeaderValue, at: Section) -> Result<(), FramingError> {
        match name.as_str() {
            "content-length" => self.read_length(value, at),
            "connection" => Err(FramingError::ForbiddenHeader("connection")),
            "keep-alive" => Err(FramingError::ForbiddenHeader("keep-alive")),
            "proxy-connection" => Err(FramingError::ForbiddenHeader("proxy-connection")),
            "transfer-encoding" => Err(FramingError::ForbiddenHeader("transfer-encoding")),
            "te" if at == Section::Trailers || value != "trailers" => {
                Err(FramingError::ForbiddenHeader("te"))
            }
            "upgrade" if !at.is_upgrade() => Err(FramingError::ForbiddenHeader("upgrade")),
            "host" if !matches!(at, Section::Response { .. }) => Err(FramingError::ForbiddenHeader("host")),
            "trailer" if at == Section::Trailers => Err(FramingError::ForbiddenHeader("trailer")),
            _ => Ok(()),
        }
    }

    fn read_length(&mut self, value: &HeaderValue, section: Section) -> Result<(), FramingError> {
        if section == Section::Trailers {
            return Err(FramingError::ForbiddenHeader("content-length"));
        }
        let digits = value.as_bytes();
        let length = (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
            .then(|| value.to_str().ok()?.parse().ok())
            .flatten();
        let length = length.ok_or(FramingError::Malformed("content-length"))?;
        match self.content_length.replace(length) {
            None => Ok(()),
            Some(_) => Err(FramingError::Malformed("content-length")),
        }
    }
}

impl Section {
    fn is_upgrade(self) -> bool {
        matches!(self, Self::Request { upgrade: true } | Self::Response { upgrade: true })
    }
}

/// Lines that a node adds to those that it was sent, such as `Via`: they should not make the map grow.
const LINES_ADDED_LATER: usize = 4;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Lengths of name and value, and one byte of name.
const LINE_BYTES_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX};

    const REQUEST: Section = Section::Request { upgrade: false };
    const RESPONSE: Section = Section::Response { upgrade: false };

    fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut map = HeaderMap::new();
        lines.iter().map(line).for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    fn crossed(headers: &HeaderMap, section: Section) -> Result<HeaderMap, FramingError> {
        let mut out = BytesMut::new();
        let declared = encode(headers, section, &mut out)?;
        let (headers, again) = decode(&mut Payload::new(out.freeze(), "test"), section)?;
        assert_eq!(declared, again);
        Ok(headers)
    }

    /// A header block as no encoder of ours would write it.
    fn forged(lines: &[(&[u8], &[u8])], section: Section) -> Result<HeaderMap, FramingError> {
        let mut out = BytesMut::new();
        out.put_u16(lines.len() as u16);
        for (name, value) in lines {
            put_short(name, "", &mut out).unwrap();
            put_long(value, "", &mut out).unwrap();
        }
        decode(&mut Payload::new(out.freeze(), "test"), section).map(|(headers, _)| headers)
    }

    #[test]
    fn repeated_lines_keep_their_number_and_order() {
        let headers = map(&[("cookie", "a=1"), ("x-own", ""), ("cookie", "b=2")]);
        assert_eq!(crossed(&headers, REQUEST), Ok(headers));
    }

    #[test]
    fn hop_by_hop_headers_are_refused_on_both_ends() {
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
            for section in [REQUEST, RESPONSE, Section::Trailers] {
                let refused = Err(FramingError::ForbiddenHeader(name));
                assert_eq!(crossed(&map(&[(name, "x")]), section), refused);
                assert_eq!(forged(&[(name.as_bytes(), b"x")], section), refused);
            }
        }
        assert_eq!(forged(&[(b"te", b"gzip")], REQUEST), Err(FramingError::ForbiddenHeader("te")));
        assert!(forged(&[(b"te", b"trailers")], REQUEST).is_ok());
    }

    #[test]
    fn an_upgrade_crosses_only_where_one_is_asked_for() {
        let upgrade = map(&[("upgrade", "websocket")]);
        assert_eq!(crossed(&upgrade, Section::Request { upgrade: true }), Ok(upgrade.clone()));
        assert_eq!(crossed(&upgrade, Section::Response { upgrade: true }), Ok(upgrade));
    }

    #[test]
    fn the_host_is_said_by_the_authority_alone() {
        let headers = map(&[("host", "a.example"), ("accept", "*/*")]);
        assert_eq!(crossed(&headers, REQUEST), Ok(map(&[("accept", "*/*")])));
        assert_eq!(forged(&[(b"host", b"b.example")], REQUEST), Err(FramingError::ForbiddenHeader("host")));
    }

    #[test]
    fn pseudo_headers_capitals_and_line_breaks_are_malformed() {
        let name = Err(FramingError::Malformed("header name"));
        assert_eq!(forged(&[(b":path", b"/")], REQUEST), name);
        assert_eq!(forged(&[(b"Accept", b"*/*")], REQUEST), name);
        assert_eq!(forged(&[(b"", b"x")], REQUEST), name);
        let value = Err(FramingError::Malformed("header value"));
        assert_eq!(forged(&[(b"accept", b"a\r\nhost: b")], REQUEST), value);
        assert_eq!(forged(&[(b"accept", b"\0")], REQUEST), value);
    }

    #[test]
    fn one_content_length_at_most_and_only_digits() {
        let malformed = Err(FramingError::Malformed("content-length"));
        assert_eq!(forged(&[(b"content-length", b"1"), (b"content-length", b"1")], REQUEST), malformed);
        for wrong in [&b"+1"[..], b"1, 1", b"", b" 1", b"0x1", b"18446744073709551616"] {
            assert_eq!(forged(&[(b"content-length", wrong)], REQUEST), malformed);
        }
        assert_eq!(
            forged(&[(b"content-length", b"1")], Section::Trailers),
            Err(FramingError::ForbiddenHeader("content-length"))
        );
    }

    #[test]
    fn a_content_length_agrees_with_the_announced_body() {
        let five = Declared { content_length: Some(5) };
        assert_eq!(five.check_request(BodyLength::Known(5)), Ok(()));
        assert_eq!(five.check_request(BodyLength::Known(6)), Err(FramingError::LengthMismatch));
        assert_eq!(five.check_request(BodyLength::Unknown), Err(FramingError::LengthMismatch));
        assert_eq!(five.check_request(BodyLength::None), Err(FramingError::LengthMismatch));
        assert_eq!(five.check_response(BodyLength::None), Ok(()));
        assert_eq!(five.check_response(BodyLength::Unknown), Err(FramingError::LengthMismatch));
        assert_eq!(Declared { content_length: Some(0) }.check_request(BodyLength::None), Ok(()));
        assert_eq!(Declared::default().check_request(BodyLength::Known(5)), Ok(()));
    }

    #[test]
    fn limits_are_exact() {
        let lines = |count: usize| {
            let mut headers = HeaderMap::new();
            (0..count).for_each(|_| {
                headers.append("x", HeaderValue::from_static("y"));
            });
            headers
        };
        assert_eq!(crossed(&lines(HEADERS_MAX), REQUEST), Ok(lines(HEADERS_MAX)));
        assert_eq!(crossed(&lines(HEADERS_MAX + 1), REQUEST), Err(FramingError::TooLarge("headers")));
        let over: Vec<(&[u8], &[u8])> = vec![(b"x", b"y"); HEADERS_MAX + 1];
        assert_eq!(forged(&over, REQUEST), Err(FramingError::TooLarge("headers")));

        let named = |length: usize| {
            let name = HeaderName::from_bytes(&vec![b'n'; length]).unwrap();
            HeaderMap::from_iter([(name, HeaderValue::from_static(""))])
        };
        assert!(crossed(&named(HEADER_NAME_BYTES_MAX), REQUEST).is_ok());
        let over = crossed(&named(HEADER_NAME_BYTES_MAX + 1), REQUEST);
        assert_eq!(over, Err(FramingError::TooLarge("header name")));

        let valued = |length: usize| {
            let value = HeaderValue::from_bytes(&vec![b'v'; length]).unwrap();
            HeaderMap::from_iter([(http::header::COOKIE, value)])
        };
        assert!(crossed(&valued(HEADER_VALUE_BYTES_MAX), REQUEST).is_ok());
        let over = crossed(&valued(HEADER_VALUE_BYTES_MAX + 1), REQUEST);
        assert_eq!(over, Err(FramingError::TooLarge("header value")));
    }

    #[test]
    fn a_count_without_lines_reserves_nothing() {
        let claim = bytes::Bytes::from_static(&[1, 0]);
        assert_eq!(
            decode(&mut Payload::new(claim, "head"), REQUEST).map(drop),
            Err(FramingError::Malformed("head"))
        );
    }
}
