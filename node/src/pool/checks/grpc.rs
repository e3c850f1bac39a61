//! The gRPC health protocol: is a service serving?

use bytes::{BufMut, Bytes, BytesMut};
use graticule_node_core::pool::CheckFailure;
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;

use super::check::{AGENT, broken};
use crate::pool::executor::LocalExecutor;
use crate::task;
use crate::world::Stream;

/// Asks `grpc.health.v1.Health/Check` about `service`, which is empty for the server as a whole.
pub(super) async fn serving(
    stream: Stream,
    service: &str,
    (host, tls): (&str, bool),
) -> Result<(), CheckFailure> {
    let scheme = if tls { "https" } else { "http" };
    let request = Request::post(format!("{scheme}://{host}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(Full::new(question(service)))
        .map_err(broken)?;
    let handshake = http2::handshake(LocalExecutor, TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(broken)?;
    let _driver = task::spawn("health check", async move { drop(connection.await) });
    judge(sender.send_request(request).await.map_err(broken)?).await
}

async fn judge(response: Response<Incoming>) -> Result<(), CheckFailure> {
    if response.status() != StatusCode::OK {
        return Err(CheckFailure::Status(response.status().as_u16()));
    }
    if let Some(status) = failed(response.headers()) {
        return Err(CheckFailure::Grpc(Some(status)));
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(broken)?;
    if let Some(status) = body.trailers().and_then(failed) {
        return Err(CheckFailure::Grpc(Some(status)));
    }
    if is_serving(&body.to_bytes()) { Ok(()) } else { Err(CheckFailure::Grpc(None)) }
}

/// The gRPC status, if it says that the call failed.
fn failed(fields: &HeaderMap) -> Option<u32> {
    let status = fields.get("grpc-status")?.to_str().ok()?.parse().unwrap_or(UNKNOWN);
    (status != 0).then_some(status)
}

/// `HealthCheckRequest { service }` as one gRPC message.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        // Field 1, a string; its length in base 128, the lowest digits first.
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(&message);
    framed.freeze()
}

/// Whether an answer is one message, and that is `HealthCheckResponse { status: SERVING }`.
fn is_serving(answer: &[u8]) -> bool {
    answer == [0, 0, 0, 0, 2, 0x08, 1]
}

/// Longer answers are none.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// What a status that is no number counts as.
const UNKNOWN: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_message_with_the_service_in_its_first_field() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("a.B")[..], [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = question(&"x".repeat(200));
        assert_eq!(&long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn only_serving_is_serving() {
        assert!(is_serving(&[0, 0, 0, 0, 2, 8, 1]));
        for answer in [&[0, 0, 0, 0, 2, 8, 2][..], &[0, 0, 0, 0, 0], &[], &[1, 0, 0, 0, 2, 8, 1]] {
            assert!(!is_serving(answer));
        }
    }
}
