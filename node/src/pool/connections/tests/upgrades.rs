//! Upgrades of backends that speak HTTP/2, and what shares a connection with them.

use std::cell::Cell;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::body::{UpgradeBody, UpgradeInput, upgrade};
use crate::pool::executor::LocalExecutor;
use crate::pool::testing::Http2;

/// A server that may be asked for upgrades.
fn server() -> Http2 {
    let mut server = Http2::new(LocalExecutor);
    server.enable_connect_protocol().timer(TokioTimer::new());
    server
}

/// A request to upgrade as the gateway sends it, and where what the client sends goes.
fn ask_for(protocol: &'static str) -> (UpgradeInput, Request<UpgradeBody>) {
    let (input, body) = upgrade();
    let request = Request::get("/chat").header("host", "test").header("connection", "upgrade");
    let request = request.header("upgrade", protocol).header("sec-websocket-key", KEY);
    (input, request.body(body).unwrap())
}

/// Agrees, and sends back what comes, to its end; anything but an upgrade is `ok`.
async fn agree(mut request: Request<Incoming>) -> Response<AnyBody> {
    if request.method() == Method::CONNECT {
        let stream = hyper::upgrade::on(&mut request);
        task::spawn_detached("upgraded", async move {
            let mut stream = TokioIo::new(stream.await.unwrap());
            let mut pieces = vec![0; 4_096];
            while let Ok(length @ 1..) = stream.read(&mut pieces).await {
                stream.write_all(&pieces[..length]).await.unwrap();
            }
            let _ = stream.write_all(b", and goodbye").await;
            let _ = stream.shutdown().await;
        });
        return Response::new(full(""));
    }
    Response::new(full("ok"))
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_upgrade_is_asked_for_by_connect() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::of_http2(&net, server(), |request: Request<Incoming>| {
        assert_eq!(
            (request.method(), request.uri()),
            (&Method::CONNECT, &"http://test/chat".parse().unwrap())
        );
        let protocol = request.extensions().get::<hyper::ext::Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        for name in ["connection", "upgrade", "sec-websocket-key"] {
            assert!(!request.headers().contains_key(name), "{name}");
        }
        agree(request)
    });
    let connections = Connections::new(&net.world(), links());
    let (input, request) = ask_for("websocket");
    let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let told = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!((told("upgrade"), told("sec-websocket-accept")), ("websocket", ACCEPT));
    assert_eq!(connections.in_flight(backend.address), 1);

    assert!(input.pass_on(Bytes::from_static(b"hello")).await);
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    // The end of one direction leaves the other open.
    input.finish().await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ", and goodbye");
    assert!(body.frame().await.is_none());
    drop(body);
    assert_eq!(connections.in_flight(backend.address), 0);
    assert_eq!((backend.seen.open.get(), backend.seen.connections.get()), (1, 1));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_that_its_backend_has_ended_is_given_no_request() {
    let net = Arc::new(MemoryNet::default());
    let (address, mut incoming) = net.listen_in_memory();
    let accepted = Rc::new(Cell::new(0));
    let counted = Rc::clone(&accepted);
    let _backend = task::spawn("backend", async move {
        while let Some(stream) = incoming.recv().await {
            counted.set(counted.get() + 1);
            let service = service_fn(|request| async { Ok::<_, std::io::Error>(agree(request).await) });
            let serving = server().serve_connection(TokioIo::new(stream), service);
            // Closes it while nothing is under way.
            let _ = tokio::time::timeout(Duration::from_millis(100), serving).await;
        }
    });
    let connections = Connections::new(&net.world(), links());
    for times in 1..=3 {
        let request = Request::get("/").header("host", "test").body(full("")).unwrap();
        let response = send(&connections, &[address], &pool_of_http2(), 0, request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(accepted.get(), times);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_backend_that_has_not_said_it_takes_upgrades_is_not_asked() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::of_http2(&net, Http2::new(LocalExecutor), agree);
    let connections = Connections::new(&net.world(), links());
    for _ in 0..2 {
        let (_input, request) = ask_for("websocket");
        let failure = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap_err();
        assert_eq!(failure.reason, Reason::NotSupported);
        let response = send(&connections, &[backend.address], &pool_of_http2(), 0, get()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    }
    assert_eq!((backend.seen.requests.get(), backend.seen.connections.get()), (2, 1));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_cannot_become_a_connect_is_refused_without_asking() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::of_http2(&net, server(), agree);
    let connections = Connections::new(&net.world(), links());
    let refused = async |change: fn(&mut Request<UpgradeBody>)| {
        let (_input, mut request) = ask_for("websocket");
        change(&mut request);
        send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap_err().reason
    };
    assert_eq!(refused(|request| *request.method_mut() = Method::POST).await, Reason::NotSupported);
    let without_key = |request: &mut Request<_>| drop(request.headers_mut().remove("sec-websocket-key"));
    assert_eq!(refused(without_key).await, Reason::BadRequest);
    assert_eq!(backend.seen.requests.get(), 0);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_without_an_upgrade_is_passed_on() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::of_http2(&net, server(), async |_| {
        let mut response = Response::new(full("not for you"));
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    });
    let connections = Connections::new(&net.world(), links());
    for _ in 0..2 {
        let (_input, request) = ask_for("websocket");
        let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "not for you");
    }
    assert_eq!(backend.seen.connections.get(), 1);
    assert_eq!(connections.in_flight(backend.address), 0);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn success_that_is_no_agreement_is_the_backends_fault() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::of_http2(&net, server(), async |_| {
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    });
    let connections = Connections::new(&net.world(), links());
    let once = Pool { retry: RetryRule { retries_max: 0, ..RetryRule::default() }, ..pool_of_http2() };
    let (_input, request) = ask_for("websocket");
    let failure = send(&connections, &[backend.address], &once, 0, request).await.unwrap_err();
    assert_eq!(failure.reason, Reason::BackendFailed);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_is_gone_ends_its_stream_and_nothing_else() {
    let net = Arc::new(MemoryNet::default());
    let (gone, mut noticed) = tokio::sync::mpsc::channel(1);
    let backend = Backend::of_http2(&net, server(), move |mut request: Request<Incoming>| {
        let gone = gone.clone();
        let stream = hyper::upgrade::on(&mut request);
        task::spawn_detached("upgraded", async move {
            let mut stream = TokioIo::new(stream.await.unwrap());
            let _ = stream.read_to_end(&mut Vec::new()).await;
            // Nobody reads any more, and that is seen too.
            while stream.write_all(&[0; 4_096]).await.is_ok() {}
            gone.send(()).await.unwrap();
        });
        async { Response::new(full("")) }
    });
    let connections = Connections::new(&net.world(), links());
    for _ in 0..2 {
        let (input, request) = ask_for("echo");
        let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
        drop((input, response));
        assert_eq!(connections.in_flight(backend.address), 0);
        noticed.recv().await.unwrap();
    }
    assert_eq!((backend.seen.open.get(), backend.seen.connections.get()), (1, 1));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_backend_that_is_gone_ends_no_stream_in_order() {
    let net = Arc::new(MemoryNet::default());
    let (address, mut incoming) = net.listen_in_memory();
    let serving = task::spawn("backend", async move {
        let stream = TokioIo::new(incoming.recv().await.unwrap());
        let service = service_fn(async |request| Ok::<_, io::Error>(agree(request).await));
        server().serve_connection(stream, service).await.unwrap();
    });
    let connections = Connections::new(&net.world(), links());
    let (input, request) = ask_for("echo");
    let response = send(&connections, &[address], &pool_of_http2(), 0, request).await.unwrap();
    assert!(input.pass_on(Bytes::from_static(b"hello")).await);
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    drop(serving);
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn upgrades_do_not_wait_for_each_other() {
    let net = Arc::new(MemoryNet::default());
    let mut few = server();
    few.max_concurrent_streams(2);
    let backend = Backend::of_http2(&net, few, agree);
    let connections = Connections::new(&net.world(), links());
    let mut open = Vec::new();
    for number in 1..=5_u32 {
        let (input, request) = ask_for("echo");
        let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        open.push((input, response));
        assert_eq!(connections.in_flight(backend.address), number);
    }
    assert_eq!(backend.seen.connections.get(), 3);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_takes_nothing_holds_nobody_else_up() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::of_http2(&net, server(), async |mut request: Request<Incoming>| {
        if request.uri().path() == "/endless" {
            return Response::new(Endless(Arc::default()).map_err(Into::into).boxed_unsync());
        }
        let stream = hyper::upgrade::on(&mut request);
        task::spawn_detached("upgraded", async move {
            let Ok(stream) = stream.await else { return };
            let mut stream = TokioIo::new(stream);
            while stream.write_all(&[7; 16 * 1024]).await.is_ok() {}
        });
        Response::new(full("ok"))
    });
    let connections = Connections::new(&net.world(), links());
    let pool = pool_of_http2();
    let mut endless = get();
    *endless.uri_mut() = "/endless".parse().unwrap();
    let (_input, upgrade) = ask_for("endless");
    let stalled = (
        send(&connections, &[backend.address], &pool, 0, endless).await.unwrap(),
        send(&connections, &[backend.address], &pool, 0, upgrade).await.unwrap(),
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let response = send(&connections, &[backend.address], &pool, 0, get()).await.unwrap();
    let body = tokio::time::timeout(Duration::from_secs(1), response.into_body().collect()).await;
    assert_eq!(body.expect("an answer in time").unwrap().to_bytes(), "ok");
    assert_eq!(backend.seen.connections.get(), 1);
    drop(stalled);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_stops_reading_stops_the_backend_after_an_upgrade() {
    let net = Arc::new(MemoryNet::default());
    let sent = Rc::new(Cell::new(0));
    let counted = Rc::clone(&sent);
    let backend = Backend::of_http2(&net, server(), move |mut request: Request<Incoming>| {
        let counted = Rc::clone(&counted);
        let stream = hyper::upgrade::on(&mut request);
        task::spawn_detached("upgraded", async move {
            let mut stream = TokioIo::new(stream.await.unwrap());
            while stream.write_all(&[7; 16 * 1024]).await.is_ok() {
                counted.set(counted.get() + 16 * 1024);
            }
        });
        async { Response::new(full("")) }
    });
    let connections = Connections::new(&net.world(), links());
    let (_input, request) = ask_for("endless");
    let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopped = sent.get();
    assert!(stopped < 1 << 20, "{stopped} bytes that nobody reads");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(sent.get(), stopped);
    let mut body = response.into_body();
    for _ in 0..200 {
        body.frame().await.unwrap().unwrap();
    }
    assert!(sent.get() > stopped);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_backend_that_stops_reading_stops_the_client_after_an_upgrade() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::of_http2(&net, server(), |mut request: Request<Incoming>| {
        let stream = hyper::upgrade::on(&mut request);
        task::spawn_detached("upgraded", async move {
            let _held = stream.await.unwrap();
            std::future::pending::<()>().await;
        });
        async { Response::new(full("")) }
    });
    let connections = Connections::new(&net.world(), links());
    let (input, request) = ask_for("sink");
    let _response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
    let mut passed = 0;
    let full = Duration::from_secs(1);
    while tokio::time::timeout(full, input.pass_on(Bytes::from_static(&[7; 16 * 1024]))).await.is_ok() {
        passed += 16 * 1024;
        assert!(passed < 2 << 20, "{passed} bytes that nobody reads");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_stream_that_waits_for_its_backend_ends_with_its_client() {
    let net = Arc::new(MemoryNet::default());
    let ended = Rc::new(Cell::new(0));
    let count = Rc::clone(&ended);
    let backend = Backend::of_http2(&net, server(), move |mut request: Request<Incoming>| {
        let (stream, ended) = (hyper::upgrade::on(&mut request), Rc::clone(&count));
        task::spawn_detached("upgraded", async move {
            let mut stream = TokioIo::new(stream.await.unwrap());
            // An echo that nobody listens to, until it cannot say more.
            let mut pieces = vec![0; 4_096];
            while let Ok(length @ 1..) = stream.read(&mut pieces).await {
                if stream.write_all(&pieces[..length]).await.is_err() {
                    break;
                }
            }
            ended.set(ended.get() + 1);
        });
        async { Response::new(full("")) }
    });
    let connections = Connections::new(&net.world(), links());
    let (input, request) = ask_for("echo");
    let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
    let piece = Bytes::from_static(&[7; 16 * 1024]);
    while tokio::time::timeout(Duration::from_secs(1), input.pass_on(piece.clone())).await.is_ok() {}
    assert_eq!(ended.get(), 0, "it waits");
    drop((input, response));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((ended.get(), backend.seen.open.get()), (1, 0));
    let (_input, request) = ask_for("echo");
    let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
    assert_eq!((response.status(), backend.seen.connections.get()), (StatusCode::SWITCHING_PROTOCOLS, 2));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_backend_that_speaks_no_http_2_is_not_reached() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::in_memory(&net, ok);
    let (silent, _accepted) = net.listen_in_memory();
    let connections = Connections::new(&net.world(), links());
    for address in [backend.address, silent] {
        let failure = send(&connections, &[address], &pool_of_http2(), 0, post(full("once"))).await;
        let failure = failure.unwrap_err();
        assert_eq!((failure.reason, failure.reached), (Reason::BackendUnreachable, false));
        let returned = failure.request.unwrap();
        assert_eq!(
            (returned.uri(), &returned.headers()["host"]),
            (&"/".parse().unwrap(), &"test".parse().unwrap())
        );
    }
}

/// RFC 6455, 1.3: a key, and what proves that it was seen.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
