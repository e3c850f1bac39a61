//! Nodes with real ingress, tunnels and backends, as a client sees them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use graticule_node_core::Policy;
use graticule_node_core::config;
use graticule_node_core::headers::ClientAddressHeader;
use graticule_node_core::mesh::PeerId;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::*;
use crate::ingress::{self, Entrance, IngressLimits};
use crate::pool::testing::{AnyBody, Backend, full};
use crate::relay::serve_connection;
use crate::shared::{PeerTarget, Phase};
use crate::task::{self, Task};
use crate::testing::{LOOPBACK, Pair, eventually, pair, policy, raw, run, snapshot, target, tenant};
use crate::tunnel::Backlog;

mod relaying;

mod accounts;

/// One node: a worker's gateway behind a real listener.
struct Site {
    address: SocketAddr,
    gateway: Rc<Gateway>,
    tasks: Vec<Task>,
    refusals: tokio::sync::mpsc::Receiver<(PeerId, graticule_node_core::policy::TenantId)>,
    _phase: watch::Sender<Phase>,
}

impl Site {
    fn new(snapshot: Snapshot) -> Self {
        Self::with_limit(snapshot, 100)
    }

    fn with_limit(snapshot: Snapshot, requests_in_flight_max: u32) -> Self {
        Self::with(snapshot, requests_in_flight_max, Recorders::default())
    }

    fn with(snapshot: Snapshot, requests_in_flight_max: u32, recorders: Recorders) -> Self {
        let world = World::system();
        let name = snapshot.here.node.clone();
        let (shared, refusals) = Shared::new(snapshot, 1);
        let in_flight = shared.in_flight.worker(0).unwrap();
        let connections = shared.connections.worker(0).unwrap();
        let text = |text: String| HeaderValue::try_from(text).unwrap();
        let settings = GatewaySettings {
            client_address: ClientAddressRule {
                header: ClientAddressHeader::XForwardedFor,
                trusted: Vec::new(),
            },
            body_timeout: BODY_TIMEOUT,
            open_timeout: Duration::from_millis(500),
            requests_in_flight_max,
            worker: 0,
            via_1_0: text(format!("1.0 {name}")),
            via: text(format!("1.1 {name}")),
            via_2: text(format!("2 {name}")),
            https_port: Some(8443),
            proxy_status: text(name.to_string()),
            name,
        };
        let backends = Connections::new(&world, crate::pool::testing::links());
        let tunnels = Rc::new(Tunnels::new(Backlog::new(Arc::default())));
        let gateway = Gateway::new(
            Arc::new(shared),
            world.clone(),
            (backends, tunnels),
            settings,
            (in_flight, recorders),
        );
        let gateway = Rc::new(gateway);
        let listener = world.net.listen(LOOPBACK, false).unwrap();
        let address = listener.local_address().unwrap();
        let client = config::IngressLimits {
            connections_max: 10,
            header_bytes_max: 16 * 1024,
            headers_max: 50,
            body_timeout: BODY_TIMEOUT,
            upgrade_timeout: Duration::from_secs(10),
            sniff_timeout: Duration::from_secs(5),
            proxy_timeout: Duration::from_millis(300),
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(5),
        };
        let limits = IngressLimits { client, http2: config::Http2Limits::default() };
        let (phase, phases) = watch::channel(Phase::Serving);
        let serving = ingress::run(
            vec![Entrance { listener, announcing: Arc::default(), tls: None }],
            limits,
            Rc::clone(&gateway),
            (connections, phases),
        );
        Self { address, gateway, tasks: vec![task::spawn("ingress", serving)], refusals, _phase: phase }
    }

    async fn get(&self, path: &str, more: &str) -> String {
        self.ask("GET", path, more).await
    }

    /// One request to `acme.example`; `more` are header lines, and then a body.
    async fn ask(&self, method: &str, path: &str, more: &str) -> String {
        let separator = if more.contains("\r\n\r\n") { "" } else { "\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: acme.example\r\nconnection: close\r\n{more}{separator}"
        );
        raw(self.address, &request).await
    }
}

