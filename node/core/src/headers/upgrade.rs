//! What becomes of an upgrade's head between HTTP/2, which asks by `CONNECT`, and HTTP/1.1, which asks by a header?

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    UPGRADE,
};
use http::{Method, StatusCode};
use sha1::{Digest as _, Sha1};

use crate::Reason;

/// Makes an extended `CONNECT` for `protocol` (RFC 8441) a request of HTTP/1.1 to upgrade. `chance` becomes the key that
/// only HTTP/1.1 has in WebSocket, and that is returned: whoever agrees [proves](proves_websocket) by it that it speaks the
/// protocol.
pub fn ask_as_http1(
    (method, headers): (&mut Method, &mut HeaderMap),
    protocol: &str,
    chance: u128,
) -> Result<Option<HeaderValue>, Reason> {
    let value = HeaderValue::from_str(protocol).map_err(|_| Reason::BadRequest)?;
    if !is_carried(protocol) {
        return Err(Reason::NotSupported);
    }
    *method = Method::GET;
    headers.insert(UPGRADE, value);
    let is_websocket = is_websocket(protocol);
    let key = HeaderValue::from_bytes(&base64(&chance.to_be_bytes())).ok().filter(|_| is_websocket);
    if let Some(key) = &key {
        headers.insert(SEC_WEBSOCKET_KEY, key.clone());
    }
    Ok(key)
}

/// Whether an answer with 101 is of somebody who has seen this key of a WebSocket and knows what to make of it.
pub fn proves_websocket(headers: &HeaderMap, key: &HeaderValue) -> bool {
    headers.get(SEC_WEBSOCKET_ACCEPT) == websocket_accept(key).as_ref()
}

/// Makes an answer of HTTP/1.1 with 101 one to an extended `CONNECT`: success, and what follows is in frames of data.
pub fn answer_as_http2(status: &mut StatusCode, headers: &mut HeaderMap) {
    *status = StatusCode::OK;
    headers.remove(UPGRADE);
    headers.remove(SEC_WEBSOCKET_ACCEPT);
}

/// What only HTTP/1.1 says of an upgrade, while HTTP/2 asks for it.
#[derive(Debug)]
pub struct UpgradeAsked {
    /// As the client spells it.
    protocol: HeaderValue,
    key: Option<HeaderValue>,
}

/// Makes a request of HTTP/1.1 to upgrade an extended `CONNECT` (RFC 8441).
///
/// A `CONNECT` has no other method, so only `GET` can become one (`NotSupported`). A WebSocket needs the key that its answer
/// is to prove, because nobody but this node sees it (`BadRequest`).
pub fn ask_as_http2((method, headers): (&mut Method, &mut HeaderMap)) -> Result<UpgradeAsked, Reason> {
    let protocol = headers.get(UPGRADE).cloned().ok_or(Reason::BadRequest)?;
    let name = protocol.to_str().map_err(|_| Reason::BadRequest)?;
    if *method != Method::GET || !is_carried(name) {
        return Err(Reason::NotSupported);
    }
    let key = if is_websocket(name) { Some(websocket_key(headers)?) } else { None };
    *method = Method::CONNECT;
    for name in [CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, UPGRADE] {
        headers.remove(name);
    }
    Ok(UpgradeAsked { protocol, key })
}

impl UpgradeAsked {
    /// The protocol, as `:protocol` says it.
    pub fn protocol(&self) -> &str {
        // HTTP/1.1 compares without case, RFC 8441 has this spelling.
        self.protocol.to_str().ok().filter(|name| !is_websocket(name)).unwrap_or(WEBSOCKET)
    }

    /// Makes success the 101 that HTTP/1.1 waits for, with the proof that only HTTP/1.1 wants.
    pub fn answer(self, status: &mut StatusCode, headers: &mut HeaderMap) {
        *status = StatusCode::SWITCHING_PROTOCOLS;
        headers.insert(UPGRADE, self.protocol);
        if let Some(accept) = self.key.and_then(|key| websocket_accept(&key)) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
    }

    /// Undoes [`ask_as_http2`], for a request that was not sent.
    pub fn restore(self, method: &mut Method, headers: &mut HeaderMap) {
        *method = Method::GET;
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol);
        if let Some(key) = self.key {
            headers.insert(SEC_WEBSOCKET_KEY, key);
        }
    }
}

/// Whether an upgrade to it is passed on: what is hidden in it would pass unseen, as after an upgrade by a header.
fn is_carried(protocol: &str) -> bool {
    !super::hop_by_hop::is_hidden(protocol) && HeaderName::from_bytes(protocol.as_bytes()).is_ok()
}

fn is_websocket(protocol: &str) -> bool {
    protocol.eq_ignore_ascii_case(WEBSOCKET)
}

/// The one key of a WebSocket: 16 bytes in base64 (RFC 6455, 4.1).
fn websocket_key(headers: &HeaderMap) -> Result<HeaderValue, Reason> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return Err(Reason::BadRequest) };
    let letters = key.as_bytes().strip_suffix(b"==").ok_or(Reason::BadRequest)?;
    let is_key = letters.len() == KEY_LETTERS && letters.iter().all(|letter| ALPHABET.contains(letter));
    is_key.then(|| key.clone()).ok_or(Reason::BadRequest)
}

/// What proves that a key was seen by somebody who speaks WebSocket (RFC 6455, 4.2.2).
fn websocket_accept(key: &HeaderValue) -> Option<HeaderValue> {
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(WEBSOCKET_GUID).finalize();
    HeaderValue::from_bytes(&base64(&digest)).ok()
}

