//! Requests through a real tunnel: sent by `send`, served by `serve_connection`.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use graticule_node_core::decide::ClientCountry;
use graticule_node_core::framing::{BodyLength, RequestHead};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};

use super::*;
use crate::body::{RequestBody, ResponseBody};
use crate::early::Listener;
use crate::pool::testing::{Endless, channel};
use crate::relay::{Server, serve_connection};
use crate::testing::{Pair, collect, eventually, fields, frames, pair, run, target};
use crate::tunnel::Backlog;

type Answer = Result<Response<ResponseBody>, Reason>;
type Forward = Box<dyn Fn(RequestHead, RequestBody) -> Pin<Box<dyn Future<Output = Answer>>>>;

/// A serving node that does what a test wants.
struct Script {
    admit: Result<(), Reason>,
    forward: Forward,
    forwarding: Cell<usize>,
}

/// Counts a request that is being forwarded.
struct Forwarding<'a>(&'a Cell<usize>);

impl Drop for Forwarding<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Server for Script {
    type Admission = ();

    fn admit(self: &Rc<Self>, _head: &RequestHead) -> Result<(), Reason> {
        self.admit
    }

    fn is_leaving(&self) -> bool {
        false
    }

    fn passes_on_informational(&self, (): &()) -> bool {
        true
    }

    async fn forward(
        self: Rc<Self>,
        (): (),
        head: RequestHead,
        body: RequestBody,
        _heard: Option<Listener>,
    ) -> Answer {
        self.forwarding.set(self.forwarding.get() + 1);
        let _forwarding = Forwarding(&self.forwarding);
        (self.forward)(head, body).await
    }
}

fn script<F: Future<Output = Answer> + 'static>(
    forward: impl Fn(RequestHead, RequestBody) -> F + 'static,
) -> Rc<Script> {
    let forward: Forward = Box::new(move |head, body| Box::pin(forward(head, body)));
    Rc::new(Script { admit: Ok(()), forward, forwarding: Cell::new(0) })
}

/// An edge with a tunnel to a node that is served by a script, or by nobody.
struct Edge {
    pair: Pair,
    tunnel: Rc<Tunnel>,
    suspected: Cell<usize>,
    may_leave: bool,
    _serving: Option<Task>,
}

impl Edge {
    async fn of(server: Option<Rc<Script>>) -> Self {
        Self::with(server, [(); 2].map(|()| Backlog::new(Arc::default()))).await
    }

    /// With these backlogs of the edge and of the node.
    async fn with(server: Option<Rc<Script>>, [backlog, at_node]: [Backlog; 2]) -> Self {
        let pair = pair().await;
        let node = target(0, "node-1", "eu", pair.node.endpoint.local_addr().unwrap());
        let tunnel = Rc::new(Tunnel::new(node, backlog));
        tunnel.set_connection(Some(pair.edge.connection.clone()));
        let connection = pair.node.connection.clone();
        let serving =
            server.map(|server| task::spawn("serving", serve_connection(connection, server, at_node)));
        Self { pair, tunnel, suspected: Cell::new(0), may_leave: true, _serving: serving }
    }

    async fn send(&self, method: &Method, upload: &Upload) -> Result<Response<Box<TunnelBody>>, Failure> {
        self.send_with(method, upload, &fields(&[("x-a", "1")])).await
    }

    async fn send_with(
        &self,
        method: &Method,
        upload: &Upload,
        headers: &HeaderMap,
    ) -> Result<Response<Box<TunnelBody>>, Failure> {
        let tenant = "acme".parse().unwrap();
        let authority = Authority::from_static("acme.example:81");
        let target = PathAndQuery::from_static("/public//x?q=%41");
        let length = || upload.length().map_or(BodyLength::Unknown, BodyLength::Known);
        let head = RequestHeadRef {
            tenant: &tenant,
            tenant_version: 1,
            fleet_version: 1,
            client: ClientCountry::Unknown,
            method,
            authority: &authority,
            target: &target,
            headers,
            body: if upload.is_empty() { BodyLength::None } else { length() },
            upgrade: false,
        };
        let request = Relayed {
            head,
            upload,
            may_leave: || self.may_leave,
            open_timeout: OPEN_TIMEOUT,
            listener: None,
        };
        send(&World::system(), &self.tunnel, request, |_| self.suspected.set(self.suspected.get() + 1)).await
    }
}