/// An edge in `us` with a tunnel to a node in `eu`.
struct Fleet {
    edge: Site,
    node: Site,
    pair: Pair,
}

impl Fleet {
    async fn new(at_edge: Policy, at_node: Policy) -> Self {
        let pair = pair().await;
        let peer = target(0, "node-1", "eu", pair.node.endpoint.local_addr().unwrap());
        let edge = Site::new(snapshot(at_edge, ("edge-1", "us"), std::slice::from_ref(&peer)));
        let mut node = Site::new(snapshot(at_node, ("node-1", "eu"), &[]));
        keep(&edge, &[peer], &pair);
        let serving = serve_connection(
            pair.node.connection.clone(),
            Rc::clone(&node.gateway),
            Backlog::new(Arc::default()),
        );
        node.tasks.push(task::spawn("serving", serving));
        Self { edge, node, pair }
    }
}

/// Gives the edge a tunnel to each peer; all lead over the pair's connection.
fn keep(edge: &Site, peers: &[PeerTarget], pair: &Pair) {
    edge.gateway.tunnels.retarget(peers, |tunnel| {
        tunnel.set_connection(Some(pair.edge.connection.clone()));
        task::spawn("kept", std::future::pending())
    });
}

fn acme(countries: &[&str], pools: &[(&str, SocketAddr)]) -> Policy {
    policy(&[tenant("acme", countries, pools)])
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().unwrap()
}

/// The values of a header, in order.
fn values<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(line, _)| line.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn assert_refused(answer: &str, reason: Reason) {
    let row = reason.row();
    assert_eq!(status(answer), row.status, "{answer}");
    assert_eq!(values(answer, "content-type"), ["application/problem+json"]);
    let problem: serde_json::Value = serde_json::from_str(body(answer)).unwrap();
    assert_eq!(problem["reason"], row.label, "{answer}");
    assert_eq!(problem["status"], row.status);
    assert_eq!(problem["type"], format!("urn:graticule:refusal:{}", row.label));
    assert_eq!(problem["title"], row.title);
    let proxy_status = values(answer, "proxy-status").join(",");
    assert!(proxy_status.contains(&format!("error={}", row.proxy_error)), "{proxy_status}");
    assert!(proxy_status.contains(&format!("details=\"{}\"", row.label)), "{proxy_status}");
    let wait: Vec<_> = row.retry_after.iter().map(|wait| wait.as_secs().to_string()).collect();
    assert_eq!(values(answer, "retry-after"), wait);
}

/// Answers with the request it got, as text; the body last.
async fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let (parts, body) = request.into_parts();
    let mut said = format!("{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        writeln!(said, "{name}: {}", value.to_str().unwrap()).unwrap();
    }
    let body = body.collect().await.unwrap().to_bytes();
    write!(said, "\n{}", String::from_utf8_lossy(&body)).unwrap();
    Response::new(full(said))
}

/// How long bodies may rest here.
const BODY_TIMEOUT: Duration = Duration::from_millis(300);

fn nowhere() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_local_request_reaches_its_backend_as_a_proxy_passes_it_on() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let site = Site::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        let more = "connection: x-private\r\nx-private: 1\r\nkeep-alive: 5\r\nte: trailers\r\nupgrade: h2c\r\n\
                    x-forwarded-for: 198.51.100.9\r\nx-request-id: id-1\r\nx-kept: yes\r\n";
        let answer = site.get("/public//x?q=%41", more).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let seen = body(&answer);
        assert!(seen.contains("GET /public//x?q=%41\n"), "the target is passed on unchanged: {seen}");
        for line in [
            "host: acme.example",
            "x-kept: yes",
            "x-request-id: id-1",
            "via: 1.1 node-1",
            "x-forwarded-for: 127.0.0.1",
        ] {
            assert!(seen.contains(&format!("{line}\n")), "{line} in {seen}");
        }
        assert!(seen.contains("traceparent: 00-"));
        for gone in ["x-private", "keep-alive", "upgrade", "connection", "198.51.100.9"] {
            assert!(!seen.contains(gone), "{gone} in {seen}");
        }
        assert_eq!(values(&answer, "via"), ["1.1 node-1"]);
        assert_eq!(values(&answer, "proxy-status"), ["node-1"]);
    });
}