/// RFC 4648, 4.
fn base64(bytes: &[u8]) -> Vec<u8> {
    let letters = bytes.chunks(3).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (24 - 8 * group.len());
        let letter = move |at: usize| ALPHABET[(bits >> (18 - 6 * at)) as usize & 0x3f];
        (0..4).map(move |at| if at > group.len() { b'=' } else { letter(at) })
    });
    letters.collect()
}

const WEBSOCKET: &str = "websocket";
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_LETTERS: usize = 22;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[(&'static str, &'static str)]) -> (Method, HeaderMap) {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        (Method::GET, lines.iter().map(line).collect())
    }

    #[test]
    fn base64_is_as_rfc_4648_has_it() {
        // RFC 4648, 10.
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text.as_bytes());
        }
        // RFC 6455, 1.3: the key of its example, and what it is base64 of.
        assert_eq!(base64(b"the sample nonce"), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(base64(&[0xff; 16]), b"/////////////////////w==");
    }

    #[test]
    fn a_connect_becomes_a_request_to_upgrade() {
        let (mut method, mut headers) = (Method::CONNECT, HeaderMap::new());
        let key = ask_as_http1((&mut method, &mut headers), "websocket", 1).unwrap();
        assert_eq!((method, &headers[UPGRADE]), (Method::GET, &HeaderValue::from_static("websocket")));
        assert_eq!(websocket_key(&headers).ok(), key);
        let (mut method, mut headers) = (Method::CONNECT, HeaderMap::new());
        assert_eq!(ask_as_http1((&mut method, &mut headers), "echo", 1), Ok(None));
        assert!(!headers.contains_key(SEC_WEBSOCKET_KEY));
    }

    #[test]
    fn protocols_that_would_hide_requests_are_not_supported() {
        for protocol in ["h2c", "HTTP/2.0", "TLS/1.2", "a, b", ""] {
            let (mut method, mut headers) = (Method::CONNECT, HeaderMap::new());
            let to_http1 = ask_as_http1((&mut method, &mut headers), protocol, 0);
            assert_eq!(to_http1, Err(Reason::NotSupported), "{protocol}");
            let (mut method, mut headers) = asked(&[("upgrade", protocol)]);
            let to_http2 = ask_as_http2((&mut method, &mut headers));
            assert_eq!(to_http2.unwrap_err(), Reason::NotSupported, "{protocol}");
        }
    }

    #[test]
    fn what_only_http_1_says_is_left_out_of_the_answer() {
        let (mut status, mut headers) = (StatusCode::SWITCHING_PROTOCOLS, HeaderMap::new());
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("x"));
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("chat"));
        answer_as_http2(&mut status, &mut headers);
        assert_eq!((status, headers.len()), (StatusCode::OK, 1));
    }

    #[test]
    fn a_request_to_upgrade_becomes_a_connect_and_its_answer_proves_the_key() {
        let kept = [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"), ("cookie", "a=b")];
        let (mut method, mut headers) = asked(&[
            ("connection", "upgrade"),
            ("content-length", "0"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", KEY),
        ]);
        headers.extend(asked(&kept).1);
        let upgrade = ask_as_http2((&mut method, &mut headers)).unwrap();
        assert_eq!((&method, upgrade.protocol()), (&Method::CONNECT, "websocket"));
        assert_eq!(headers, asked(&kept).1);

        let (mut status, mut headers) = (StatusCode::OK, asked(&[("sec-websocket-protocol", "chat")]).1);
        upgrade.answer(&mut status, &mut headers);
        assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS);
        // RFC 6455, 1.3.
        let answered = [
            ("sec-websocket-protocol", "chat"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        assert_eq!(headers, asked(&answered).1);
    }

    #[test]
    fn only_what_rfc_6455_makes_of_a_key_proves_it() {
        let proves = |lines| proves_websocket(&asked(lines).1, &HeaderValue::from_static(KEY));
        assert!(proves(&[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]));
        assert!(!proves(&[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")]));
        assert!(!proves(&[("sec-websocket-accept", KEY)]));
        assert!(!proves(&[]));
    }

    #[test]
    fn a_request_that_was_not_sent_is_as_it_was() {
        for lines in [
            &[("connection", "upgrade"), ("upgrade", "WebSocket"), ("sec-websocket-key", KEY)][..],
            &[("connection", "upgrade"), ("upgrade", "echo"), ("accept", "*/*")],
        ] {
            let (mut method, mut headers) = asked(lines);
            let upgrade = ask_as_http2((&mut method, &mut headers)).unwrap();
            assert_ne!((&method, &headers), (&Method::GET, &asked(lines).1));
            upgrade.restore(&mut method, &mut headers);
            assert_eq!((method, headers), asked(lines));
        }
    }

    #[test]
    fn a_web_socket_has_one_key_of_sixteen_bytes() {
        let upgrade = ("upgrade", "websocket");
        for keys in [
            &[][..],
            &[("sec-websocket-key", "")],
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")],
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZSE=")],
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25j!Q==")],
        ] {
            let (mut method, mut headers) = asked(keys);
            headers.insert(upgrade.0, HeaderValue::from_static(upgrade.1));
            assert_eq!(
                ask_as_http2((&mut method, &mut headers)).unwrap_err(),
                Reason::BadRequest,
                "{keys:?}"
            );
        }
        let (mut method, mut headers) = asked(&[upgrade, ("sec-websocket-key", KEY)]);
        headers.append(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
        assert_eq!(ask_as_http2((&mut method, &mut headers)).unwrap_err(), Reason::BadRequest);
    }

    #[test]
    fn only_get_can_become_a_connect() {
        let (_, mut headers) = asked(&[("upgrade", "echo")]);
        let mut method = Method::POST;
        let upgrade = ask_as_http2((&mut method, &mut headers));
        assert_eq!(upgrade.unwrap_err(), Reason::NotSupported);
    }

    /// RFC 6455, 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
}
