//! A backend that behaves as it is told: well, slowly, badly, or not at all.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// How it behaves from now on. Checks always pass, unless it resets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It answers 200.
    Well,
    /// It answers 200, after 200 ms.
    Slow,
    /// It answers 503.
    Failing,
    /// It cuts connections as soon as a request is there.
    Resetting,
    /// Its gRPC health is not `SERVING`; else it is well.
    NotServing,
}

/// What it speaks.
#[derive(Debug, Clone)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// Either under TLS, as ALPN says.
    Tls(Arc<ServerConfig>),
}

/// A server on a thread of its own. Every answer says over which version of HTTP it was asked.
#[derive(Debug)]
pub struct Moody {
    /// Where it is.
    pub address: SocketAddr,
    mood: Arc<AtomicU8>,
    requests: Arc<AtomicU64>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Moody {
    /// Starts one on a free port.
    pub fn start(speaks: Speaks, mood: Mood) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, crate::ports::consecutive(1)));
        let (mood, requests) = (Arc::new(AtomicU8::new(mood as u8)), Arc::new(AtomicU64::new(0)));
        let (stop, stopped) = oneshot::channel();
        let (ready, bound) = mpsc::sync_channel::<()>(1);
        let server = Server { speaks, mood: Arc::clone(&mood), requests: Arc::clone(&requests) };
        let thread = std::thread::spawn(move || {
            let serving = async move {
                let listener = TcpListener::bind(address).await.expect("the backend's address is free");
                drop(ready);
                server.run(listener).await;
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default());
            runtime.expect("a runtime for a backend").block_on(async {
                tokio::select! { () = serving => {}, _ = stopped => {} }
            });
        });
        let _ = bound.recv();
        Self { address, mood, requests, running: Some((stop, thread)) }
    }

    /// Behaves differently from now on.
    pub fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Requests that have arrived so far, without checks.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Clone)]
struct Server {
    speaks: Speaks,
    mood: Arc<AtomicU8>,
    requests: Arc<AtomicU64>,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.expect("the backend can accept");
            let _ = stream.set_nodelay(true);
            tokio::task::spawn_local(self.clone().connection(stream));
        }
    }

    async fn connection(self, stream: TcpStream) {
        match self.speaks.clone() {
            Speaks::Http1 => self.http1(stream).await,
            Speaks::Http2 => self.http2(stream).await,
            Speaks::Tls(config) => {
                let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    self.http2(stream).await;
                } else {
                    self.http1(stream).await;
                }
            }
        }
    }

    async fn http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = service_fn(|request| self.answer(request));
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { server.answer(request).await }
        });
        let _ = http2::Builder::new(Local).serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let mood = self.mood.load(Ordering::SeqCst);
        if mood == Mood::Resetting as u8 {
            self.requests.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        match request.uri().path() {
            "/healthz" => return Ok(text(StatusCode::OK, String::new())),
            "/grpc.health.v1.Health/Check" => return Ok(grpc_health(mood != Mood::NotServing as u8)),
            _ => drop(self.requests.fetch_add(1, Ordering::SeqCst)),
        }
        if mood == Mood::Slow as u8 {
            tokio::time::sleep(SLOW).await;
        }
        let status =
            if mood == Mood::Failing as u8 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        let host = request.uri().authority().map(ToString::to_string);
        let host = host.or_else(|| Some(request.headers().get("host")?.to_str().ok()?.to_owned()));
        let version = request.version();
        // What is left unread makes the kernel reset the connection, and its answer may be lost with it.
        let _ = request.into_body().collect().await;
        Ok(text(status, format!("{version:?} {}", host.unwrap_or_default())))
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// `HealthCheckResponse` as one gRPC message, and the call's own status in the trailers.
fn grpc_health(serving: bool) -> Response<Body> {
    let message = Bytes::from(vec![0, 0, 0, 0, 2, 0x08, if serving { 1 } else { 2 }]);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(message).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.map_frame(|frame: Frame<Bytes>| frame).boxed_unsync());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

#[derive(Debug, Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

const SLOW: Duration = Duration::from_millis(200);