#[test]
fn the_authority_of_the_target_is_the_host() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let site = Site::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        let answer = site.get("http://acme.example:8080/x", "").await;
        assert!(body(&answer).contains("GET /x\n"), "{answer}");
        assert!(body(&answer).contains("host: acme.example:8080\n"), "{answer}");
    });
}

#[test]
fn a_target_in_absolute_form_may_lack_its_path_here_and_through_a_tunnel() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let acme = acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(acme.clone(), acme).await;
        for site in [&fleet.node, &fleet.edge] {
            for (target, sent) in [("http://acme.example?q=1", "/?q=1"), ("http://acme.example", "/")] {
                let answer = site.get(target, "").await;
                assert!(body(&answer).contains(&format!("GET {sent}\n")), "{answer}");
            }
        }
    });
}

#[test]
fn a_body_that_breaks_off_is_the_client_s_fault_here_and_through_a_tunnel() {
    run(async {
        let backend = Backend::on_loopback(|request: Request<Incoming>| async {
            let whole = request.into_body().collect().await.is_ok();
            Response::new(full(if whole { "whole" } else { "broken" }))
        })
        .await;
        let acme = acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(acme.clone(), acme).await;
        for site in [&fleet.node, &fleet.edge] {
            for broken in ["-1\r\nabc\r\n0\r\n\r\n", "3;x\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n"] {
                for method in ["POST", "PUT"] {
                    let more = format!("transfer-encoding: chunked\r\n\r\n{broken}");
                    assert_refused(&site.ask(method, "/", &more).await, Reason::BadRequest);
                }
            }
            // A piece is late after others were in time.
            let slow = format!("content-length: 9\r\n\r\n{}", "abc");
            assert_refused(&site.ask("POST", "/", &slow).await, Reason::RequestTimeout);
        }
    });
}

#[test]
fn a_body_may_take_long_if_its_pieces_do_not() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let acme = acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(acme.clone(), acme).await;
        for site in [&fleet.node, &fleet.edge] {
            let mut stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
            let head =
                "POST / HTTP/1.1\r\nhost: acme.example\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            for piece in ["a", "b", "c", "d", "e"] {
                tokio::time::sleep(BODY_TIMEOUT / 3).await;
                stream.write_all(piece.as_bytes()).await.unwrap();
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("\n\nabcde"), "{answer}");
        }
    });
}

#[test]
fn trailers_bring_nothing_that_was_taken_out_of_the_head() {
    run(async {
        let backend = Backend::on_loopback(|request: Request<Incoming>| async {
            let came = request.into_body().collect().await.unwrap().trailers().cloned().unwrap_or_default();
            let names: Vec<_> = came.keys().map(http::HeaderName::as_str).collect();
            let sent = crate::testing::fields(&[("x-sum", "9"), ("x-real-ip", "1"), ("set-cookie", "a=b")]);
            let frames = vec![Ok(Frame::data(Bytes::from(names.join(",")))), Ok(Frame::trailers(sent))];
            let declared = Response::builder().header("trailer", "x-sum, x-real-ip, set-cookie");
            declared.body(crate::testing::frames(frames).map_err(Into::into).boxed_unsync()).unwrap()
        })
        .await;
        let acme = acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(acme.clone(), acme).await;
        for site in [&fleet.node, &fleet.edge] {
            let more = "te: trailers\r\ntrailer: x-sum, x-forwarded-for, x_real_ip, x-forwarded-host, authorization\r\n\
                        transfer-encoding: chunked\r\n\r\n0\r\nx-sum: 9\r\nx-forwarded-for: 192.0.2.1\r\nx_real_ip: 192.0.2.1\r\n\
                        x-forwarded-host: b\r\nauthorization: c\r\n\r\n";
            let answer = site.ask("POST", "/", more).await;
            assert!(answer.contains("\r\nx-sum\r\n"), "only that one reached the backend: {answer}");
            assert!(answer.ends_with("0\r\nx-sum: 9\r\n\r\n"), "and the client: {answer}");
        }
    });
}

