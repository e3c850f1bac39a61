//! What clients may do over HTTP/2, and what cuts them off.

use http::StatusCode;
use http_body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc::Sender;

use super::*;
use crate::ingress::connection::Streams;
use crate::pool::testing::{AnyBody, channel, full};

/// A client that keeps the rules.
async fn client(address: SocketAddr) -> (SendRequest<AnyBody>, Task) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = handshake(Streams, TokioIo::new(stream)).await.unwrap();
    let driver = task::spawn("client", async move {
        // How it ends is seen by whoever waits for an answer.
        let _ = connection.await;
    });
    (sender, driver)
}

fn request(body: AnyBody) -> http::Request<AnyBody> {
    http::Request::post("http://a.example/").body(body).unwrap()
}

/// A request whose body is sent later.
fn open_request() -> (Sender<Result<Frame<Bytes>, std::io::Error>>, http::Request<AnyBody>) {
    let (sender, body) = channel();
    (sender, request(body.map_err(Into::into).boxed_unsync()))
}

/// One frame on one stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET http://a/`, by the static table but for the host.
fn headers(stream: u32, flags: u8) -> Vec<u8> {
    frame(1, flags, stream, &[0x82, 0x84, 0x86, 0x41, 0x01, b'a'])
}

/// Opens a connection and sends frames until the other end has had enough; how many of them it took.
async fn flood(address: SocketAddr, frames: impl Iterator<Item = Vec<u8>>) -> usize {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let reading = task::spawn("reader", async move {
        // Only so that nothing stands in the way.
        let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
    });
    writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    writer.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut taken = 0;
    for frame in frames {
        if writer.write_all(&frame).await.is_err() {
            break;
        }
        taken += 1;
        tokio::task::yield_now().await;
    }
    drop(reading);
    taken
}

#[test]
fn requests_of_one_connection_are_answered_beside_each_other() {
    run(async {
        let (address, handler, _running) = start(limits());
        let (mut sender, _driver) = client(address).await;
        let (send, slow) = open_request();
        let slow = sender.send_request(slow);
        let slow = tokio::task::spawn_local(slow);
        eventually("the slow one is there", || handler.under_way.get() == 1).await;
        let fast = request(full("ab"));
        let fast = sender.send_request(fast).await.unwrap();
        assert_eq!(fast.into_body().collect().await.unwrap().to_bytes(), "127.0.0.1 Ok(2)");
        send.send(Ok(Frame::data(Bytes::from_static(b"abc")))).await.unwrap();
        drop(send);
        let slow = slow.await.unwrap().unwrap();
        assert_eq!(slow.into_body().collect().await.unwrap().to_bytes(), "127.0.0.1 Ok(3)");
    });
}

#[test]
fn a_stream_that_the_client_resets_ends_its_request_alone() {
    run(async {
        let (address, handler, _running) = start(limits());
        let (mut sender, _driver) = client(address).await;
        let (_send, first) = open_request();
        let first = sender.send_request(first);
        let first = tokio::task::spawn_local(first);
        eventually("it is there", || handler.under_way.get() == 1).await;
        first.abort();
        eventually("it is over", || handler.under_way.get() == 0).await;
        let second = request(full(""));
        assert_eq!(sender.send_request(second).await.unwrap().status(), StatusCode::OK);
    });
}

#[test]
fn heads_over_their_limits_are_refused_and_the_connection_goes_on() {
    run(async {
        let (address, handler, _running) = start(limits());
        let (mut sender, _driver) = client(address).await;
        let mut many = request(full(""));
        for at in 0..11 {
            let name = http::HeaderName::try_from(format!("x-{at}")).unwrap();
            many.headers_mut().insert(name, http::HeaderValue::from_static("1"));
        }
        assert_eq!(sender.send_request(many).await.unwrap().status(), 431);
        assert_eq!(handler.refused.take(), [(Version::HTTP_2, Reason::HeadersTooLarge)]);
        let mut long = request(full(""));
        long.headers_mut().insert("x-long", http::HeaderValue::try_from("x".repeat(9_000)).unwrap());
        // The client knows the limit from the settings, and may keep it by itself.
        assert!(sender.send_request(long).await.map_or(true, |answer| answer.status() == 431));
        assert_eq!(sender.send_request(request(full(""))).await.unwrap().status(), 200);
    });
}

