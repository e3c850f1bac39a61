//! Bodies both ways: whole, in time, and no faster than their reader.

use super::*;

#[tokio::test(flavor = "local")]
async fn a_mebibyte_comes_back_as_it_went() {
    let backend = Backend::on_loopback(echo).await;
    let connections = Connections::new(&World::system(), links());
    let content: Vec<u8> =
        (0..1 << 20_u32).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for piece in [1_000, 65_536, 1 << 20] {
        let (sender, body) = channel();
        let pieces: Vec<_> = content.chunks(piece).map(Bytes::copy_from_slice).collect();
        task::spawn_detached("client", async move {
            for piece in pieces {
                sender.send(Ok(Frame::data(piece))).await.unwrap();
            }
        });
        let response = send(&connections, &[backend.address], &pool(), 0, post(body)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), content);
    }
    assert_eq!(backend.seen.connections.get(), 1);
}

#[tokio::test(flavor = "local")]
async fn trailers_pass_and_the_connection_is_kept() {
    let backend = Backend::on_loopback(async |_| {
        let (sender, body) = channel();
        task::spawn_detached("body", async move {
            let trailers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-sum"),
                HeaderValue::from_static("42"),
            )]);
            sender.send(Ok(Frame::data(Bytes::from_static(b"ok")))).await.unwrap();
            sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
        });
        let mut response = Response::new(body.map_err(Into::into).boxed_unsync());
        response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
        response
    })
    .await;
    let connections = Connections::new(&World::system(), links());
    for _ in 0..2 {
        let mut request = get();
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let mut response = send(&connections, &[backend.address], &pool(), 0, request).await.unwrap();
        assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
        let trailers = response.body_mut().frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["x-sum"], "42");
        // Dropped here, as by a server that has passed the trailers on.
    }
    assert_eq!(backend.seen.connections.get(), 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_stops_reading_stops_the_backend() {
    let net = Arc::new(MemoryNet::default());
    let pieces = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&pieces);
    let backend = Backend::in_memory(&net, move |_| {
        let body = Endless(Arc::clone(&counted)).map_err(Into::into).boxed_unsync();
        async { Response::new(body) }
    });
    let connections = Connections::new(&net.world(), links());
    let mut response = send(&connections, &[backend.address], &pool(), 0, get()).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopped = *pieces.lock().unwrap();
    assert!(stopped * 16 * 1024 < 2 << 20, "{stopped} pieces of 16 KiB");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(*pieces.lock().unwrap(), stopped);

    for _ in 0..1_000 {
        response.body_mut().frame().await.unwrap().unwrap();
    }
    assert!(*pieces.lock().unwrap() > stopped);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_backend_that_stops_reading_stops_the_client() {
    let net = Arc::new(MemoryNet::default());
    let backend = Backend::in_memory(&net, never);
    let connections = Connections::new(&net.world(), links());
    let pieces = Arc::new(Mutex::new(0));
    let request = post(Endless(Arc::clone(&pieces)));
    let failure = send(&connections, &[backend.address], &pool(), 0, request).await.unwrap_err();
    assert_eq!(failure.reason, Reason::BackendTimeout);
    assert!(*pieces.lock().unwrap() * 16 * 1024 < 2 << 20);
}

#[tokio::test(flavor = "local")]
async fn an_answer_may_come_before_the_body_has_gone() {
    let backend = Backend::on_loopback(async |_| Response::new(full("early"))).await;
    let connections = Connections::new(&World::system(), links());
    let (sender, body) = channel();
    sender.send(Ok(Frame::data(Bytes::from_static(b"begin")))).await.unwrap();
    let mut response = send(&connections, &[backend.address], &pool(), 0, post(body)).await.unwrap();
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "early");

    // The rest is not wanted by anybody: the connection ends, and with it the body.
    drop(response);
    eventually("the body is dropped", || sender.is_closed()).await;
    eventually("the connection is closed", || backend.seen.open.get() == 0).await;
}

#[tokio::test(flavor = "local")]
async fn a_body_that_fails_is_the_clients_fault() {
    let backend = Backend::on_loopback(echo_when_complete).await;
    let connections = Connections::new(&World::system(), links());
    let (sender, body) = channel();
    sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    let failure = send(&connections, &[backend.address], &pool(), 0, post(body)).await.unwrap_err();
    assert_eq!(failure.reason, Reason::BadRequest);
    assert!(failure.request.is_none());
}

async fn echo_when_complete(request: Request<hyper::body::Incoming>) -> Response<AnyBody> {
    match request.into_body().collect().await {
        Ok(body) => Response::new(full(body.to_bytes())),
        Err(_) => std::future::pending().await,
    }
}
