//! Calls of a node's admin API over its socket.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use graticule_node_api::{self as api, Call};
use http::{HeaderName, Method, Request, Response, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Failure;
use crate::body::BodyError;
use crate::task;

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = task::local_runtime().map_err(|error| Failure::doing("cannot start", error))?;
    Ok(runtime.block_on(future))
}

/// Makes one call of the admin API at `admin`, which asks for no token.
pub(crate) async fn call<T: DeserializeOwned>(admin: &str, call: &Call<T>) -> Result<T, Failure> {
    call_as((admin, None), call).await
}

/// Makes one call of the admin API at `admin` with a token, if there is one.
pub(super) async fn call_as<T: DeserializeOwned>(
    (admin, token): (&str, Option<&str>),
    call: &Call<T>,
) -> Result<T, Failure> {
    let address = admin.trim_start_matches("http://").trim_end_matches('/');
    let method = match call.method() {
        api::Method::Get => Method::GET,
        api::Method::Post => Method::POST,
    };
    let bearer = token.map(|token| format!("Bearer {token}"));
    let authorization = bearer.as_deref().map(|bearer| (header::AUTHORIZATION, bearer));
    let headers: Vec<_> = [(header::HOST, address)].into_iter().chain(authorization).collect();
    let asked = ask(address, (method, call.path()), &headers);
    let answer = timeout(CALL_TIMEOUT, asked)
        .await
        .map_err(|_| Failure::doing(admin, "the admin API did not answer in time"))?
        .map_err(|error| {
            let advice = "is the node running, and is this its admin address (--admin)?";
            Failure::Failed(format!("cannot reach the admin API at {admin}: {error}; {advice}"))
        })?;
    call.read(answer.status().as_u16(), answer.body()).map_err(|error| Failure::Failed(error.to_string()))
}

/// One GET over a connection of its own; the answer is collected.
pub(crate) async fn get(
    address: &str,
    path: &str,
    headers: &[(HeaderName, &str)],
) -> Result<Response<Bytes>, BodyError> {
    ask(address, (Method::GET, path), headers).await
}

async fn ask(
    address: &str,
    (method, path): (Method, &str),
    headers: &[(HeaderName, &str)],
) -> Result<Response<Bytes>, BodyError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _connection = task::spawn("client connection", async move {
        // Its end is seen by whoever waits for the answer.
        let _ = connection.await;
    });
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
    let (parts, body) = sender.send_request(request.body(Empty::<Bytes>::new())?).await?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// A call that is passed on to the nodes of a region takes its time.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