#[test]
fn a_connection_without_requests_is_told_to_go_and_closed() {
    run(async {
        let (address, _handler, _running) = start(limits());
        let begun = tokio::time::Instant::now();
        let (mut sender, driver) = client(address).await;
        assert_eq!(sender.send_request(request(full(""))).await.unwrap().status(), 200);
        while !sender.is_closed() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!((250..2_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        drop(driver);
    });
}

#[test]
fn a_preface_that_takes_too_long_ends_the_connection() {
    run(async {
        let (address, _handler, _running) = start(limits());
        let begun = tokio::time::Instant::now();
        assert_eq!(raw(address, "PRI * HTTP/2.0\r\n\r\nSM\r\n").await, "");
        assert!((250..2_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    });
}

type Frames = Box<dyn Iterator<Item = Vec<u8>>>;

#[test]
fn floods_are_cut_off_at_their_limits_and_nobody_else_is() {
    run(async {
        let limits = limits_with(|limits| {
            limits.connections_max = 100;
            limits.idle_timeout = Duration::from_secs(20);
        });
        let (address, handler, _running) = start(limits);
        let (mut bystander, _driver) = client(address).await;
        let opened = || std::iter::once(headers(1, END_HEADERS));
        let rapid_reset = (0..).flat_map(|at| {
            let stream = 2 * at + 1;
            [headers(stream, END_HEADERS | END_STREAM), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])]
        });
        let floods: [(&str, Frames, &[Flood]); 7] = [
            ("pings", Box::new(std::iter::repeat(frame(PING, 0, 0, &[7; 8]))), &[Flood::ControlFrames]),
            ("settings", Box::new(std::iter::repeat(frame(SETTINGS, 0, 0, &[]))), &[Flood::ControlFrames]),
            (
                "priorities",
                Box::new(std::iter::repeat(frame(PRIORITY, 0, 5, &[0, 0, 0, 3, 0]))),
                &[Flood::ControlFrames],
            ),
            ("unknown frames", Box::new(std::iter::repeat(frame(0xaa, 0, 0, &[]))), &[Flood::ControlFrames]),
            ("rapid resets", Box::new(rapid_reset), &[Flood::Resets, Flood::Library]),
            (
                "empty data",
                Box::new(opened().chain(std::iter::repeat(frame(DATA, 0, 1, &[])))),
                &[Flood::EmptyFrames, Flood::Library],
            ),
            (
                "continuations",
                Box::new(std::iter::once(headers(1, 0)).chain(std::iter::repeat(frame(
                    CONTINUATION,
                    0,
                    1,
                    &[0, 1, b'a', 1, b'b'],
                )))),
                &[Flood::Library],
            ),
        ];
        for (name, frames, limits) in floods {
            let taken = flood(address, frames.take(100_000)).await;
            assert!(taken < 20_000, "{name}: {taken} frames were taken");
            let answer = bystander.send_request(request(full(""))).await.unwrap();
            assert_eq!(answer.status(), 200, "{name}");
            eventually("the limit is told", || !handler.floods.borrow().is_empty()).await;
            let told = handler.floods.take();
            assert!(matches!(told[..], [flood] if limits.contains(&flood)), "{name}: {told:?}");
        }
    });
}

#[test]
fn a_client_below_the_limits_is_not_cut_off() {
    run(async {
        let limits = limits_with(|limits| limits.idle_timeout = Duration::from_secs(20));
        let (address, _handler, _running) = start(limits);
        let few = limits.http2.frames.control_frames_per_second_max as usize - 2;
        assert_eq!(flood(address, std::iter::repeat_n(frame(PING, 0, 0, &[7; 8]), few)).await, few);
    });
}

#[test]
fn a_closing_node_lets_requests_finish_and_takes_no_others() {
    run(async {
        let (address, handler, running) = start(limits());
        let (mut sender, _driver) = client(address).await;
        let (send, slow) = open_request();
        let slow = sender.send_request(slow);
        let slow = tokio::task::spawn_local(slow);
        eventually("it is there", || handler.under_way.get() == 1).await;
        running.phase.send_replace(Phase::Closing);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(sender.send_request(request(full(""))).await.is_err(), "the client was told to go elsewhere");
        send.send(Ok(Frame::data(Bytes::from_static(b"abc")))).await.unwrap();
        drop(send);
        let answer = slow.await.unwrap().unwrap();
        assert!(!answer.headers().contains_key("connection"));
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "127.0.0.1 Ok(3)");
        eventually("the connection ends", || running.open.count() == 0).await;
    });
}

const DATA: u8 = 0;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
