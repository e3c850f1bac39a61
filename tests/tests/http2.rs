//! HTTP/2 from clients: through this region's pool and through a tunnel.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use graticule_tests::{
    Ask, Connection, EU_CENTRAL, Fleet, Pattern, Plan, Tls, US_EAST, eventually, now, story,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use tokio::time::timeout;

#[test]
fn trailers_cross_in_both_directions() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        for edge in ["eu-central", "us-east"] {
            for http2 in [false, true] {
                let id = format!("trailers-{edge}-{http2}");
                let ask = Ask::with(Method::POST, HOST, "/x?trailers=1", "")
                    .named(&id)
                    .header("te", "trailers")
                    .header("trailer", "x-check, content-length");
                let mut sent = HeaderMap::new();
                sent.insert("x-check", HeaderValue::from_static("5"));
                // Whoever merges trailers into the head must not be led to believe this.
                sent.insert("content-length", HeaderValue::from_static("3"));
                let body = Pieces([Frame::data(Bytes::from_static(b"abcde")), Frame::trailers(sent)].into());
                let mut connection = open(&fleet, edge, http2).await;
                let answer = connection.start(ask.request_with(body)).await.unwrap();
                let answered = answer.into_body().collect().await.unwrap();
                assert_eq!(
                    answered.trailers().map(|trailers| &trailers["x-sum"]),
                    Some(&HeaderValue::from_static("7")),
                    "{id}"
                );
                let (_, received) = fleet.seen(&id).remove(0);
                let trailers = received.trailers.unwrap_or_else(|| panic!("{id}: no trailers"));
                assert_eq!(
                    (&trailers["x-check"], trailers.len()),
                    (&HeaderValue::from_static("5"), 1),
                    "{id}"
                );
            }
        }
    });
}

#[test]
fn a_request_arrives_as_http_1_would_have_sent_it() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        let ask = Ask::with(Method::PUT, HOST, "/a%20b?c=d", "abc")
            .named("as-sent")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let answer = open(&fleet, "us-east", true).await.ask(&ask).await.unwrap();
        assert_eq!((answer.status, answer.region()), (StatusCode::OK, Some("eu-central")));
        let (_, received) = fleet.seen("as-sent").remove(0);
        let text = |name: &str| {
            received
                .headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!((received.method.as_str(), received.target.as_str()), ("PUT", "/a%20b?c=d"));
        assert_eq!((text("host"), text("cookie")), (vec![HOST.to_owned()], vec!["a=1; b=2".to_owned()]));
        assert_eq!(text("via"), ["2 us-east-1", "1.1 eu-central-1"]);
        assert_eq!(received.body.map(|body| body.bytes), Some(3));
    });
}

#[test]
fn as_many_streams_as_are_allowed_share_one_connection_and_one_tunnel() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        let mut connection = open(&fleet, "us-east", true).await;
        let mut answers = Vec::new();
        for at in 0..STREAMS {
            let ask = Ask::get(HOST, "/x?wait_ms=500").named(&format!("stream-{at}"));
            answers.push(connection.begin(ask.request()).await.unwrap());
        }
        let begun = now();
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
        }
        assert!(now() - begun < Duration::from_secs(5), "they wait for each other");
    });
}

#[test]
fn a_stream_that_is_reset_is_noticed_at_the_backend_and_its_neighbours_are_not_disturbed() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        for edge in ["eu-central", "us-east"] {
            let mut connection = open(&fleet, edge, true).await;
            let neighbour = Ask::get(HOST, "/x?wait_ms=2000");
            let neighbour = tokio::task::spawn_local(connection.begin(neighbour.request()).await.unwrap());
            let waits = Ask::get(HOST, "/x?wait_ms=60000").named(&format!("waits-{edge}"));
            let waits = tokio::task::spawn_local(connection.begin(waits.request()).await.unwrap());
            let sends = Ask::with(Method::POST, HOST, "/x", "").named(&format!("sends-{edge}"));
            let sends = sends.request_with(Pattern::new(1 << 40));
            let sends = tokio::task::spawn_local(connection.begin(sends).await.unwrap());
            let reads = Ask::get(HOST, &format!("/x?bytes={}", 1_u64 << 40)).named(&format!("reads-{edge}"));
            let mut reads = connection.begin(reads.request()).await.unwrap().await.unwrap();
            reads.frame().await.unwrap().unwrap();
            for id in ["waits", "sends", "reads"] {
                arrived(&fleet, &format!("{id}-{edge}")).await;
            }
            waits.abort();
            sends.abort();
            drop(reads);
            for id in ["waits", "sends", "reads"] {
                gone(&fleet, &format!("{id}-{edge}")).await;
            }
            assert_eq!(neighbour.await.unwrap().unwrap().status(), StatusCode::OK);
        }
    });
}

