//! The backend's side of HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalRuntime;

use super::{BodySeen, Log, Received};
use crate::client::ID;
use crate::now;
use crate::pattern::Pattern;

pub(super) fn runtime() -> LocalRuntime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("a runtime for a backend")
}

/// Serves until the future is dropped; calls `ready` once it listens.
pub(super) async fn run(address: SocketAddr, region: String, log: Log, ready: impl FnOnce()) {
    let listener = TcpListener::bind(address).await.expect("the backend's address is free");
    ready();
    loop {
        let (stream, _) = listener.accept().await.expect("the backend can accept");
        tokio::task::spawn_local(connection(stream, region.clone(), log.clone()));
    }
}

async fn connection(stream: TcpStream, region: String, log: Log) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&region, &log, request));
    // How a connection ends is seen in the entries of its requests.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    region: &str,
    log: &Log,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/healthz" {
        return Ok(Response::new(Outgoing::text(String::new(), None)));
    }
    let id = parts.headers.get(ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let pattern = asked(&parts.uri, "bytes").map(Pattern::new);
    let entry = log.enter(Received {
        at: now(),
        id: id.clone(),
        method: parts.method,
        target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: parts.headers,
        body: None,
        trailers: None,
        answered_bytes: pattern.as_ref().map(Pattern::taken).unwrap_or_default(),
        answered: None,
        gone: None,
    });
    let attended = Attended { log: log.clone(), entry, answered: false };
    if let Some(wait) = asked(&parts.uri, "read_ms") {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    if asked(&parts.uri, "early").is_some() {
        // Taken all the same: a connection that is closed with bytes unread is reset, and its answer may be lost.
        tokio::task::spawn_local(read(body));
    } else {
        let Some((seen, trailers)) = read(body).await else {
            drop(attended);
            return std::future::pending().await;
        };
        log.change(entry, |received| (received.body, received.trailers) = (Some(seen), trailers));
    }
    if let Some(wait) = asked(&parts.uri, "wait_ms") {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    let outgoing = match pattern {
        Some(pattern) => Outgoing { kind: Kind::Pattern(pattern), trailers: None, attended: Some(attended) },
        None => Outgoing::text(serde_json::json!({ "region": region, "id": id }).to_string(), Some(attended)),
    };
    let mut response = Response::new(outgoing);
    if asked(&parts.uri, "trailers").is_some() {
        response.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-sum"));
        let trailers = [(HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))];
        response.body_mut().trailers = Some(trailers.into_iter().collect());
    }
    Ok(response)
}

/// A number of the query.
fn asked(uri: &http::Uri, name: &str) -> Option<u64> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok())
}

/// `None` if it broke off.
async fn read(mut body: Incoming) -> Option<(BodySeen, Option<HeaderMap>)> {
    let (mut bytes, mut hash, mut trailers) = (0, Sha256::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.ok()?.into_data() {
            Ok(chunk) => {
                bytes += chunk.len() as u64;
                hash.update(&chunk);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Some((BodySeen { bytes, fingerprint: hash.finalize().into() }, trailers))
}

/// Notes when a request is over, and whether it was answered.
struct Attended {
    log: Log,
    entry: usize,
    answered: bool,
}

impl Attended {
    fn answered(&mut self) {
        self.answered = true;
        self.log.change(self.entry, |received| received.answered = Some(now()));
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if !self.answered {
            self.log.change(self.entry, |received| received.gone = Some(now()));
        }
    }
}

/// An answer's body.
struct Outgoing {
    kind: Kind,
    trailers: Option<HeaderMap>,
    attended: Option<Attended>,
}

enum Kind {
    Text(Option<Bytes>),
    Pattern(Pattern),
}

impl Outgoing {
    fn text(text: String, attended: Option<Attended>) -> Self {
        let text = Some(text.into()).filter(|text: &Bytes| !text.is_empty());
        Self { kind: Kind::Text(text), trailers: None, attended }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match &mut self.kind {
            Kind::Text(text) => text.take(),
            Kind::Pattern(pattern) => pattern.next_chunk(),
        };
        if self.is_end_stream()
            && let Some(mut attended) = self.attended.take()
        {
            attended.answered();
        }
        let frame = chunk.map(Frame::data).or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        if self.trailers.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(match &self.kind {
            Kind::Text(text) => text.as_ref().map_or(0, |text| text.len() as u64),
            Kind::Pattern(pattern) => pattern.remaining(),
        })
    }
}
