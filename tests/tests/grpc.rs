//! gRPC: one answer and three kinds of streams, trailers, deadlines and cancellations, at home and through a tunnel.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures_util::{Stream, StreamExt, stream};
use graticule_tests::{Ask, Fleet, Lone, ask, consecutive_ports, eventually, now, story};
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{Service, service_fn};

#[test]
fn calls_of_all_four_kinds_are_answered() {
    story(Duration::from_mins(1), async {
        let (fleet, _) = fleet().await;
        for edge in ["eu-central", "us-east"] {
            let answer =
                client(&fleet, edge).await.unary(message("hello"), path("Unary"), Raw).await.unwrap();
            assert_eq!(answer.metadata().get("x-graticule-region").unwrap(), "eu-central");
            assert_eq!(answer.into_inner(), "hello");

            let counted =
                client(&fleet, edge).await.server_streaming(message("1000"), path("Count"), Raw).await;
            let counted: Vec<_> = counted.unwrap().into_inner().map(Result::unwrap).collect().await;
            assert_eq!((counted.len(), &counted[999]), (1_000, &Bytes::from("999")));

            let pieces = stream::iter((0..64).map(|_| Bytes::from(vec![b'x'; 32 * 1024])));
            let sum =
                client(&fleet, edge).await.client_streaming(Request::new(pieces), path("Sum"), Raw).await;
            assert_eq!(sum.unwrap().into_inner(), "2097152");

            // Each message waits for the answer to the one before.
            let (say, said) = mpsc::channel(1);
            let said = Request::new(ReceiverStream::new(said));
            let heard = client(&fleet, edge).await.streaming(said, path("Chat"), Raw).await.unwrap();
            let mut heard = heard.into_inner();
            for round in 0..100 {
                say.send(Bytes::from(round.to_string())).await.unwrap();
                assert_eq!(heard.message().await.unwrap().unwrap(), round.to_string());
            }
            drop(say);
            assert!(heard.message().await.unwrap().is_none(), "{edge}");
        }
    });
}

#[test]
fn errors_and_what_comes_with_them_arrive_in_trailers() {
    story(Duration::from_mins(1), async {
        let (fleet, _) = fleet().await;
        for edge in ["eu-central", "us-east"] {
            let refused =
                client(&fleet, edge).await.unary::<_, Bytes, _>(message(""), path("Fail"), Raw).await;
            let status = refused.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not today"));
            assert_eq!(status.metadata().get("x-detail").unwrap(), "7", "{edge}");

            let broken = client(&fleet, edge).await.server_streaming(message("3"), path("Break"), Raw).await;
            let mut broken = broken.unwrap().into_inner();
            for at in 0..3 {
                assert_eq!(broken.message().await.unwrap().unwrap(), at.to_string());
            }
            let status: Status = broken.message().await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::DataLoss, "half of it is gone"), "{edge}");
            assert_eq!(status.metadata().get("x-detail").unwrap(), "8", "{edge}");
        }
    });
}

#[test]
fn a_refusal_is_an_error_that_clients_understand() {
    story(Duration::from_mins(1), async {
        let dead = SocketAddr::from((Ipv4Addr::LOCALHOST, consecutive_ports(1)));
        let lone = Lone { pool: "protocol = \"http2\"", ..Lone::default() };
        let fleet = lone.fleet("calls", dead).await;
        for edge in ["eu-central", "us-east"] {
            let refused = |host: &'static str| {
                let asked = client_of(&fleet, edge, host);
                async move {
                    asked.await.unary::<_, Bytes, _>(message("hello"), path("Unary"), Raw).await.unwrap_err()
                }
            };
            let status = refused("calls.example").await;
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(status.message().starts_with("backend-unreachable: No connection"), "{status:?}");
            assert!(status.metadata().contains_key("x-request-id"), "{status:?}");
            let told = status.metadata().get("proxy-status").unwrap().to_str().unwrap();
            assert!(told.contains("details=\"backend-unreachable\""), "{told}");

            assert_eq!(refused("nobody.example").await.code(), Code::Unimplemented);
        }
        let page = ask(fleet.nodes[0].admin, &Ask::get("admin", "/metrics")).await;
        let page = String::from_utf8_lossy(&page.body);
        let counted = r#"graticule_requests_total{tenant="calls",role="edge",class="5xx"} 1"#;
        assert!(page.contains(counted), "they are counted as what they are: {page}");
    });
}

#[test]
fn a_deadline_ends_the_call_at_both_ends() {
    story(Duration::from_mins(1), async {
        let (fleet, under_way) = fleet().await;
        for edge in ["eu-central", "us-east"] {
            let mut request = message("");
            request.set_timeout(Duration::from_millis(300));
            let begun = now();
            let late = client(&fleet, edge).await.unary::<_, Bytes, _>(request, path("Forever"), Raw).await;
            let code = late.unwrap_err().code();
            assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&code), "{code:?}");
            assert!(now() - begun < Duration::from_secs(3));
            over(&under_way).await;
        }
    });
}