#[test]
fn an_answer_may_come_before_the_body_has_gone() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        for edge in ["eu-central", "us-east"] {
            for http2 in [false, true] {
                let mut connection = open(&fleet, edge, http2).await;
                let ask = Ask::with(Method::POST, HOST, "/x?early=1", "");
                let answer = connection.start(ask.request_with(Pattern::new(1 << 40)));
                let answer = timeout(LIMIT, answer).await.expect("it comes early").unwrap();
                assert_eq!(answer.status(), StatusCode::OK, "{edge} {http2}");
                let body = timeout(LIMIT, answer.into_body().collect()).await.expect("it ends").unwrap();
                assert!(!body.to_bytes().is_empty(), "{edge} {http2}");
            }
        }
    });
}

/// A body of unknown length.
struct Pieces(VecDeque<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

#[test]
fn a_node_that_leaves_finishes_what_it_has_and_sends_clients_away() {
    story(Duration::from_mins(1), async {
        for over_tls in [false, true] {
            let plan = Plan::new([EU_CENTRAL]).tenant("eu-only", &rules()).certificate(&[HOST]);
            let mut fleet = Fleet::prepare(plan).await;
            fleet.nodes[0].set("drain.delay=1s");
            fleet.nodes[0].start();
            fleet.until_connected().await;
            let file = fleet.certificates().join(format!("{HOST}.pem"));
            let mut connection = if over_tls {
                let tls = Tls::to(HOST, &file);
                Connection::open_tls(fleet.tls_edge("eu-central"), &tls).await.unwrap()
            } else {
                Connection::open_http2(fleet.edge("eu-central")).await.unwrap()
            };
            let long = Ask::get(HOST, "/?wait_ms=3000").named("long").request();
            let long = connection.begin(long).await.unwrap();
            arrived(&fleet, "long").await;
            fleet.nodes[0].signal("TERM");
            eventually("the node is not ready", Duration::from_secs(1), async || {
                if fleet.nodes[0].is_ready().await { Err("it is") } else { Ok(()) }
            })
            .await;
            // Whoever does not know yet is served.
            assert_eq!(connection.ask(&Ask::get(HOST, "/late")).await.unwrap().status, StatusCode::OK);
            let sent_away = eventually("the client is sent away", Duration::from_secs(3), async || {
                match connection.ask(&Ask::get(HOST, "/later")).await {
                    Ok(answer) if answer.status == StatusCode::OK => Err("it is served"),
                    Ok(answer) => panic!("it is refused with {}", answer.status),
                    Err(broken) => Ok(broken),
                }
            });
            sent_away.await;
            assert_eq!(long.await.unwrap().status(), StatusCode::OK, "the request that was under way");
            assert!(fleet.nodes[0].until_ended(Duration::from_secs(10)).await.success());
        }
    });
}

async fn fleet() -> Fleet {
    Plan::new([EU_CENTRAL, US_EAST]).tenant("eu-only", &rules()).start().await
}

fn rules() -> String {
    format!("[[match]]\nhost = \"{HOST}\"\n[residency]\nallow = [\"set:EU\"]")
}

async fn open(fleet: &Fleet, edge: &str, http2: bool) -> Connection {
    let edge = fleet.edge(edge);
    let opened = if http2 { Connection::open_http2(edge).await } else { Connection::open(edge).await };
    opened.expect("a connection")
}

async fn arrived(fleet: &Fleet, id: &str) {
    eventually("the request is at the backend", LIMIT, async || {
        if fleet.seen(id).is_empty() { Err(id.to_owned()) } else { Ok(()) }
    })
    .await;
}

async fn gone(fleet: &Fleet, id: &str) {
    eventually("the backend notices that nobody waits", LIMIT, async || {
        fleet.seen(id).remove(0).1.gone.ok_or(id.to_owned())
    })
    .await;
}

const HOST: &str = "eu-only.example";
/// The default of `streams_max`.
const STREAMS: usize = 100;
const LIMIT: Duration = Duration::from_secs(10);