/// Numbers without order, the same in every run.
fn noise() -> impl Iterator<Item = u8> {
    let mut state = 7_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
}

#[test]
fn a_member_that_sends_rubbish_harms_nobody() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let acme = acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(acme.clone(), acme).await;
        let mut noise = noise();
        let request = graticule_node_core::framing::StreamKind::Request.preface();
        for at in 0..2_000 {
            let (mut sender, receiver) = fleet.pair.edge.connection.open_bi().await.unwrap();
            let mut bytes: Vec<u8> = noise.by_ref().take(1 + at % 300).collect();
            if at % 3 > 0 {
                bytes.splice(..0, request);
            }
            // What was refused already takes no more.
            let _ = sender.write_all(&bytes).await;
            match at % 4 {
                0 => drop(sender.finish()),
                1 => drop(sender.reset(7_u32.into())),
                2 => drop(receiver),
                _ => std::mem::forget(sender),
            }
        }
        let answer = fleet.edge.get("/after", "").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(backend.seen.requests.get(), 1, "nothing else reached the backend");
        eventually("none is in flight", || fleet.node.gateway.in_flight.count() == 0).await;
    });
}

#[test]
fn the_region_is_said_only_where_the_tenant_exposes_it_and_never_a_backends_word() {
    run(async {
        let backend = Backend::on_loopback(|_| async {
            Response::builder().header("x-graticule-region", "mars").body(full("")).unwrap()
        })
        .await;
        let document = tenant("acme", &["DE"], &[("eu", backend.address)]);
        let secret = document.replace("[[match]]", "expose_region = false\n[[match]]");
        let hidden = Site::new(snapshot(policy(&[secret]), ("node-1", "eu"), &[]));
        assert!(values(&hidden.get("/", "").await, "x-graticule-region").is_empty());
        let shown = Site::new(snapshot(policy(&[document]), ("node-1", "eu"), &[]));
        assert_eq!(values(&shown.get("/", "").await, "x-graticule-region"), ["eu"]);
    });
}

#[test]
fn hop_by_hop_headers_of_a_backend_go_no_further() {
    run(async {
        let backend = Backend::on_loopback(|_| async {
            let answer = Response::builder().header("connection", "x-private").header("x-private", "1");
            answer.header("keep-alive", "timeout=5").header("x-kept", "yes").body(full("ok")).unwrap()
        })
        .await;
        let site = Site::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        let answer = site.get("/", "").await;
        assert_eq!(values(&answer, "x-kept"), ["yes"]);
        assert!(values(&answer, "x-private").is_empty() && values(&answer, "keep-alive").is_empty());
    });
}

