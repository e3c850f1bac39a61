//! What HTTP means, kept through the gateway: interim answers, answers without bodies, parts, and the tenant's limits.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use graticule_tests::{Answer, Ask, Connection, Fleet, Lone, raw_backend, read_head, story};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[test]
fn answers_without_a_body_and_parts_of_one_arrive_as_they_are() {
    story(Duration::from_mins(1), async {
        let fleet = Lone::default().fleet(TENANT, library().await).await;
        for edge in ["eu-central", "us-east"] {
            for http2 in [false, true] {
                let mut connection = open(&fleet, edge, http2).await;
                // One connection for all: an answer that is taken for longer or shorter than it is disturbs the next.
                for _ in 0..2 {
                    let whole = connection.ask(&Ask::get(HOST, "/book")).await.unwrap();
                    assert_eq!((whole.status, &*whole.body), (StatusCode::OK, TEXT.as_bytes()));

                    let head = connection.ask(&Ask::with(Method::HEAD, HOST, "/book", "")).await.unwrap();
                    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
                    assert_eq!(
                        head.header("content-length"),
                        Some(&*TEXT.len().to_string()),
                        "{edge} {http2}"
                    );

                    let known = Ask::get(HOST, "/book").header("if-none-match", ETAG);
                    let same = connection.ask(&known).await.unwrap();
                    assert_eq!((same.status, same.body.len()), (StatusCode::NOT_MODIFIED, 0));
                    assert_eq!(same.header("etag"), Some(ETAG));

                    let part =
                        connection.ask(&Ask::get(HOST, "/book").header("range", "bytes=2-4")).await.unwrap();
                    assert_eq!(
                        (part.status, &*part.body),
                        (StatusCode::PARTIAL_CONTENT, &TEXT.as_bytes()[2..5])
                    );
                    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));

                    let gone = connection.ask(&Ask::with(Method::DELETE, HOST, "/book", "")).await.unwrap();
                    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0));
                    assert_eq!(gone.header("content-length"), None);
                }
            }
        }
    });
}

#[test]
fn a_client_that_waits_for_100_gets_it_before_its_body_and_only_then() {
    story(Duration::from_mins(1), async {
        let fleet = Lone::default().fleet(TENANT, library().await).await;
        for edge in ["eu-central", "us-east"] {
            let mut stream = TcpStream::connect(fleet.edge(edge)).await.unwrap();
            let head = |host: &str| {
                format!(
                    "POST /echo HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"
                )
            };
            stream.write_all(head(HOST).as_bytes()).await.unwrap();
            assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 100 "), "{edge}");
            stream.write_all(b"hello").await.unwrap();
            assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "), "{edge}");
            let mut body = [0; 5];
            stream.read_exact(&mut body).await.unwrap();
            assert_eq!(&body, b"hello");

            // Whoever is refused is not asked for the body first.
            let mut stream = TcpStream::connect(fleet.edge(edge)).await.unwrap();
            stream.write_all(head("nobody.example").as_bytes()).await.unwrap();
            assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 404 "), "{edge}");
        }
    });
}

