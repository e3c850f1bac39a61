//! A small HTTP backend that answers with its region and what it received.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::task;

/// What a backend answers.
#[derive(Debug, Serialize)]
struct Echo<'a> {
    region: &'a str,
    backend: SocketAddr,
    method: &'a str,
    path: &'a str,
    headers: std::collections::BTreeMap<&'a str, String>,
    body_bytes: usize,
}

/// Serves on `listener` until the process ends.
pub(super) async fn run(listener: TcpListener, region: &str) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    loop {
        let (stream, _) = listener.accept().await?;
        let region = region.to_owned();
        task::spawn_detached("backend connection", async move {
            let service = service_fn(|request| answer(&region, address, request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a backend's connection ended");
            }
        });
    }
}

async fn answer(
    region: &str,
    backend: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let mut body_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        body_bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    let echo = Echo {
        region,
        backend,
        method: parts.method.as_str(),
        path: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: parts.headers.keys().map(|name| (name.as_str(), all(&parts.headers, name))).collect(),
        body_bytes,
    };
    let mut json = serde_json::to_vec_pretty(&echo).unwrap_or_default();
    json.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(json)));
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Every line of a header, as one.
fn all(headers: &http::HeaderMap, name: &http::HeaderName) -> String {
    let lines = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    lines.collect::<Vec<_>>().join(", ")
}
