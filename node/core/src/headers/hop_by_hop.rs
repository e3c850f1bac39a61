//! Which headers are meant for one connection only, and so go no further.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use smallvec::SmallVec;

use super::NOMINATIONS_MAX;
use super::client_address::{is_address_alias, is_address_header};

/// Whether a request asks for an upgrade that can be forwarded: `Connection: upgrade` and exactly one protocol.
///
/// HTTP/2 and TLS are not among them: after such an upgrade requests would pass unseen through what was decided for one
/// request. They are ignored, as the protocol allows: the request is answered without an upgrade.
pub fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let mut protocols = tokens(headers, &UPGRADE);
    // Nearly all requests have none, and are looked at no further.
    let Some(protocol) = protocols.next() else { return false };
    protocols.next().is_none()
        && !is_hidden(protocol)
        && nominations(headers).any(|token| token.eq_ignore_ascii_case("upgrade"))
}

/// Whether the body comes in a coding other than `chunked` alone, which goes with the connection: a body that stayed in
/// it would reach the other side as something else than was sent.
pub fn has_foreign_coding(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(TRANSFER_ENCODING).into_iter();
    let Some(first) = lines.next() else { return false };
    !first.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") || lines.next().is_some()
}

/// Whether the body's length is told twice, by a number and by `chunked`: whoever believes the one and not the other takes
/// something else for the end (RFC 9112, 6.3).
pub fn has_two_lengths(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// Removes every header that speaks of the connection it came on: `Connection` and what it nominates, and those that are
/// known to. With `upgrade`, `Upgrade` stays; `Connection` is to be added on the next connection.
///
/// What a sender may not nominate away is what others rely on: length, host, type and cookies, credentials, the client's
/// address, `Via`, and ids; such a nomination is ignored. `TE` keeps `trailers`; `Trailer` stays, since trailers are
/// carried on.
pub fn strip_hop_by_hop(headers: &mut HeaderMap, upgrade: bool) {
    let mut doomed: Doomed = headers.keys().filter(|name| is_hop_by_hop(name.as_str())).cloned().collect();
    // What nominates others is itself one of them.
    if doomed.is_empty() {
        return;
    }
    let trailers =
        doomed.contains(&TE) && tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    if doomed.contains(&CONNECTION) {
        doomed.extend(nominations(headers).filter_map(nominated));
    }
    for name in doomed {
        if !(upgrade && name == UPGRADE) {
            headers.remove(name);
        }
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes from trailers what may not stand there: whoever merges trailers into the head must not be led to read another
/// length, route or credential.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let doomed: Doomed = trailers.keys().filter(|name| !may_trail(name)).cloned().collect();
    for name in doomed {
        trailers.remove(name);
    }
}

/// The header that a token of `Connection` nominates for removal, if it may.
fn nominated(token: &str) -> Option<HeaderName> {
    // The most frequent token; it goes anyway.
    if token.eq_ignore_ascii_case("keep-alive") {
        return None;
    }
    let name = HeaderName::from_bytes(token.as_bytes()).ok()?;
    (!is_protected(&name)).then_some(name)
}

fn nominations(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    tokens(headers, &CONNECTION).take(NOMINATIONS_MAX)
}

/// The elements of a comma-separated list over all its lines; a line that is not ASCII has none.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether what is spoken after an upgrade would hide further requests.
pub(super) fn is_hidden(protocol: &str) -> bool {
    let name = protocol.split('/').next().unwrap_or(protocol);
    ["h2c", "h2", "http", "tls"].iter().any(|hidden| name.eq_ignore_ascii_case(hidden))
}

fn is_protected(name: &HeaderName) -> bool {
    let named = matches!(
        name.as_str(),
        "authorization"
            | "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "date"
            | "expect"
            | "host"
            | "location"
            | "origin"
            | "range"
            | "referer"
            | "set-cookie"
            | "traceparent"
            | "tracestate"
            | "trailer"
            | "vary"
            | "via"
            | "www-authenticate"
            | "x-request-id"
            // Those that stay or go by rules of their own.
            | "te"
            | "upgrade"
    );
    named || is_address_header(name.as_str()) || name.as_str().starts_with("x-forwarded-")
}

fn may_trail(name: &HeaderName) -> bool {
    !(is_hop_by_hop(name.as_str())
        || is_protected(name)
        || is_address_alias(name.as_str())
        || matches!(
            name.as_str(),
            "accept"
                | "age"
                | "expires"
                | "if-match"
                | "if-none-match"
                | "max-forwards"
                | "pragma"
                | "retry-after"
        ))
}

type Doomed = SmallVec<[HeaderName; 8]>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn stripped(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = map(lines);
        strip_hop_by_hop(&mut headers, false);
        headers
    }

    #[test]
    fn no_coding_but_chunked_can_be_taken_off() {
        for known in [&[][..], &[("Transfer-Encoding", "chunked")], &[("Transfer-Encoding", " Chunked ")]] {
            assert!(!has_foreign_coding(&map(known)), "{known:?}");
        }
        for value in ["gzip, chunked", "gzip", "identity", "chunked, chunked", "chunked;q=1", "", "chunked,"]
        {
            assert!(has_foreign_coding(&map(&[("Transfer-Encoding", value)])), "{value}");
        }
        let twice = [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")];
        assert!(has_foreign_coding(&map(&twice)));
    }

    #[test]
    fn a_length_beside_a_coding_is_one_too_many() {
        let (length, coding) = (("Content-Length", "3"), ("Transfer-Encoding", "chunked"));
        assert!(has_two_lengths(&map(&[length, coding])));
        for one in [&[][..], &[length], &[coding]] {
            assert!(!has_two_lengths(&map(one)), "{one:?}");
        }
    }

    #[test]
    fn headers_of_one_connection_go() {
        let kept = stripped(&[
            ("Connection", "close"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "Basic eDp5"),
            ("Proxy-Authenticate", "Basic"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "websocket"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
            ("Accept", "*/*"),
            ("Trailer", "x-sum"),
        ]);
        assert_eq!(kept, map(&[("accept", "*/*"), ("trailer", "x-sum")]));
    }

    #[test]
    fn what_connection_nominates_goes_over_all_its_lines() {
        let kept = stripped(&[
            ("connection", "X-One , close"),
            ("connection", ",,x-two"),
            ("x-one", "1"),
            ("x-one", "again"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        assert_eq!(kept, map(&[("x-three", "3")]));
    }

    #[test]
    fn nobody_nominates_away_what_others_rely_on() {
        let relied_on = [
            ("host", "a.example"),
            ("content-length", "5"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=192.0.2.1"),
            ("x-real-ip", "192.0.2.1"),
            ("via", "1.1 a"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("x-request-id", "1"),
        ];
        for (name, value) in relied_on {
            let kept = stripped(&[(name, value), ("connection", name)]);
            assert_eq!(kept, map(&[(name, value)]), "{name}");
        }
    }

    #[test]
    fn te_keeps_trailers_and_nothing_else() {
        assert_eq!(stripped(&[("te", "gzip;q=0.5, Trailers")]), map(&[("te", "trailers")]));
        assert_eq!(stripped(&[("te", "gzip"), ("connection", "te")]), HeaderMap::new());
        assert_eq!(stripped(&[("te", "trailers"), ("connection", "te")]), map(&[("te", "trailers")]));
    }

    #[test]
    fn an_upgrade_stays_if_it_is_forwarded() {
        let mut headers = map(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        assert!(asks_for_upgrade(&headers));
        strip_hop_by_hop(&mut headers, true);
        assert_eq!(headers, map(&[("upgrade", "websocket")]));
    }

    #[test]
    fn upgrades_that_would_hide_requests_are_not_asked_for() {
        for hidden in ["h2c", "H2C", "h2", "TLS/1.0", "HTTP/2.0", "websocket, h2c", ""] {
            let headers = map(&[("connection", "upgrade, http2-settings"), ("upgrade", hidden)]);
            assert!(!asks_for_upgrade(&headers), "{hidden}");
        }
        assert!(!asks_for_upgrade(&map(&[("upgrade", "websocket")])));
        assert!(!asks_for_upgrade(&map(&[("connection", "upgrade")])));
    }

    #[test]
    fn nominations_are_counted() {
        let mut names: Vec<String> = (0..NOMINATIONS_MAX).map(|at| format!("y-{at}")).collect();
        names[NOMINATIONS_MAX - 1] = "x-last".into();
        names.push("x-over".into());
        let kept = stripped(&[("connection", &names.join(",")), ("x-last", "1"), ("x-over", "1")]);
        assert_eq!(kept, map(&[("x-over", "1")]));
    }

    #[test]
    fn trailers_carry_no_length_route_or_credential() {
        let mut trailers = map(&[
            ("x-checksum", "1"),
            ("grpc-status", "0"),
            ("server-timing", "a"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("host", "b.example"),
            ("authorization", "x"),
            ("set-cookie", "a=b"),
            ("x-forwarded-for", "192.0.2.1"),
            ("trailer", "x"),
            ("te", "trailers"),
        ]);
        strip_trailers(&mut trailers);
        assert_eq!(trailers, map(&[("x-checksum", "1"), ("grpc-status", "0"), ("server-timing", "a")]));
    }

    proptest! {
        #[test]
        fn stripped_headers_may_cross_a_tunnel_and_stay_as_they_are(
            lines in prop::collection::vec(("(connection|te|upgrade|keep-alive|x-[ab]|cookie|trailer)", "[ -~]{0,20}"), 0..8),
        ) {
            let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            let once = stripped(&lines);
            let mut out = bytes::BytesMut::new();
            let head = crate::framing::ResponseHeadRef {
                status: http::StatusCode::OK, headers: &once, body: crate::framing::BodyLength::None,
            };
            prop_assert_eq!(head.encode(&mut out), Ok(()));
            let mut twice = once.clone();
            strip_hop_by_hop(&mut twice, false);
            prop_assert_eq!(twice, once);
        }
    }
}
