//! A client: HTTP/1.1 and HTTP/2 as browsers and services speak them, one connection at a time.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

mod multiplexed;
mod tls;

pub use multiplexed::{Multiplexed, Unanswered};
pub use tls::Tls;

/// What a client asks.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// What it is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

/// Why there was no answer.
#[derive(Debug)]
pub struct Broken(pub String);

impl Ask {
    /// A GET of `path` at `host`.
    pub fn get(host: &str, path: &str) -> Self {
        Self::with(Method::GET, host, path, Bytes::new())
    }

    /// Any method, with a body.
    pub fn with(method: Method, host: &str, path: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("host".to_owned(), host.to_owned())];
        Self { method, path: path.to_owned(), headers, body: body.into() }
    }

    /// On behalf of a client at `address`, as a trusted load balancer says.
    #[must_use]
    pub fn from(self, address: IpAddr) -> Self {
        self.header("x-forwarded-for", &address.to_string())
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Named, so that backends can say whether they saw it.
    #[must_use]
    pub fn named(self, id: &str) -> Self {
        self.header(ID, id)
    }

    /// As a request with its own body.
    pub fn request(&self) -> Request<Outgoing> {
        self.request_with(Full::new(self.body.clone()))
    }

    /// As a request with another body.
    pub fn request_with<B>(&self, body: B) -> Request<Outgoing>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(body.boxed_unsync()).expect("a well-formed request")
    }
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Result<Self, Broken> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(Broken::of)?.to_bytes();
        Ok(Self { status: parts.status, headers: parts.headers, body })
    }

    /// The region that the edge says has served it.
    pub fn region(&self) -> Option<&str> {
        self.header("x-graticule-region")
    }

    /// One header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The reason of a refusal, if this is one in the form that is promised.
    pub fn refusal(&self) -> Option<String> {
        let is_problem = self.header("content-type") == Some("application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(&self.body).ok().filter(|_| is_problem)?;
        let agrees = problem["status"] == self.status.as_u16();
        Some(problem["reason"].as_str().filter(|_| agrees)?.to_owned())
    }
}

/// One kept-alive connection to an edge.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    driver: JoinHandle<()>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

type Outgoing = UnsyncBoxBody<Bytes, Infallible>;

/// Runs what an HTTP/2 connection needs beside itself.
#[derive(Debug, Clone, Copy)]
struct Beside;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Beside {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl Connection {
    /// Connects with HTTP/1.1.
    pub async fn open(edge: SocketAddr) -> Result<Self, Broken> {
        Self::speak_http1(connect(edge).await?).await
    }

    async fn speak_http1<S>(stream: S) -> Result<Self, Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Broken::of)?;
        let driver = tokio::task::spawn_local(async move {
            // Its end is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self { sender: Sender::Http1(sender), driver })
    }

    /// Connects with HTTP/2, which it expects to be understood.
    pub async fn open_http2(edge: SocketAddr) -> Result<Self, Broken> {
        Self::speak_http2(connect(edge).await?).await
    }

    /// Connects with TLS, and then with whatever both agree on.
    pub async fn open_tls(edge: SocketAddr, tls: &Tls<'_>) -> Result<Self, Broken> {
        let stream = tls.shake_hands(connect(edge).await?).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Self::speak_http2(stream).await,
            _ => Self::speak_http1(stream).await,
        }
    }

    /// Connects with TLS, and then with HTTP/2 whatever both agree on.
    pub async fn open_tls_with_http2(edge: SocketAddr, tls: &Tls<'_>) -> Result<Self, Broken> {
        Self::speak_http2(tls.shake_hands(connect(edge).await?).await?).await
    }

    async fn speak_http2<S>(stream: S) -> Result<Self, Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (sender, connection) =
            http2::handshake(Beside, TokioIo::new(stream)).await.map_err(Broken::of)?;
        let driver = tokio::task::spawn_local(async move {
            // As above.
            let _ = connection.await;
        });
        Ok(Self { sender: Sender::Http2(sender), driver })
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn start(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, Broken> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await.map_err(Broken::of)?;
                sender.send_request(request).await.map_err(Broken::of)
            }
            Sender::Http2(sender) => {
                sender.ready().await.map_err(Broken::of)?;
                sender.send_request(with_authority(request)).await.map_err(Broken::of)
            }
        }
    }

    /// Sends a request over HTTP/2; others may follow before its answer comes.
    pub async fn begin(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<impl Future<Output = hyper::Result<Response<Incoming>>> + 'static, Broken> {
        let Sender::Http2(sender) = &mut self.sender else { panic!("HTTP/1.1 has one request at a time") };
        sender.ready().await.map_err(Broken::of)?;
        Ok(sender.send_request(with_authority(request)))
    }

    /// Sends a request and waits for its whole answer.
    pub async fn ask(&mut self, ask: &Ask) -> Result<Answer, Broken> {
        let answered = async { Answer::read(self.start(ask.request()).await?).await };
        timeout(ANSWER_LIMIT, answered).await.map_err(Broken::of)?
    }
}

async fn connect(edge: SocketAddr) -> Result<TcpStream, Broken> {
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(edge)).await.map_err(Broken::of)?;
    let stream = stream.map_err(Broken::of)?;
    stream.set_nodelay(true).map_err(Broken::of)?;
    Ok(stream)
}

/// HTTP/2 says the host in the target.
fn with_authority(mut request: Request<Outgoing>) -> Request<Outgoing> {
    if let Some(host) = request.headers_mut().remove(http::header::HOST) {
        let host = host.to_str().expect("a host is text");
        *request.uri_mut() = format!("http://{host}{}", request.uri()).parse().expect("a target");
    }
    request
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Broken {
    fn of(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

/// Asks over a connection of its own; fails the test if there is no answer at all.
pub async fn ask(edge: SocketAddr, ask: &Ask) -> Answer {
    let answer = async { Connection::open(edge).await?.ask(ask).await };
    answer.await.unwrap_or_else(|Broken(reason)| panic!("no answer from {edge} to {ask:?}: {reason}"))
}

/// Names a request for the tests.
pub(crate) const ID: &str = "x-test-id";
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
