//! What becomes of an upgrade's head between HTTP/2, which asks by `CONNECT`, and HTTP/1.1, which asks by a header?

use http::header::{HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Method, StatusCode};

use crate::Reason;

/// Makes an extended `CONNECT` for `protocol` (RFC 8441) a request of HTTP/1.1 to upgrade. `chance` becomes the key that
/// only HTTP/1.1 has in WebSocket; whoever answers proves by it that it speaks the protocol.
pub fn ask_as_http1(
    (method, headers): (&mut Method, &mut HeaderMap),
    protocol: &str,
    chance: u128,
) -> Result<(), Reason> {
    let value = HeaderValue::from_str(protocol).map_err(|_| Reason::BadRequest)?;
    // What is hidden in it would pass unseen, as after an upgrade by a header.
    if super::hop_by_hop::is_hidden(protocol) || HeaderName::from_bytes(protocol.as_bytes()).is_err() {
        return Err(Reason::NotSupported);
    }
    *method = Method::GET;
    headers.insert(UPGRADE, value);
    if protocol.eq_ignore_ascii_case(WEBSOCKET)
        && let Ok(key) = HeaderValue::from_bytes(&base64(chance))
    {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    Ok(())
}

/// Makes an answer of HTTP/1.1 with 101 one to an extended `CONNECT`: success, and what follows is in frames of data.
pub fn answer_as_http2(status: &mut StatusCode, headers: &mut HeaderMap) {
    *status = StatusCode::OK;
    headers.remove(UPGRADE);
    headers.remove(SEC_WEBSOCKET_ACCEPT);
}

/// 16 bytes as 24 letters (RFC 4648, 4).
fn base64(bytes: u128) -> [u8; 24] {
    let mut text = [b'='; 24];
    // 22 letters of six bits each hold 132 bits; the last four are zero.
    for (at, letter) in (0u32..).zip(&mut text[..22]) {
        let bits = if at < 21 { bytes >> (122 - 6 * at) } else { bytes << 4 };
        *letter = ALPHABET[(bits & 0x3f) as usize];
    }
    text
}

const WEBSOCKET: &str = "websocket";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_rfc_6455_has_them() {
        // RFC 6455, 1.3: the key of its example, and what it is base64 of.
        let bytes = u128::from_be_bytes(*b"the sample nonce");
        assert_eq!(&base64(bytes), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&base64(u128::MAX), b"/////////////////////w==");
    }

    #[test]
    fn a_connect_becomes_a_request_to_upgrade() {
        let (mut method, mut headers) = (Method::CONNECT, HeaderMap::new());
        assert_eq!(ask_as_http1((&mut method, &mut headers), "websocket", 0), Ok(()));
        assert_eq!((method, &headers[UPGRADE]), (Method::GET, &HeaderValue::from_static("websocket")));
        assert_eq!(headers[SEC_WEBSOCKET_KEY].len(), 24);
        let (mut method, mut headers) = (Method::CONNECT, HeaderMap::new());
        assert_eq!(ask_as_http1((&mut method, &mut headers), "echo", 0), Ok(()));
        assert!(!headers.contains_key(SEC_WEBSOCKET_KEY));
    }

    #[test]
    fn protocols_that_would_hide_requests_are_not_supported() {
        for protocol in ["h2c", "HTTP/2.0", "TLS/1.2", "a, b", ""] {
            let (mut method, mut headers) = (Method::CONNECT, HeaderMap::new());
            let asked = ask_as_http1((&mut method, &mut headers), protocol, 0);
            assert_eq!(asked, Err(Reason::NotSupported), "{protocol}");
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
}