fn upload(body: impl Body<Data = Bytes, Error = io::Error> + Send + 'static) -> Upload {
    Upload::new(RequestBody::test(body), true)
}

fn of_bytes(bytes: usize) -> Upload {
    let full = Full::new(Bytes::from(vec![b'u'; bytes]));
    Upload::new(RequestBody::test(full), true)
}

fn nothing() -> Upload {
    Upload::new(RequestBody::default(), true)
}

#[expect(clippy::unnecessary_wraps, reason = "a frame among those that may fail")]
fn chunk(bytes: usize) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from(vec![b'u'; bytes])))
}

#[test]
fn the_head_arrives_as_it_was_sent() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let seen_there = Rc::clone(&seen);
        let edge = Edge::of(Some(script(move |head, _| {
            seen_there.replace(Some(head));
            async {
                Ok(Response::builder()
                    .status(418)
                    .header("x-b", "2")
                    .body(ResponseBody::own("tea".into()))
                    .unwrap())
            }
        })))
        .await;
        let mut answer = edge.send(&Method::PUT, &nothing()).await.unwrap();
        assert_eq!(answer.status(), 418);
        assert_eq!(answer.headers(), &fields(&[("x-b", "2")]));
        assert_eq!(collect(answer.body_mut()).await.unwrap().0, b"tea");
        let head = seen.take().unwrap();
        assert_eq!((head.method, head.target.as_str()), (Method::PUT, "/public//x?q=%41"));
        assert_eq!((head.tenant.as_str(), head.authority.as_str()), ("acme", "acme.example:81"));
        assert_eq!((head.client, head.headers), (ClientCountry::Unknown, fields(&[("x-a", "1")])));
        assert_eq!(head.body, BodyLength::None);
        assert_eq!(edge.suspected.get(), 0);
    });
}

#[test]
fn bodies_and_trailers_cross_both_ways_in_every_size() {
    run(async {
        let edge = Edge::of(Some(script(|_, mut body| async move {
            let (data, trailers) = collect(&mut body).await.map_err(|_| Reason::BackendFailed)?;
            let mut parts = vec![Ok(Frame::data(Bytes::from(data)))];
            parts.extend(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            Ok(Response::new(ResponseBody::test(frames(parts))))
        })))
        .await;
        for size in [1, 2_048, 2_049, 70_000, 3_000_000] {
            let sum = Ok(Frame::trailers(fields(&[("x-sum", "9")])));
            let body = upload(frames(vec![chunk(size), chunk(1), sum]));
            let mut answer = edge.send(&Method::POST, &body).await.unwrap();
            let (data, trailers) = collect(answer.body_mut()).await.unwrap();
            assert_eq!((data.len(), trailers), (size + 1, Some(fields(&[("x-sum", "9")]))));
            assert!(data.iter().all(|byte| *byte == b'u'));

            let mut answer = edge.send(&Method::POST, &of_bytes(size)).await.unwrap();
            assert_eq!(collect(answer.body_mut()).await.unwrap(), (vec![b'u'; size], None));
        }
        drop(nothing());
        eventually("no request is counted", || edge.tunnel.in_flight() == 0).await;
    });
}

#[test]
fn lengths_cross_where_they_are_known() {
    run(async {
        let edge = Edge::of(Some(script(|head, body| async move {
            let said = match head.body {
                BodyLength::None => "none".to_owned(),
                BodyLength::Known(length) => format!("{length} {:?}", body.size_hint().exact()),
                BodyLength::Unknown => format!("unknown {:?}", body.size_hint().exact()),
            };
            Ok(Response::new(ResponseBody::own(said.into())))
        })))
        .await;
        let unknown = upload(frames(vec![chunk(3)]));
        for (upload, said) in [(nothing(), "none"), (of_bytes(5), "5 Some(5)"), (unknown, "unknown None")] {
            let mut answer = edge.send(&Method::PUT, &upload).await.unwrap();
            assert_eq!(answer.body().size_hint().exact(), Some(said.len() as u64));
            assert_eq!(collect(answer.body_mut()).await.unwrap().0, said.as_bytes());
        }
    });
}

#[test]
fn an_answer_to_head_says_how_long_it_would_be() {
    run(async {
        let edge = Edge::of(Some(script(|_, _| async {
            let empty = ResponseBody::own(Bytes::new());
            Ok(Response::builder().header("content-length", "512").body(empty).unwrap())
        })))
        .await;
        let mut answer = edge.send(&Method::HEAD, &nothing()).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "512");
        assert_eq!(collect(answer.body_mut()).await.unwrap(), (Vec::new(), None));
    });
}

