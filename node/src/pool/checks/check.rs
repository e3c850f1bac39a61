//! One check of one backend: does it answer well in time?

use bytes::Bytes;
use graticule_node_core::policy::{CheckKind, Protocol};
use graticule_node_core::pool::{CheckFailure, CheckTarget};
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;

use super::grpc;
use crate::pool::Trust;
use crate::pool::executor::LocalExecutor;
use crate::pool::transport::{self, ConnectError, Endpoint};
use crate::task;
use crate::world::{Net, Stream};

/// Asks `target` once, on a connection of its own.
pub(super) async fn check(net: &dyn Net, trust: &Trust, target: &CheckTarget) -> Result<(), CheckFailure> {
    let answer = tokio::time::timeout(target.check.timeout, ask(net, trust, target)).await;
    answer.unwrap_or(Err(CheckFailure::TimedOut))
}

async fn ask(net: &dyn Net, trust: &Trust, target: &CheckTarget) -> Result<(), CheckFailure> {
    let stream = connect(net, trust, target).await?;
    let host = target.check.kind.host(target.address).unwrap_or_default();
    match &target.check.kind {
        CheckKind::Tcp => Ok(()),
        CheckKind::Http { path, protocol: Protocol::Http1, .. } => {
            passes(http1_status(stream, path, &host).await?)
        }
        CheckKind::Http { path, protocol: Protocol::Http2, .. } => {
            passes(http2_status(stream, path, (&host, target.check.tls.is_some())).await?)
        }
        CheckKind::Grpc { service, .. } => {
            grpc::serving(stream, service, (&host, target.check.tls.is_some())).await
        }
    }
}

async fn connect(net: &dyn Net, trust: &Trust, target: &CheckTarget) -> Result<Stream, CheckFailure> {
    let protocol = match &target.check.kind {
        CheckKind::Http { protocol, .. } => *protocol,
        CheckKind::Tcp => Protocol::Http1,
        CheckKind::Grpc { .. } => Protocol::Http2,
    };
    let endpoint = Endpoint { address: target.address, protocol, tls: target.check.tls.clone() };
    let connected = transport::connect(net, trust, &endpoint, target.check.timeout).await;
    connected.map_err(|error| match error {
        ConnectError::Unreachable(_) => CheckFailure::Unreachable,
        ConnectError::TimedOut => CheckFailure::TimedOut,
        ConnectError::Untrusted(_) => CheckFailure::Untrusted,
    })
}

fn passes(status: StatusCode) -> Result<(), CheckFailure> {
    if status.is_success() { Ok(()) } else { Err(CheckFailure::Status(status.as_u16())) }
}

async fn http1_status(stream: Stream, path: &str, host: &str) -> Result<StatusCode, CheckFailure> {
    let request = Request::get(path).header(HOST, host).header(CONNECTION, "close");
    let request = request.header(USER_AGENT, AGENT).body(Empty::<Bytes>::new()).map_err(broken)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // The connection ends when this function does; what went wrong with it is the request's error.
    let _driver = task::spawn("health check", async move { drop(connection.await) });
    Ok(sender.send_request(request).await.map_err(broken)?.status())
}

async fn http2_status(
    stream: Stream,
    path: &str,
    (host, tls): (&str, bool),
) -> Result<StatusCode, CheckFailure> {
    let scheme = if tls { "https" } else { "http" };
    let request = Request::get(format!("{scheme}://{host}{path}")).header(USER_AGENT, AGENT);
    let request = request.body(Empty::<Bytes>::new()).map_err(broken)?;
    let handshake = http2::handshake(LocalExecutor, TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(broken)?;
    let _driver = task::spawn("health check", async move { drop(connection.await) });
    Ok(sender.send_request(request).await.map_err(broken)?.status())
}

/// What went wrong inside the protocol is one failure, whatever it was.
pub(super) fn broken<E>(_: E) -> CheckFailure {
    CheckFailure::Broken
}

pub(super) const AGENT: &str = concat!("graticule/", env!("CARGO_PKG_VERSION"));
