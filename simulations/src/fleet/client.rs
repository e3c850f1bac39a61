//! How does a client fare: one request over a connection of its own, and the whole answer.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use graticule::task;
use graticule::world::{Stream, World};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

/// An answer as its client got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Virtual time from the first packet of the connection to the last byte of the body.
    pub took: Duration,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Connects, asks once and reads the whole answer. Errors: no connection, no whole answer, or none within 30 s.
pub(super) async fn ask(world: &World, to: SocketAddr, request: Request<Full<Bytes>>) -> io::Result<Answer> {
    let began = Instant::now();
    let asking = async { exchange(world.net.connect(to).await?, request).await };
    let (status, headers, body) = timeout(ANSWER_TIME_MAX, asking).await??;
    Ok(Answer { status, headers, body, took: began.elapsed() })
}

/// Asks once over a connection and reads the whole answer, however long it takes. Errors: no whole answer.
pub(crate) async fn ask_over(stream: Stream, request: Request<Full<Bytes>>) -> io::Result<Answer> {
    let began = Instant::now();
    let (status, headers, body) = exchange(stream, request).await?;
    Ok(Answer { status, headers, body, took: began.elapsed() })
}

async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
) -> io::Result<(StatusCode, HeaderMap, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // A connection that breaks is the request's error, too.
    let _connection = task::spawn("client connection", async move { drop(connection.await) });
    let (parts, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
    let body = body.collect().await.map_err(broken)?.to_bytes();
    Ok((parts.status, parts.headers, body))
}

fn broken(error: impl Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}

/// How long a client waits for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
