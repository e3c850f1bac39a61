//! Bodies of requests that an HTTP/2 backend does not take: how they end, and whom they hold up.

use std::cell::Cell;

use hyper::body::Incoming;

use super::*;
use crate::pool::executor::LocalExecutor;
use crate::pool::testing::Http2;

/// Requests that a backend has and does not read.
#[derive(Default)]
struct Unread(Cell<usize>);

/// One of them.
struct Held(Rc<Unread>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

/// Takes nothing of what is sent to `/unread`, and begins an answer to it or does not; anything else is read and answered.
fn backend(net: &MemoryNet, begins: bool) -> (Backend, Rc<Unread>) {
    let mut server = Http2::new(LocalExecutor);
    // One upload takes all of the connection.
    server.initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    let unread = Rc::<Unread>::default();
    let counted = Rc::clone(&unread);
    let backend = Backend::of_http2(net, server, move |request: Request<Incoming>| {
        let is_unread = request.uri().path() == "/unread";
        let held = is_unread.then(|| {
            counted.0.set(counted.0.get() + 1);
            Held(Rc::clone(&counted))
        });
        async move {
            let Some(held) = held else { return Response::new(full(read(request).await)) };
            if !begins {
                let _held = (held, request);
                return std::future::pending().await;
            }
            let (sender, body) = channel();
            task::spawn_detached("unread", async move {
                let _held = (held, request);
                sender.closed().await;
            });
            Response::new(body.map_err(Into::into).boxed_unsync())
        }
    });
    (backend, unread)
}

async fn read(request: Request<Incoming>) -> Bytes {
    request.into_body().collect().await.unwrap().to_bytes()
}

const WINDOW_BYTES: u32 = 65_535;

fn upload() -> Request<Endless> {
    Request::post("/unread").header("host", "test").body(Endless(Arc::default())).unwrap()
}

/// Begins an upload; it is given up when what this returns is dropped.
fn begin(connections: &Rc<Connections>, backend: &Backend) -> task::Task {
    let (connections, address) = (Rc::clone(connections), backend.address);
    task::spawn("upload", async move {
        let answer = send(&connections, &[address], &pool_of_http2(), 0, upload()).await;
        let _body = answer.unwrap().into_body();
        std::future::pending::<()>().await;
    })
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_upload_that_waits_for_its_backend_ends_with_its_request() {
    for begins in [false, true] {
        let net = Arc::new(MemoryNet::default());
        let (backend, unread) = backend(&net, begins);
        let connections = Rc::new(Connections::new(&net.world(), links()));
        let beside = begin(&connections, &backend);
        eventually("one is there", || unread.0.get() == 1).await;
        let given_up = begin(&connections, &backend);
        eventually("both are there", || unread.0.get() == 2).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(given_up);
        eventually("the backend hears of the end", || unread.0.get() == 1).await;
        assert_eq!(connections.in_flight(backend.address), 1);
        drop(beside);
        eventually("and of the other", || unread.0.get() == 0).await;
        assert_eq!((backend.seen.open.get(), backend.seen.connections.get()), (1, 1), "{begins}");
        // Nothing of them is left in the connection's window.
        let request = post(Full::new(Bytes::from(vec![7; 4 * WINDOW_BYTES as usize])));
        let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 4 * WINDOW_BYTES as usize);
        assert_eq!(backend.seen.connections.get(), 1);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_upload_after_a_whole_answer_is_given_up() {
    let net = Arc::new(MemoryNet::default());
    let unread = Rc::<Unread>::default();
    let counted = Rc::clone(&unread);
    let server = Http2::new(LocalExecutor);
    let backend = Backend::of_http2(&net, server, move |request: Request<Incoming>| {
        counted.0.set(counted.0.get() + 1);
        let held = Held(Rc::clone(&counted));
        task::spawn_detached("unread", async move {
            let _held = held;
            let mut body = request.into_body();
            // It does not say that it wants no more.
            while let Some(Ok(_)) = body.frame().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        async { Response::new(full("enough")) }
    });
    let connections = Connections::new(&net.world(), links());
    let response = send(&connections, &[backend.address], &pool_of_http2(), 0, upload()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "enough");
    assert_eq!(connections.in_flight(backend.address), 0);
    eventually("the backend hears of the end", || unread.0.get() == 0).await;
    assert_eq!(backend.seen.open.get(), 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_body_does_not_wait_behind_one_that_its_backend_does_not_take() {
    let net = Arc::new(MemoryNet::default());
    let (backend, unread) = backend(&net, false);
    let connections = Rc::new(Connections::new(&net.world(), links()));
    let _blocked = begin(&connections, &backend);
    eventually("one is there", || unread.0.get() == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // What has no body goes beside it.
    let response = send(&connections, &[backend.address], &pool_of_http2(), 0, get()).await.unwrap();
    assert_eq!((response.status(), backend.seen.connections.get()), (StatusCode::OK, 1));
    for _ in 0..3 {
        let request = post(Full::new(Bytes::from_static(b"hello")));
        let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(backend.seen.connections.get(), 2);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn uploads_that_wait_have_as_many_connections_as_may_be_and_then_share_them() {
    let net = Arc::new(MemoryNet::default());
    let (backend, unread) = backend(&net, false);
    let connections = Rc::new(Connections::new(&net.world(), links()));
    let mut blocked = Vec::new();
    for already in 0..34 {
        blocked.push(begin(&connections, &backend));
        eventually("it is there", || unread.0.get() == already + 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(backend.seen.connections.get(), 32);
    drop(blocked);
    eventually("they are gone", || unread.0.get() == 0).await;
    let request = post(Full::new(Bytes::from_static(b"hello")));
    let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(backend.seen.connections.get(), 32);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_body_does_not_wait_behind_an_upgraded_stream_that_its_backend_does_not_read() {
    let net = Arc::new(MemoryNet::default());
    let mut server = Http2::new(LocalExecutor);
    server.enable_connect_protocol();
    server.initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    let backend = Backend::of_http2(&net, server, async |mut request: Request<Incoming>| {
        if request.method() != Method::CONNECT {
            return Response::new(full(read(request).await));
        }
        let stream = hyper::upgrade::on(&mut request);
        task::spawn_detached("upgraded", async move {
            let _held = stream.await.unwrap();
            std::future::pending::<()>().await;
        });
        Response::new(full(""))
    });
    let connections = Connections::new(&net.world(), links());
    let (input, body) = crate::body::upgrade();
    let asks = Request::get("/chat").header("host", "test").header("connection", "upgrade");
    let asks = asks.header("upgrade", "sink").body(body).unwrap();
    let _upgraded = send(&connections, &[backend.address], &pool_of_http2(), 0, asks).await.unwrap();
    let piece = Bytes::from_static(&[7; 16 * 1024]);
    while tokio::time::timeout(Duration::from_secs(1), input.pass_on(piece.clone())).await.is_ok() {}
    let request = post(Full::new(Bytes::from_static(b"hello")));
    let response = send(&connections, &[backend.address], &pool_of_http2(), 0, request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(backend.seen.connections.get(), 2);
}
