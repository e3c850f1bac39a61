//! Connections to backends: kept, reused, limited and retried.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::Instant;

use graticule_node_core::policy::{Balance, Protocol, RetryRule};

use super::*;
use crate::body::REPLAY_BYTES_MAX;
use crate::pool::testing::{AnyBody, Backend, Endless, MemoryNet, OnePool, channel, eventually, full, links};

fn pool() -> Pool {
    Pool { response_timeout: Duration::from_secs(10), ..Pool::of([]) }
}

fn pool_of_http2() -> Pool {
    Pool { protocol: Protocol::Http2, ..pool() }
}

/// Sends a request to a pool of these backends, all of them usable.
async fn send<B>(
    connections: &Connections,
    backends: &[SocketAddr],
    pool: &Pool,
    chance: u32,
    request: Request<B>,
) -> Result<Response<PooledBody>, Box<SendFailure<B>>>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let one = OnePool::new(backends, pool);
    connections.send(one.asked(), chance, &mut Outgoing::new(request)).await
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("/").header("host", "test").body(Empty::new()).unwrap()
}

fn post<B>(body: B) -> Request<B> {
    Request::post("/").header("host", "test").body(body).unwrap()
}

async fn ok(_: Request<hyper::body::Incoming>) -> Response<AnyBody> {
    Response::new(full("ok"))
}

async fn never(_: Request<hyper::body::Incoming>) -> Response<AnyBody> {
    std::future::pending().await
}

async fn echo(request: Request<hyper::body::Incoming>) -> Response<AnyBody> {
    Response::new(request.into_body().map_err(Into::into).boxed_unsync())
}

