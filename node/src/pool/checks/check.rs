//! One HTTP check of one backend: does it answer well in time?

use bytes::Bytes;
use graticule_node_core::pool::{CheckFailure, CheckTarget};
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::task;
use crate::world::Net;

/// Asks `target` once, on a connection of its own. Any 2xx is a success.
pub(super) async fn check(net: &dyn Net, target: &CheckTarget) -> Result<(), CheckFailure> {
    let answer = tokio::time::timeout(target.check.timeout, ask(net, target)).await;
    match answer.unwrap_or(Err(CheckFailure::TimedOut))? {
        status if status.is_success() => Ok(()),
        status => Err(CheckFailure::Status(status.as_u16())),
    }
}

async fn ask(net: &dyn Net, target: &CheckTarget) -> Result<StatusCode, CheckFailure> {
    let request = request(target).map_err(|_| CheckFailure::Broken)?;
    let stream = net.connect(target.address).await.map_err(|_| CheckFailure::Unreachable)?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| CheckFailure::Broken)?;
    // The connection ends when this function does; what went wrong with it is the request's error.
    let _driver = task::spawn("health check", async move { drop(connection.await) });
    let response = sender.send_request(request).await.map_err(|_| CheckFailure::Broken)?;
    Ok(response.status())
}

fn request(target: &CheckTarget) -> http::Result<Request<Empty<Bytes>>> {
    Request::get(target.check.path.as_str())
        .header(HOST, target.check.host.as_str())
        .header(USER_AGENT, concat!("graticule/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::new())
}