#[test]
fn what_a_backend_says_before_its_answer_is_passed_on_where_the_tenant_asks() {
    story(Duration::from_mins(1), async {
        for (rules, expected) in [("informational = true", 3), ("", 0)] {
            let fleet = Lone { rules, ..Lone::default() }.fleet(TENANT, hinting().await).await;
            for edge in ["eu-central", "us-east"] {
                let mut stream = TcpStream::connect(fleet.edge(edge)).await.unwrap();
                // Twice on one connection: nothing of the first is left for the second.
                for _ in 0..2 {
                    let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
                    stream.write_all(request.as_bytes()).await.unwrap();
                    let mut hints = Vec::new();
                    let head = loop {
                        let head = read_head(&mut stream).await;
                        if !head.starts_with("HTTP/1.1 1") {
                            break head;
                        }
                        hints.push(head);
                    };
                    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                    assert_eq!(hints.len(), expected, "{edge}: {hints:?}");
                    for (at, hint) in hints.iter().enumerate() {
                        assert!(hint.starts_with("HTTP/1.1 103 "), "{hint}");
                        assert!(hint.contains(&format!("link: </{at}.css>; rel=preload\r\n")), "{hint}");
                        assert!(!hint.contains("keep-alive"), "{hint}");
                    }
                    let mut body = [0; 2];
                    stream.read_exact(&mut body).await.unwrap();
                    assert_eq!(&body, b"ok");
                }
                // HTTP/2 and HTTP/1.0 have no way for them here, and are answered.
                let mut connection = Connection::open_http2(fleet.edge(edge)).await.unwrap();
                assert_eq!(connection.ask(&Ask::get(HOST, "/")).await.unwrap().status, StatusCode::OK);
                let mut stream = TcpStream::connect(fleet.edge(edge)).await.unwrap();
                stream.write_all(format!("GET / HTTP/1.0\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
                assert!(read_head(&mut stream).await.contains(" 200 "), "{edge}");
            }
        }
    });
}

#[test]
fn bodies_over_the_tenants_limit_are_refused_and_others_are_not() {
    story(Duration::from_mins(1), async {
        let fleet = Lone { rules: "limits = { body_bytes_max = 100000 }", ..Lone::default() }
            .fleet(TENANT, library().await)
            .await;
        for edge in ["eu-central", "us-east"] {
            for http2 in [false, true] {
                for (bytes, status) in [(100_000, StatusCode::OK), (100_001, StatusCode::PAYLOAD_TOO_LARGE)] {
                    let known = Ask::with(Method::POST, HOST, "/count", vec![b'x'; bytes]);
                    let answer = open(&fleet, edge, http2).await.ask(&known).await.unwrap();
                    assert_eq!(answer.status, status, "{edge} {http2}, {bytes} bytes of known length");
                    let answer = in_pieces(&fleet, (edge, http2), bytes).await;
                    assert_eq!(answer, status, "{edge} {http2}, {bytes} bytes of unknown length");
                }
            }
        }
    });
}

/// Sends so many bytes without saying how many they are: the status.
async fn in_pieces(fleet: &Fleet, (edge, http2): (&str, bool), bytes: usize) -> StatusCode {
    let pieces: Vec<_> = vec![b'x'; bytes].chunks(10_000).map(Bytes::copy_from_slice).collect();
    let pieces =
        futures_util::stream::iter(pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
    let request = Ask::with(Method::POST, HOST, "/count", "").request_with(StreamBody::new(pieces));
    open(fleet, edge, http2).await.start(request).await.unwrap().status()
}

#[test]
fn a_request_gets_an_answer_within_the_tenants_deadline() {
    story(Duration::from_mins(1), async {
        let fleet = Lone { rules: "limits = { request_timeout = \"500ms\" }", ..Lone::default() }
            .fleet(TENANT, library().await)
            .await;
        for edge in ["eu-central", "us-east"] {
            let mut connection = open(&fleet, edge, true).await;
            let answer = connection.ask(&Ask::get(HOST, "/never")).await.unwrap();
            assert_eq!(answer.refusal().as_deref(), Some("deadline-exceeded"), "{edge}");
            // It is a deadline for answers to begin.
            let answer: Answer = connection.ask(&Ask::get(HOST, "/slowly")).await.unwrap();
            assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 10), "{edge}");
        }
    });
}

async fn open(fleet: &Fleet, edge: &str, http2: bool) -> Connection {
    let edge = fleet.edge(edge);
    if http2 { Connection::open_http2(edge).await } else { Connection::open(edge).await }.unwrap()
}

type Outgoing = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// A server with one resource, which knows what HTTP says of resources.
async fn library() -> SocketAddr {
    raw_backend(async |stream| {
        let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(lend));
        let _ = serving.await;
    })
    .await
}

async fn lend(request: Request<Incoming>) -> Result<Response<Outgoing>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let full = |text: &[u8]| Full::new(Bytes::copy_from_slice(text)).boxed_unsync();
    let answer = Response::builder().header(header::ETAG, ETAG);
    Ok(match (parts.uri.path(), &parts.method) {
        ("/echo", _) => Response::new(full(&body.collect().await?.to_bytes())),
        ("/count", _) => Response::new(full(body.collect().await?.to_bytes().len().to_string().as_bytes())),
        ("/never", _) => std::future::pending().await,
        ("/slowly", _) => {
            let letters = futures_util::stream::unfold(TEXT.as_bytes(), async |rest| {
                let (letter, rest) = rest.split_at_checked(1)?;
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok(Frame::data(Bytes::from_static(letter))), rest))
            });
            Response::new(BodyExt::boxed_unsync(StreamBody::new(Box::pin(letters))))
        }
        (_, &Method::DELETE) => answer.status(StatusCode::NO_CONTENT).body(full(b"")).unwrap(),
        _ if parts.headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == ETAG) => {
            answer.status(StatusCode::NOT_MODIFIED).body(full(b"")).unwrap()
        }
        _ if parts.headers.contains_key(header::RANGE) => {
            let answer = answer.status(StatusCode::PARTIAL_CONTENT);
            answer.header(header::CONTENT_RANGE, "bytes 2-4/10").body(full(&TEXT.as_bytes()[2..5])).unwrap()
        }
        _ => answer.body(full(TEXT.as_bytes())).unwrap(),
    })
}

/// A server that says three things before each answer.
async fn hinting() -> SocketAddr {
    raw_backend(async |mut stream| {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            for at in 0..3 {
                let hint = format!(
                    "HTTP/1.1 103 Early Hints\r\nlink: </{at}.css>; rel=preload\r\nkeep-alive: timeout=5\r\n\r\n"
                );
                stream.write_all(hint.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await
}

const TENANT: &str = "books";
const HOST: &str = "books.example";
const ETAG: &str = "\"first\"";
const TEXT: &str = "0123456789";