#[test]
fn a_call_that_the_client_gives_up_ends_at_the_backend() {
    story(Duration::from_mins(1), async {
        let (fleet, under_way) = fleet().await;
        for edge in ["eu-central", "us-east"] {
            let mut client = client(&fleet, edge).await;
            let call = client.unary::<_, Bytes, _>(message(""), path("Forever"), Raw);
            assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err());
            over(&under_way).await;
        }
    });
}

async fn over(under_way: &AtomicUsize) {
    eventually("the backend has stopped", Duration::from_secs(5), async || {
        match under_way.load(Ordering::SeqCst) {
            0 => Ok(()),
            calls => Err(calls),
        }
    })
    .await;
}

fn message(text: &'static str) -> Request<Bytes> {
    Request::new(Bytes::from_static(text.as_bytes()))
}

fn path(method: &str) -> PathAndQuery {
    format!("/test.Test/{method}").parse().unwrap()
}

async fn client(fleet: &Fleet, edge: &str) -> tonic::client::Grpc<Channel> {
    client_of(fleet, edge, "calls.example").await
}

async fn client_of(fleet: &Fleet, edge: &str, host: &str) -> tonic::client::Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", fleet.edge(edge))).unwrap();
    let channel = endpoint.origin(format!("http://{host}").parse().unwrap()).connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    client
}

/// Two regions, and a backend in Frankfurt whose calls under way are counted.
async fn fleet() -> (Fleet, Arc<AtomicUsize>) {
    let under_way = Arc::<AtomicUsize>::default();
    let backend = backend(Test(Arc::clone(&under_way))).await;
    let fleet = Lone { pool: "protocol = \"http2\"", ..Lone::default() }.fleet("calls", backend).await;
    (fleet, under_way)
}

async fn backend(test: Test) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Server::builder().add_service(test).serve_with_incoming(TcpListenerStream::new(listener));
    tokio::task::spawn_local(async move { serving.await.unwrap() });
    address
}

/// The backend's service.
#[derive(Clone)]
struct Test(Arc<AtomicUsize>);

/// Counts a call as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

impl NamedService for Test {
    const NAME: &'static str = "test.Test";
}

impl Service<http::Request<tonic::body::Body>> for Test {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let count = Arc::clone(&self.0);
        let mut grpc = tonic::server::Grpc::new(Raw);
        Box::pin(async move {
            let counted = Counted::new(&count);
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let response = match &*method {
                "Unary" => grpc.unary(service_fn(unary), request).await,
                "Fail" => grpc.unary(service_fn(fail), request).await,
                "Forever" => grpc.unary(service_fn(forever), request).await,
                "Sum" => grpc.client_streaming(service_fn(sum), request).await,
                "Count" => grpc.server_streaming(service_fn(counting), request).await,
                "Break" => grpc.server_streaming(service_fn(breaking), request).await,
                _ => grpc.streaming(service_fn(chat), request).await,
            };
            drop(counted);
            Ok(response)
        })
    }
}

async fn unary(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    Ok(Response::new(request.into_inner()))
}

async fn fail(_: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    Err(with_detail(Status::failed_precondition("not today"), "7"))
}

async fn forever(_: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    std::future::pending().await
}

async fn sum(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let mut pieces = request.into_inner();
    let mut sum = 0;
    while let Some(piece) = pieces.message().await? {
        sum += piece.len();
    }
    Ok(Response::new(Bytes::from(sum.to_string())))
}

async fn counting(request: Request<Bytes>) -> Result<Response<Answers>, Status> {
    let numbers = (0..number(&request)).map(|at| Ok(Bytes::from(at.to_string())));
    Ok(Response::new(Box::pin(stream::iter(numbers))))
}

async fn breaking(request: Request<Bytes>) -> Result<Response<Answers>, Status> {
    let numbers = (0..number(&request)).map(|at| Ok(Bytes::from(at.to_string())));
    let end = Err(with_detail(Status::data_loss("half of it is gone"), "8"));
    Ok(Response::new(Box::pin(stream::iter(numbers.chain([end])))))
}

async fn chat(request: Request<Streaming<Bytes>>) -> Result<Response<Answers>, Status> {
    Ok(Response::new(Box::pin(request.into_inner())))
}

fn number(request: &Request<Bytes>) -> usize {
    std::str::from_utf8(request.get_ref()).unwrap().parse().unwrap()
}

fn with_detail(mut status: Status, detail: &'static str) -> Status {
    status.metadata_mut().insert("x-detail", detail.parse().unwrap());
    status
}

/// Messages as they are: what is tested is the way, not their form.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}