#[test]
fn a_request_that_is_refused_before_acceptance_comes_back() {
    run(async {
        let mut server = script(|_, _| async { panic!("a refused request is not forwarded") });
        Rc::get_mut(&mut server).unwrap().admit = Err(Reason::PolicySkew);
        let edge = Edge::of(Some(server)).await;
        let upload = Upload::new(RequestBody::test(frames(vec![chunk(10), chunk(20)])), false);
        let failure = edge.send(&Method::POST, &upload).await.unwrap_err();
        assert_eq!(failure, Failure::Refused(Reason::PolicySkew));
        let mut back = upload.take_back().unwrap();
        assert_eq!(collect(&mut back).await.unwrap().0.len(), 30);
    });
}

#[test]
fn a_refusal_after_acceptance_says_whether_a_backend_can_have_seen_the_request() {
    run(async {
        use Reason::{BackendUnreachable, NoCompliantRegion, Overloaded, PolicySkew};
        for reason in Reason::ALL {
            let edge = Edge::of(Some(script(move |_, _| async move { Err(reason) }))).await;
            let failure = edge.send(&Method::GET, &nothing()).await.unwrap_err();
            let unseen = [BackendUnreachable, NoCompliantRegion, Overloaded, PolicySkew];
            let expected = match reason {
                Reason::NotSupported | Reason::BadRequest => Failure::Never(reason),
                reason if unseen.contains(&reason) => Failure::Refused(reason),
                reason => Failure::Sent(reason),
            };
            assert_eq!(failure, expected);
        }
    });
}

#[test]
fn a_silent_peer_is_suspect_and_left_if_the_request_can_go_elsewhere() {
    run(async {
        let edge = Edge::of(None).await;
        let upload = Upload::new(RequestBody::test(frames(vec![chunk(10), chunk(20)])), false);
        let begun = tokio::time::Instant::now();
        let failure = edge.send(&Method::POST, &upload).await.unwrap_err();
        assert_eq!(failure, Failure::Unsent(Reason::TunnelTimeout));
        assert_eq!(edge.suspected.get(), 1);
        assert!(begun.elapsed() >= edge.tunnel.patience());
        let mut back = upload.take_back().unwrap();
        assert_eq!(collect(&mut back).await.unwrap().0.len(), 30);
        assert_eq!(edge.tunnel.in_flight(), 0);
    });
}

#[test]
fn a_slow_peer_is_waited_for_if_there_is_nowhere_else_to_go() {
    run(async {
        let mut edge = Edge::of(None).await;
        edge.may_leave = false;
        let patience = edge.tunnel.patience();
        let connection = edge.pair.node.connection.clone();
        let server = script(|_, _| async { Ok(Response::new(ResponseBody::own("late".into()))) });
        let _serving = task::spawn("late", async move {
            tokio::time::sleep(patience * 2).await;
            serve_connection(connection, server, Backlog::new(Arc::default())).await;
        });
        let mut answer = edge.send(&Method::GET, &nothing()).await.unwrap();
        assert_eq!(collect(answer.body_mut()).await.unwrap().0, b"late");
        assert_eq!(edge.suspected.get(), 1);
    });
}