/// Sends a GET, reads the answer to its end, and returns it.
async fn fetch(connections: &Connections, backends: &[SocketAddr]) -> Bytes {
    let response = send(connections, backends, &pool(), 0, get()).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

mod answers;
mod streams;
mod upgrades;
mod uploads;

mod reuse {
    use super::*;

    #[tokio::test(flavor = "local")]
    async fn requests_after_each_other_share_a_connection() {
        let backend = Backend::on_loopback(ok).await;
        let connections = Connections::new(&World::system(), links());
        for _ in 0..10 {
            assert_eq!(fetch(&connections, &[backend.address]).await, "ok");
        }
        assert_eq!(backend.seen.connections.get(), 1);
        assert_eq!(connections.in_flight(backend.address), 0);
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn requests_at_once_have_a_connection_each_and_a_bounded_number_is_kept() {
        let net = Arc::new(MemoryNet::default());
        let backend = Backend::in_memory(&net, ok);
        let connections = Connections::new(&net.world(), links());
        let mut responses = Vec::new();
        for _ in 0..300 {
            responses.push(send(&connections, &[backend.address], &pool(), 0, get()).await.unwrap());
        }
        assert_eq!(connections.in_flight(backend.address), 300);
        assert_eq!(backend.seen.open.get(), 300);
        for response in responses {
            response.into_body().collect().await.unwrap();
        }
        eventually("all but the bound are closed", || backend.seen.open.get() == 256).await;
        assert_eq!(connections.in_flight(backend.address), 0);
    }

    #[tokio::test(flavor = "local")]
    async fn responses_without_a_body_give_their_connection_back() {
        let backend = Backend::on_loopback(|request: Request<hyper::body::Incoming>| async move {
            let mut response = Response::new(full(""));
            *response.status_mut() = request.uri().path()[1..].parse().unwrap();
            response
        })
        .await;
        let connections = Connections::new(&World::system(), links());
        for (method, path) in [(Method::HEAD, "/200"), (Method::GET, "/204"), (Method::GET, "/304")] {
            let mut request = get();
            (*request.method_mut(), *request.uri_mut()) = (method, path.parse().unwrap());
            // As servers do that know from the head that no body follows: nobody asks for one.
            drop(send(&connections, &[backend.address], &pool(), 0, request).await.unwrap());
        }
        assert_eq!(backend.seen.connections.get(), 1);
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_connection_idle_for_a_minute_is_closed() {
        let net = Arc::new(MemoryNet::default());
        let backend = Backend::in_memory(&net, ok);
        let connections = Connections::new(&net.world(), links());
        fetch(&connections, &[backend.address]).await;
        tokio::time::sleep(Duration::from_secs(58)).await;
        assert_eq!(backend.seen.open.get(), 1);
        fetch(&connections, &[backend.address]).await;
        tokio::time::sleep(Duration::from_secs(58)).await;
        assert_eq!((backend.seen.open.get(), backend.seen.connections.get()), (1, 1));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(backend.seen.open.get(), 0);
        assert_eq!(fetch(&connections, &[backend.address]).await, "ok");
    }

    #[tokio::test(flavor = "local")]
    async fn a_backend_that_says_close_is_believed() {
        let backend = Backend::on_loopback(async |_| {
            let mut response = Response::new(full("ok"));
            response.headers_mut().insert("connection", HeaderValue::from_static("close"));
            response
        })
        .await;
        let connections = Connections::new(&World::system(), links());
        for _ in 0..3 {
            assert_eq!(fetch(&connections, &[backend.address]).await, "ok");
        }
        assert_eq!(backend.seen.connections.get(), 3);
    }

    /// A server on a thread of its own that answers one request on each of two connections, and hands both over.
    fn two_answers() -> (SocketAddr, std::thread::JoinHandle<std::net::TcpStream>, Arc<Mutex<usize>>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answered = Arc::new(Mutex::new(0));
        let count = Arc::clone(&answered);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            answer(&mut stream);
            let first = stream;
            std::thread::spawn(move || {
                let (mut second, _) = listener.accept().unwrap();
                // Before the answer, so that whoever has that sees this.
                *count.lock().unwrap() += 1;
                answer(&mut second);
            });
            first
        });
        (address, server, answered)
    }

    fn answer(stream: &mut std::net::TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\nbody") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    }

    #[tokio::test(flavor = "local")]
    async fn a_connection_that_the_backend_closed_unseen_is_not_written_to() {
        let (address, server, answered) = two_answers();
        let connections = Connections::new(&World::system(), links());
        let body = || Full::new(Bytes::from_static(b"body"));
        let response = send(&connections, &[address], &pool(), 0, post(body())).await.unwrap();
        response.into_body().collect().await.unwrap();

        // From here on the runtime has no occasion to look at its sockets before the connection is chosen.
        connections.backends.tick(&connections.handles);
        drop(server.join().unwrap());
        let response = send(&connections, &[address], &pool(), 0, post(body())).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        assert_eq!(*answered.lock().unwrap(), 1);
    }

    #[tokio::test(flavor = "local")]
    async fn a_connection_that_was_closed_a_while_ago_is_replaced() {
        let (address, server, _) = two_answers();
        let connections = Connections::new(&World::system(), links());
        let body = || Full::new(Bytes::from_static(b"body"));
        let response = send(&connections, &[address], &pool(), 0, post(body())).await.unwrap();
        response.into_body().collect().await.unwrap();
        drop(server.join().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
        let response = send(&connections, &[address], &pool(), 0, post(body())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

mod choice {
    use super::*;

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn busy_backends_get_fewer_requests() {
        let net = Arc::new(MemoryNet::default());
        let backends: Vec<_> = (0..4).map(|_| Backend::in_memory(&net, ok)).collect();
        let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
        let connections = Connections::new(&net.world(), links());
        let mut held = Vec::new();
        for _ in 0..100 {
            held.push(send(&connections, &addresses[..1], &pool(), 0, get()).await.unwrap());
        }
        let mut others = Vec::new();
        for step in 0_u32..300 {
            let chance = step.wrapping_mul(0x9E37_79B9);
            others.push(send(&connections, &addresses, &pool(), chance, get()).await.unwrap());
        }
        assert_eq!(connections.in_flight(addresses[0]), 100);
        for address in &addresses[1..] {
            assert!((90..=110).contains(&connections.in_flight(*address)));
        }
        drop(held);
        assert_eq!(connections.in_flight(addresses[0]), 0);
    }
}

mod retry {
    use super::*;

    /// An address that refuses connections.
    fn closed() -> SocketAddr {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[tokio::test(flavor = "local")]
    async fn a_backend_that_refuses_is_replaced() {
        let backend = Backend::on_loopback(echo).await;
        let backends = [closed(), backend.address];
        let connections = Connections::new(&World::system(), links());
        for chance in [0, u32::MAX, 0x1234_5678, 0x8765_4321] {
            let request = post(Full::new(Bytes::from_static(b"hello")));
            let response = send(&connections, &backends, &pool(), chance, request).await.unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
        }
        assert_eq!(backend.seen.requests.get(), 4);
    }

    #[tokio::test(flavor = "local")]
    async fn a_request_that_was_not_sent_comes_back_whole() {
        let connections = Connections::new(&World::system(), links());
        for backends in [vec![], vec![closed()], vec![closed(), closed(), closed(), closed()]] {
            let failure = send(&connections, &backends, &pool(), 7, post(full("hello"))).await.unwrap_err();
            assert_eq!(failure.reason, Reason::BackendUnreachable);
            let request = failure.request.unwrap();
            assert_eq!(request.method(), Method::POST);
            assert_eq!(request.headers()["host"], "test");
            assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "hello");

            let failure = send(&connections, &backends, &pool(), 7, get()).await.unwrap_err();
            assert_eq!(failure.request.unwrap().uri(), "/");
        }
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn three_backends_are_tried_and_each_once() {
        let net = Arc::new(MemoryNet::default());
        let connections = Connections::new(&net.world(), links());
        let backends: Vec<_> = (1..=8).map(|last| SocketAddr::from(([10, 9, 9, last], 80))).collect();
        for chance in [0, 1 << 30, u32::MAX] {
            net.attempts.lock().unwrap().clear();
            assert!(send(&connections, &backends, &pool(), chance, get()).await.is_err());
            let attempts = net.attempts.lock().unwrap();
            assert_eq!(attempts.len(), 3);
            assert_eq!(attempts.iter().collect::<BTreeSet<_>>().len(), 3);
        }
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_backend_that_does_not_answer_the_connection_is_given_up() {
        let net = Arc::new(MemoryNet::default());
        let connections = Connections::new(&net.world(), links());
        let start = Instant::now();
        let failure = send(&connections, &[MemoryNet::BLACK_HOLE], &pool(), 0, get()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::BackendUnreachable);
        assert!(failure.request.is_some());
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        assert_eq!(connections.in_flight(MemoryNet::BLACK_HOLE), 0);
    }

    /// A backend that answers `answers` requests and then closes its connection with a request read.
    fn breaks_off(answers: usize) -> (SocketAddr, Arc<Mutex<usize>>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let read = Arc::new(Mutex::new(0));
        let count = Arc::clone(&read);
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                for answer in 0..=answers {
                    let mut request = [0; 4_096];
                    if stream.read(&mut request).unwrap() == 0 {
                        break;
                    }
                    *count.lock().unwrap() += 1;
                    if answer < answers {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                    }
                }
            }
        });
        (address, read)
    }

    #[tokio::test(flavor = "local")]
    async fn a_request_that_may_have_arrived_is_not_sent_again() {
        for answers in [0, 1] {
            let (address, read) = breaks_off(answers);
            let other = Backend::on_loopback(ok).await;
            let connections = Connections::new(&World::system(), links());
            for _ in 0..answers {
                assert!(send(&connections, &[address], &pool(), 0, get()).await.is_ok());
            }
            // Chance 0 picks the first of two that are equally busy.
            let pool = Pool { balance: Balance::LeastRequests, ..pool() };
            let request = post(Full::new(Bytes::from_static(b"pay")));
            let failure = send(&connections, &[address, other.address], &pool, 0, request).await.unwrap_err();
            assert_eq!(failure.reason, Reason::BackendFailed);
            assert!(failure.reached && failure.request.is_none());
            assert_eq!(*read.lock().unwrap(), answers + 1);
            assert_eq!(other.seen.requests.get(), 0);
        }
    }
}

mod repeats {
    use super::*;

    fn put<B>(body: B) -> Request<B> {
        Request::put("/").header("host", "test").body(body).unwrap()
    }

    /// A backend that closes every connection when it has read so much of a request.
    fn closes_after(bytes: usize) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let _ = io::copy(&mut stream.take(bytes as u64), &mut io::sink());
            }
        });
        address
    }

    /// What the second backend answers after the first, which chance 0 picks, has closed the connection.
    async fn repeated<B>(bytes: usize, request: Request<B>) -> Result<Bytes, Box<SendFailure<B>>>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let other = Backend::on_loopback(echo).await;
        let connections = Connections::new(&World::system(), links());
        let backends = [closes_after(bytes), other.address];
        let answer = send(&connections, &backends, &pool(), 0, request).await?;
        Ok(answer.into_body().collect().await.unwrap().to_bytes())
    }

    #[tokio::test(flavor = "local")]
    async fn a_body_that_fits_is_sent_again_whole() {
        for bytes in [1, REPLAY_BYTES_MAX] {
            let body = vec![7; bytes];
            assert_eq!(repeated(bytes, put(full(body.clone()))).await.unwrap(), body);
        }
    }

    #[tokio::test(flavor = "local")]
    async fn a_body_that_does_not_fit_is_not_sent_again() {
        let failure = repeated(REPLAY_BYTES_MAX, put(full(vec![7; REPLAY_BYTES_MAX + 1]))).await.unwrap_err();
        assert!(failure.reached && failure.request.is_none());
    }

    #[tokio::test(flavor = "local")]
    async fn what_the_first_backend_had_of_a_body_comes_before_the_rest() {
        let (sender, body) = channel();
        let sending = async {
            sender.send(Ok(Frame::data(Bytes::from_static(b"half and ")))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            sender.send(Ok(Frame::data(Bytes::from_static(b"half")))).await.unwrap();
            drop(sender);
        };
        let head_and_half =
            "PUT / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf".len();
        let (answer, ()) = tokio::join!(repeated(head_and_half, put(body)), sending);
        assert_eq!(answer.unwrap(), "half and half");
    }

    #[tokio::test(flavor = "local")]
    async fn what_no_backend_answers_comes_back_with_what_was_read_of_it() {
        let connections = Connections::new(&World::system(), links());
        let once = Pool { retry: RetryRule { retries_max: 0, ..RetryRule::default() }, ..pool() };
        let request = put(full("hello"));
        let failure = send(&connections, &[closes_after(5)], &once, 0, request).await.unwrap_err();
        assert!(failure.reached);
        let rest = failure.request.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!([failure.sent.chunks.concat(), rest.to_vec()].concat(), b"hello");
    }
}

mod endings {
    use super::*;

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_backend_that_does_not_answer_is_given_up_and_left() {
        let net = Arc::new(MemoryNet::default());
        let backend = Backend::in_memory(&net, never);
        let connections = Connections::new(&net.world(), links());
        let start = Instant::now();
        let failure = send(&connections, &[backend.address], &pool(), 0, get()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::BackendTimeout);
        assert!(failure.reached);
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        eventually("the connection is closed", || backend.seen.open.get() == 0).await;
        assert_eq!(connections.in_flight(backend.address), 0);
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_slow_client_does_not_use_up_the_backends_time() {
        let net = Arc::new(MemoryNet::default());
        let backend = Backend::in_memory(&net, async |request: Request<hyper::body::Incoming>| {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            tokio::time::sleep(Duration::from_secs(9)).await;
            Response::new(full(body))
        });
        let connections = Connections::new(&net.world(), links());
        let (sender, body) = channel();
        task::spawn_detached("client", async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(25)).await;
                sender.send(Ok(Frame::data(Bytes::from_static(b"x")))).await.unwrap();
            }
        });
        let response = send(&connections, &[backend.address], &pool(), 0, post(body)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "xxxxx");
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn the_backends_time_begins_with_the_end_of_the_body() {
        let net = Arc::new(MemoryNet::default());
        let backend = Backend::in_memory(&net, never);
        let connections = Connections::new(&net.world(), links());
        let (sender, body) = channel();
        task::spawn_detached("client", async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            drop(sender);
        });
        let start = Instant::now();
        let failure = send(&connections, &[backend.address], &pool(), 0, post(body)).await.unwrap_err();
        assert_eq!(failure.reason, Reason::BackendTimeout);
        assert_eq!(start.elapsed(), Duration::from_secs(17));
    }

    #[tokio::test(flavor = "local")]
    async fn a_client_that_goes_away_before_the_answer_is_noticed() {
        let backend = Backend::on_loopback(never).await;
        let connections = Connections::new(&World::system(), links());
        let addresses = [backend.address];
        let pool = pool();
        {
            let mut waiting = std::pin::pin!(send(&connections, &addresses, &pool, 0, get()));
            tokio::select! {
                biased;
                _ = &mut waiting => panic!("nobody answers"),
                () = eventually("the request arrives", || backend.seen.requests.get() == 1) => {}
            }
            assert_eq!(connections.in_flight(backend.address), 1);
        }
        assert_eq!(connections.in_flight(backend.address), 0);
        eventually("the connection is closed", || backend.seen.open.get() == 0).await;
    }

    #[tokio::test(flavor = "local")]
    async fn a_client_that_goes_away_within_the_answer_is_noticed() {
        let (_sender, body) = channel();
        let body = Mutex::new(Some(body));
        let backend = Backend::on_loopback(move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async { Response::new(body.map_err(Into::into).boxed_unsync()) }
        })
        .await;
        let connections = Connections::new(&World::system(), links());
        let response = send(&connections, &[backend.address], &pool(), 0, get()).await.unwrap();
        assert_eq!((backend.seen.open.get(), connections.in_flight(backend.address)), (1, 1));
        drop(response);
        assert_eq!(connections.in_flight(backend.address), 0);
        eventually("the connection is closed", || backend.seen.open.get() == 0).await;
    }

    #[tokio::test(flavor = "local")]
    async fn a_response_that_breaks_off_is_an_error_and_not_an_end() {
        let (sender, body) = channel();
        let body = Mutex::new(Some(body));
        let backend = Backend::on_loopback(move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async { Response::new(body.map_err(Into::into).boxed_unsync()) }
        })
        .await;
        let connections = Connections::new(&World::system(), links());
        sender.send(Ok(Frame::data(Bytes::from_static(b"half")))).await.unwrap();
        let response = send(&connections, &[backend.address], &pool(), 0, get()).await.unwrap();
        sender.send(Err(io::ErrorKind::Other.into())).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
        assert_eq!(connections.in_flight(backend.address), 0);
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_backend_that_speaks_unasked_is_not_sent_anything() {
        let net = Arc::new(MemoryNet::default());
        let (address, mut incoming) = net.listen_in_memory();
        task::spawn_detached("backend", async move {
            let mut stream = incoming.recv().await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
            std::future::pending::<()>().await;
        });
        let connections = Connections::new(&net.world(), links());
        let failure = send(&connections, &[address], &pool(), 0, get()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::BackendUnreachable);
        assert!(failure.request.is_some());
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn what_is_no_answer_is_the_backends_fault() {
        let too_long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(65 * 1024));
        let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        for answer in ["no http at all\r\n\r\n", switching, &too_long] {
            let net = Arc::new(MemoryNet::default());
            let (address, mut incoming) = net.listen_in_memory();
            let answer = answer.to_owned();
            task::spawn_detached("backend", async move {
                let mut stream = incoming.recv().await.unwrap();
                tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1_024]).await.unwrap();
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
                std::future::pending::<()>().await;
            });
            let connections = Connections::new(&net.world(), links());
            let once = Pool { retry: RetryRule { retries_max: 0, ..RetryRule::default() }, ..pool() };
            let failure = send(&connections, &[address], &once, 0, get()).await.unwrap_err();
            assert_eq!(failure.reason, Reason::BackendFailed);
            assert!(failure.reached);
        }
    }
}