#[test]
fn a_backends_older_version_is_not_the_clients_business() {
    run(async {
        let backend = Backend::on_loopback(|_| async {
            Response::builder().version(http::Version::HTTP_10).body(full("ok")).unwrap()
        })
        .await;
        let site = Site::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        let answer = site.get("/", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(body(&answer), "ok");
    });
}

#[test]
fn what_breaks_the_rules_is_refused_with_its_reason() {
    run(async {
        let site = Site::new(snapshot(acme(&["DE"], &[("eu", nowhere())]), ("node-1", "eu"), &[]));
        assert_refused(&site.ask("CONNECT", "acme.example:443", "").await, Reason::NotSupported);
        let coded = "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
        assert_refused(&site.ask("POST", "/", coded).await, Reason::NotSupported);
        assert_refused(&site.get("acme.example", "").await, Reason::BadRequest);
        assert_refused(&site.ask("PRI", "/", "").await, Reason::BadRequest);
        for path in ["/a/../b", "/%2e%2e/b", "/a%", "/a%00", "/a%5cb"] {
            assert_refused(&site.get(path, "").await, Reason::BadRequest);
        }
        assert_refused(&site.get("/", "host: other.example\r\n").await, Reason::BadRequest);
        let looped = "via: 1.1 node-1, 1.1 edge-2, 1.1 node-1, 1.1 node-1, 1.1 node-1\r\n";
        assert_refused(&site.get("/", looped).await, Reason::BadRequest);
        let unknown = raw(site.address, "GET / HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n");
        assert_refused(&unknown.await, Reason::UnknownTenant);
        let long = format!("/{}", "x".repeat(17 * 1024));
        assert!([414, 431].contains(&status(&site.get(&long, "").await)));
    });
}

#[test]
fn a_refusal_carries_the_requests_id() {
    run(async {
        let site = Site::new(snapshot(acme(&["US"], &[("us", nowhere())]), ("node-1", "eu"), &[]));
        let answer = site.get("/", "x-request-id: id-7\r\n").await;
        assert_refused(&answer, Reason::NoCompliantRegion);
        assert_eq!(values(&answer, "x-request-id"), ["id-7"]);
        assert!(body(&answer).contains("\"request_id\":\"id-7\""), "{answer}");
    });
}

#[test]
fn where_a_tenant_may_not_be_received_nothing_is_read() {
    run(async {
        let document = tenant("acme", &["US"], &[("us", nowhere())]);
        let document = document.replace("[residency]\n", "[residency]\nreceive = \"allowed\"\n");
        let site = Site::new(snapshot(policy(&[document]), ("node-1", "eu"), &[]));
        // The body never comes.
        let answer = site.ask("POST", "/", "content-length: 10\r\nexpect: 100-continue\r\n").await;
        assert_refused(&answer, Reason::ReceiveNotAllowed);
        assert!(!answer.starts_with("HTTP/1.1 100"));
    });
}

#[test]
fn an_expecting_client_is_told_to_go_on_and_the_backend_is_not_asked() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let site = Site::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        let answer = site.ask("POST", "/", "content-length: 4\r\nexpect: 100-continue\r\n\r\nbody").await;
        let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").expect("it is told to go on");
        assert!(body(answer).ends_with("\n\nbody"), "{answer}");
        assert!(!body(answer).contains("expect"), "{answer}");
    });
}

/// A backend that answers when it is told to.
async fn patient() -> (Backend, Rc<tokio::sync::Notify>) {
    let waiting = Rc::new(tokio::sync::Notify::new());
    let there = Rc::clone(&waiting);
    let backend = Backend::on_loopback(move |_| {
        let waiting = Rc::clone(&there);
        async move {
            waiting.notified().await;
            Response::new(full("done"))
        }
    });
    (backend.await, waiting)
}

#[test]
fn a_node_at_its_limit_refuses() {
    run(async {
        let (backend, waiting) = patient().await;
        let policy = acme(&["DE"], &[("eu", backend.address)]);
        let site = Site::with_limit(snapshot(policy, ("node-1", "eu"), &[]), 1);
        let refused = async {
            eventually("the first is there", || backend.seen.requests.get() == 1).await;
            assert_refused(&site.get("/", "").await, Reason::Overloaded);
            waiting.notify_one();
        };
        let (first, ()) = tokio::join!(site.get("/", ""), refused);
        assert_eq!(body(&first), "done");
        eventually("and is counted no longer", || site.gateway.in_flight.count() == 0).await;
    });
}

#[test]
fn a_client_that_goes_away_is_noticed_at_the_backend_and_counted_no_longer() {
    run(async {
        let backend = Backend::on_loopback(|_| std::future::pending()).await;
        let site = Site::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        tokio::select! {
            _ = site.get("/", "") => panic!("there is no answer"),
            () = eventually("it is there", || backend.seen.open.get() == 1) => {}
        }
        eventually("it is gone", || backend.seen.open.get() == 0).await;
        eventually("it is not counted", || site.gateway.in_flight.count() == 0).await;
    });
}