#[test]
fn a_peer_that_is_lost_is_unsent_before_acceptance_and_sent_after() {
    run(async {
        let mut edge = Edge::of(None).await;
        edge.may_leave = false;
        let node = edge.pair.node.connection.clone();
        let closing = async {
            let _stream = node.accept_bi().await.unwrap();
            node.close(0u32.into(), b"bye");
        };
        let upload = nothing();
        let (failure, ()) = tokio::join!(edge.send(&Method::GET, &upload), closing);
        assert_eq!(failure.unwrap_err(), Failure::Unsent(Reason::TunnelLost));
        let failure = edge.send(&Method::GET, &nothing()).await.unwrap_err();
        assert_eq!(failure, Failure::Unsent(Reason::TunnelLost), "nor through a tunnel that is gone");

        let server = script(|_, _| std::future::pending());
        let edge = Edge::of(Some(Rc::clone(&server))).await;
        let closing = async {
            eventually("it is forwarded", || server.forwarding.get() == 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            edge.pair.node.connection.close(0u32.into(), b"bye");
        };
        let (failure, ()) = tokio::join!(edge.send(&Method::GET, &upload), closing);
        assert_eq!(failure.unwrap_err(), Failure::Sent(Reason::TunnelLost));
    });
}

#[test]
fn no_tunnel_is_unsent() {
    run(async {
        let edge = Edge::of(None).await;
        edge.tunnel.set_connection(None);
        assert_eq!(
            edge.send(&Method::GET, &nothing()).await.unwrap_err(),
            Failure::Unsent(Reason::TunnelLost)
        );
    });
}

#[test]
fn what_cannot_be_framed_is_never_sent() {
    run(async {
        let edge = Edge::of(None).await;
        let sent = edge.send_with(&Method::GET, &nothing(), &fields(&[("connection", "close")])).await;
        assert_eq!(sent.unwrap_err(), Failure::Never(Reason::BadRequest));
    });
}

#[test]
fn a_client_that_goes_away_stops_the_serving_side() {
    run(async {
        let server = script(|_, _| std::future::pending());
        let edge = Edge::of(Some(Rc::clone(&server))).await;
        for upload in [nothing(), of_bytes(10), upload(channel().1)] {
            {
                let sending = edge.send(&Method::POST, &upload);
                tokio::select! {
                    _ = sending => panic!("there is no answer"),
                    () = eventually("it is forwarded", || server.forwarding.get() == 1) => {}
                }
            }
            eventually("it is dropped there", || server.forwarding.get() == 0).await;
            assert_eq!(edge.tunnel.in_flight(), 0);
        }
    });
}

/// A body that says when it is dropped.
struct Watched(Endless, Arc<Mutex<bool>>);

impl Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        *self.1.lock().unwrap() = true;
    }
}

#[test]
fn a_reader_that_stops_stops_the_backend_and_one_that_leaves_drops_it() {
    run(async {
        let (polled, dropped) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(false)));
        let (polls, drops) = (Arc::clone(&polled), Arc::clone(&dropped));
        let edge = Edge::of(Some(script(move |_, _| {
            let body = Watched(Endless(Arc::clone(&polls)), Arc::clone(&drops));
            async move { Ok(Response::new(ResponseBody::test(body))) }
        })))
        .await;
        let mut answer = edge.send(&Method::GET, &nothing()).await.unwrap();
        assert_eq!(answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap()[0], 7);
        let stopped = until_still(&polled).await;
        assert!(stopped * 16 * 1024 < 4 * 1024 * 1024, "{stopped} pieces for nobody");
        for _ in 0..4 * stopped {
            answer.body_mut().frame().await.unwrap().unwrap();
        }
        assert!(until_still(&polled).await > stopped, "it goes on with its reader");
        assert!(!*dropped.lock().unwrap());
        drop(answer);
        eventually("the backend's answer is dropped", || *dropped.lock().unwrap()).await;
    });
}

/// The count once it has not changed for a while.
async fn until_still(count: &Mutex<usize>) -> usize {
    loop {
        let before = *count.lock().unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if *count.lock().unwrap() == before {
            return before;
        }
    }
}

#[test]
fn a_backend_that_stops_reading_stops_the_client() {
    run(async {
        let edge = Edge::of(Some(script(|_, body| async move {
            std::future::pending::<()>().await;
            drop(body);
            Err(Reason::BackendFailed)
        })))
        .await;
        let polled = Arc::new(Mutex::new(0));
        let upload = upload(Endless(Arc::clone(&polled)));
        let sending = edge.send(&Method::PUT, &upload);
        tokio::select! {
            _ = sending => panic!("there is no answer"),
            stopped = until_still(&polled) => {
                assert!(stopped > 4, "the window is used");
                assert!(stopped * 16 * 1024 < 4 * 1024 * 1024, "{stopped} pieces for nobody");
            }
        }
        assert!(!upload.is_whole());
    });
}

