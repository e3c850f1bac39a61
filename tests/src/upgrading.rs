//! A backend that speaks HTTP/2 and is asked for upgrades.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::raw_backend;

/// What it says to upgrades. To everything else it says `ok`.
#[derive(Debug, Clone)]
pub struct Upgrading {
    /// Whether it announces that it may be asked (RFC 8441).
    pub announces: bool,
    /// Its answer.
    pub status: StatusCode,
    /// Its TLS, if it has any.
    pub tls: Option<Arc<ServerConfig>>,
}

/// A stream after its upgrade.
pub type UpgradedStream = TokioIo<Upgraded>;

impl Default for Upgrading {
    /// It announces them, and agrees.
    fn default() -> Self {
        Self { announces: true, status: StatusCode::OK, tls: None }
    }
}

impl Upgrading {
    /// Starts it; every upgraded stream is treated with `serve`.
    pub async fn start<F>(self, serve: impl Fn(UpgradedStream) -> F + 'static) -> SocketAddr
    where
        F: Future<Output = ()> + 'static,
    {
        let serve = Rc::new(serve);
        raw_backend(move |stream| {
            let (backend, serve) = (self.clone(), Rc::clone(&serve));
            async move {
                match &backend.tls {
                    None => backend.speak(stream, serve).await,
                    Some(config) => {
                        let Ok(stream) = TlsAcceptor::from(Arc::clone(config)).accept(stream).await else {
                            return;
                        };
                        backend.speak(stream, serve).await;
                    }
                }
            }
        })
        .await
    }

    async fn speak<S, F>(&self, stream: S, serve: Rc<impl Fn(UpgradedStream) -> F + 'static>)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        F: Future<Output = ()> + 'static,
    {
        let mut server = http2::Builder::new(Beside);
        if self.announces {
            server.enable_connect_protocol();
        }
        let service = service_fn(|request| {
            let answer = self.answer(request, &serve);
            async { Ok::<_, Infallible>(answer) }
        });
        // Its end is seen by whoever asks.
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    }

    fn answer<F>(
        &self,
        mut request: Request<Incoming>,
        serve: &Rc<impl Fn(UpgradedStream) -> F + 'static>,
    ) -> Response<Full<Bytes>>
    where
        F: Future<Output = ()> + 'static,
    {
        let mut response = Response::new(Full::default());
        if request.method() != Method::CONNECT {
            *response.body_mut() = Full::from("ok");
            return response;
        }
        *response.status_mut() = self.status;
        if let Some(wanted) = request.headers().get("sec-websocket-protocol").cloned() {
            response.headers_mut().insert("sec-websocket-protocol", wanted);
        }
        let (stream, serve) = (hyper::upgrade::on(&mut request), Rc::clone(serve));
        tokio::task::spawn_local(async move {
            if let Ok(stream) = stream.await {
                serve(TokioIo::new(stream)).await;
            }
        });
        response
    }
}

#[derive(Debug, Clone, Copy)]
struct Beside;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Beside {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