#[test]
fn an_early_answer_ends_a_request_that_is_still_being_sent() {
    run(async {
        let edge = Edge::of(Some(script(|_, mut body| async move {
            body.frame().await.unwrap().unwrap();
            Ok(Response::builder().status(413).body(ResponseBody::own("too much".into())).unwrap())
        })))
        .await;
        let polled = Arc::new(Mutex::new(0));
        let upload = upload(Endless(Arc::clone(&polled)));
        let mut answer = edge.send(&Method::POST, &upload).await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(collect(answer.body_mut()).await.unwrap().0, b"too much");
        drop(answer);
        let sent = until_still(&polled).await;
        assert!(sent * 16 * 1024 < 4 * 1024 * 1024, "{sent} pieces after the answer");
        assert_eq!(edge.tunnel.in_flight(), 0);
    });
}

#[test]
fn an_answer_that_breaks_off_is_an_error_and_no_short_body() {
    run(async {
        let edge = Edge::of(Some(script(|_, _| async {
            let broken = frames(vec![chunk(5_000), Err(io::ErrorKind::ConnectionReset.into())]);
            Ok(Response::new(ResponseBody::test(broken)))
        })))
        .await;
        // The reset can overtake the head, and `accepted` too: that must not look as if nothing had happened.
        match edge.send(&Method::POST, &nothing()).await {
            Err(failure) => assert_eq!(failure, Failure::Sent(Reason::BackendFailed)),
            Ok(mut answer) => {
                collect(answer.body_mut()).await.unwrap_err();
                assert!(answer.body_mut().frame().await.is_none(), "after the error there is nothing");
            }
        }
    });
}

#[test]
fn a_tunnel_that_is_lost_breaks_an_answer_off() {
    run(async {
        let (sender, body) = channel();
        let body = Cell::new(Some(body));
        let edge = Edge::of(Some(script(move |_, _| {
            let body = body.take().unwrap();
            async move { Ok(Response::new(ResponseBody::test(body))) }
        })))
        .await;
        sender.send(chunk(3)).await.unwrap();
        let mut answer = edge.send(&Method::GET, &nothing()).await.unwrap();
        answer.body_mut().frame().await.unwrap().unwrap();
        edge.pair.node.connection.close(0u32.into(), b"bye");
        answer.body_mut().frame().await.unwrap().unwrap_err();
    });
}

#[test]
fn a_request_that_breaks_off_is_an_error_at_the_serving_node_whatever_its_length() {
    run(async {
        let broken = Rc::new(RefCell::new(Vec::new()));
        let broken_there = Rc::clone(&broken);
        let server = script(move |_, mut body| {
            let broken = Rc::clone(&broken_there);
            async move {
                let collected = collect(&mut body).await;
                broken.borrow_mut().push(collected.is_err());
                Err(Reason::BadRequest)
            }
        });
        let forwarding = Rc::clone(&server);
        let edge = Edge::of(Some(server)).await;
        let (sender, body) = channel();
        let upload = upload(body);
        let breaking = async {
            sender.send(chunk(5_000)).await.unwrap();
            eventually("it is forwarded", || forwarding.forwarding.get() == 1).await;
            sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
        };
        let (failure, ()) = tokio::join!(edge.send(&Method::PUT, &upload), breaking);
        assert_eq!(failure.unwrap_err(), Failure::Never(Reason::BadRequest));
        assert!(upload.take_back().is_none());
        assert_eq!(*broken.borrow(), [true]);

        let early = upload_of_error();
        assert!(matches!(edge.send(&Method::PUT, &early).await, Err(Failure::Unsent(_) | Failure::Sent(_))));
        assert!(early.take_back().is_none(), "nor is it sent elsewhere");
        assert!(broken.borrow().iter().all(|broken| *broken));
    });
}

/// A body that fails at once: its stream may be reset before its head is read.
fn upload_of_error() -> Upload {
    upload(frames(vec![chunk(5_000), Err(io::ErrorKind::ConnectionReset.into())]))
}

#[test]
fn a_stream_of_another_kind_is_not_served() {
    run(async {
        let edge = Edge::of(Some(script(|_, _| async { panic!("nothing is forwarded") }))).await;
        for opening in [&StreamKind::Exceptions.preface()[..], b"GET / HTTP/1.1\r\n\r\n", b""] {
            let (mut sender, mut receiver) = edge.pair.edge.connection.open_bi().await.unwrap();
            sender.write_all(opening).await.unwrap();
            sender.finish().unwrap();
            assert!(receiver.read_to_end(16).await.is_err(), "{opening:?} is reset");
        }
    });
}

mod slow_readers;

const OPEN_TIMEOUT: Duration = Duration::from_millis(500);
