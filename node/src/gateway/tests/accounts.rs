//! What is told of requests when they are over: counters everywhere, lines only where rules allow.

use std::cell::RefCell;

use graticule_node_core::outcome::Role;
use graticule_node_core::shared::{Tallies, Totals};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver};

use super::*;
use crate::shared::{LogMessage, Span};

/// Of a site here; more than one test makes.
const SPANS_PER_SECOND_MAX: u32 = 5;

/// A site whose access log a test reads.
struct Logged {
    site: Site,
    lines: RefCell<Receiver<LogMessage>>,
    spans: Receiver<Span>,
}

impl Logged {
    fn new(snapshot: Snapshot) -> Self {
        Self::with(snapshot, 100)
    }

    /// At a node that takes so many requests at once.
    fn with(mut snapshot: Snapshot, requests_max: u32) -> Self {
        snapshot.tallies = Arc::new(Tallies::new(&snapshot.policy, 1));
        let (sender, lines) = mpsc::channel(100);
        let (traces, spans) = TraceLane::new(0.0, SPANS_PER_SECOND_MAX);
        let access_log = Some(AccessLane::new(sender, Arc::default()));
        let recorders = Recorders { access_log, traces: Some(traces) };
        Self { site: Site::with(snapshot, requests_max, recorders), lines: RefCell::new(lines), spans }
    }

    /// Everything that was written since the last call.
    fn lines(&self) -> Vec<Value> {
        self.site.gateway.flush();
        let mut lines = Vec::new();
        while let Ok(LogMessage::Lines { text, .. }) = self.lines.borrow_mut().try_recv() {
            lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        lines
    }

    fn totals(&self, tenant: Option<u32>, role: Role) -> Totals {
        self.site.gateway.snapshot().tallies.totals(tenant.map(TenantIndex), role)
    }

    async fn until_counted(&self, tenant: Option<u32>, role: Role, requests: u64) {
        let counted = || self.totals(tenant, role).requests() == requests;
        eventually("the request is over", counted).await;
    }
}

/// An edge in `us` and a node in `eu`, both with access logs.
async fn fleet(policy: Policy) -> (Logged, Logged, Pair) {
    let pair = pair().await;
    let peer = target(0, "node-1", "eu", pair.node.endpoint.local_addr().unwrap());
    let edge = Logged::new(snapshot(policy.clone(), ("edge-1", "us"), std::slice::from_ref(&peer)));
    let mut node = Logged::new(snapshot(policy, ("node-1", "eu"), &[]));
    keep(&edge.site, &[peer], &pair);
    let serving = serve_connection(
        pair.node.connection.clone(),
        Rc::clone(&node.site.gateway),
        Backlog::new(Arc::default()),
    );
    node.site.tasks.push(task::spawn("serving", serving));
    (edge, node, pair)
}

#[test]
fn a_line_tells_what_became_of_a_request_at_both_ends_of_a_tunnel() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let (edge, node, _pair) = fleet(acme(&["DE", "US"], &[("eu", backend.address)])).await;
        let answer =
            edge.site.ask("POST", "/a?secret=1", "x-request-id: id-7\r\ncontent-length: 3\r\n\r\nabc").await;
        assert_eq!(status(&answer), 200, "{answer}");
        edge.until_counted(Some(0), Role::Edge, 1).await;
        node.until_counted(Some(0), Role::Serving, 1).await;
        let (at_edge, at_node) = (edge.lines().remove(0), node.lines().remove(0));
        for (line, role, regions, decision) in [
            (&at_edge, "edge", serde_json::json!(["us", "eu"]), "relay"),
            (&at_node, "serving", serde_json::json!(["eu"]), "serve"),
        ] {
            assert_eq!((&line["role"], &line["decision"]), (&role.into(), &decision.into()), "{line}");
            assert_eq!(line["regions"], regions);
            assert_eq!((&line["tenant"], &line["status"]), (&"acme".into(), &200.into()), "{line}");
            assert_eq!((&line["bytes_up"], &line["complete"]), (&3.into(), &true.into()), "{line}");
            assert_eq!(line["bytes_down"], body(&answer).len(), "{line}");
            assert_eq!((&line["method"], &line["path"]), (&"POST".into(), &"/a".into()), "no query: {line}");
            assert_eq!(line["request_id"], "id-7");
            assert!(line["duration_ms"].as_f64() >= line["first_byte_ms"].as_f64(), "{line}");
        }
        assert_eq!(at_edge["client"], "127.0.0.0/24");
        assert!(at_edge["accepted_ms"].as_f64() <= at_edge["first_byte_ms"].as_f64(), "{at_edge}");
        assert_eq!(at_node["accepted_ms"], Value::Null);
        let totals = node.totals(Some(0), Role::Serving);
        assert_eq!((totals.classes[1], totals.bytes_up, totals.broken), (1, 3, 0));
    });
}

/// What is written of a request during which other documents become active.
async fn overtaken_by(next: impl FnOnce(SocketAddr) -> Policy) -> Vec<Value> {
    let backend = Backend::on_loopback(echo).await;
    let policy = acme(&["US"], &[("us", backend.address)]);
    let edge = Logged::new(snapshot(policy, ("edge-1", "us"), &[]));
    let mut client = tokio::net::TcpStream::connect(edge.site.address).await.unwrap();
    let begun = "POST /a HTTP/1.1\r\nhost: acme.example\r\nconnection: close\r\ncontent-length: 3\r\n\r\na";
    client.write_all(begun.as_bytes()).await.unwrap();
    let shared = Arc::clone(&edge.site.gateway.shared);
    eventually("it is under way", || shared.in_flight.total() == 1).await;
    let next = Arc::new(next(backend.address));
    shared.update(|snapshot| {
        snapshot.tallies = Arc::new(snapshot.tallies.follow(&snapshot.policy, &next));
        snapshot.policy = next;
    });
    client.write_all(b"bc").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
    eventually("it is over", || shared.in_flight.total() == 0).await;
    edge.lines()
}

#[test]
fn a_request_that_outlives_its_tenants_rules_is_recorded_by_the_old_and_the_new() {
    run(async {
        let lines = overtaken_by(|backend| acme(&["US", "DE"], &[("us", backend)])).await;
        assert_eq!((lines.len(), &lines[0]["path"]), (1, &"/a".into()), "both allow it");
        let lines = overtaken_by(|backend| acme(&["DE"], &[("eu", backend)])).await;
        assert_eq!(lines, Vec::<Value>::new(), "it may not be recorded here any more");
        assert_eq!(
            overtaken_by(|_| policy(&[])).await,
            Vec::<Value>::new(),
            "nobody knows the tenant any more"
        );
    });
}

#[test]
fn an_edge_where_a_tenant_may_not_be_recorded_only_counts() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let (edge, node, _pair) = fleet(acme(&["DE"], &[("eu", backend.address)])).await;
        assert_eq!(status(&edge.site.get("/private", "").await), 200);
        edge.until_counted(Some(0), Role::Edge, 1).await;
        node.until_counted(Some(0), Role::Serving, 1).await;
        assert_eq!(edge.lines(), Vec::<Value>::new());
        assert_eq!(node.lines()[0]["path"], "/private", "its own region may");
    });
}

#[test]
fn of_nobodys_request_a_line_has_neither_address_nor_path() {
    run(async {
        let logged = Logged::new(snapshot(acme(&["DE"], &[("eu", nowhere())]), ("node-1", "eu"), &[]));
        let request = "GET /private HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n";
        assert_refused(&raw(logged.site.address, request).await, Reason::UnknownTenant);
        logged.until_counted(None, Role::Edge, 1).await;
        let line = logged.lines().remove(0);
        assert_eq!((&line["reason"], &line["tenant"]), (&"unknown-tenant".into(), &Value::Null));
        assert!(!line.to_string().contains("private") && !line.to_string().contains("127.0.0"), "{line}");
        assert_eq!(logged.totals(None, Role::Edge).reasons[Reason::UnknownTenant as usize], 1);
    });
}

#[test]
fn the_node_that_asks_a_backend_says_which_and_after_how_many() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let document = tenant("acme", &["DE", "US"], &[("eu", backend.address)]);
        // Taken until the fleet has its ports.
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let one = format!("\"{}\"", backend.address);
        let both = format!("{one}, \"{}\"", dead.local_addr().unwrap());
        let document = document.replace(&one, &both);
        assert!(document.contains(&both), "{document}");
        let (edge, node, _pair) = fleet(policy(&[document])).await;
        drop(dead);
        // The dead one is tried first once, whatever chance says: nothing is known of either.
        for _ in 0..2 {
            assert_eq!(status(&edge.site.get("/", "").await), 200);
        }
        edge.until_counted(Some(0), Role::Edge, 2).await;
        node.until_counted(Some(0), Role::Serving, 2).await;
        let mut attempts = Vec::new();
        for line in node.lines() {
            assert_eq!(line["pool"], "default", "{line}");
            assert_eq!(line["backend"], backend.address.to_string(), "{line}");
            attempts.push(line["backend_attempts"].as_u64().unwrap());
        }
        attempts.sort_unstable();
        assert_eq!(attempts, [1, 2]);
        for line in edge.lines() {
            assert!(line.get("backend").is_none() && line.get("pool").is_none(), "it asked a node: {line}");
        }
    });
}

#[test]
fn a_tenant_says_how_much_of_an_address_is_kept() {
    run(async {
        for (mask, written) in [("full", Value::from("127.0.0.1")), ("none", Value::Null)] {
            let backend = Backend::on_loopback(echo).await;
            let document = tenant("acme", &["DE"], &[("eu", backend.address)]);
            let record = format!("record = {{ address = \"{mask}\" }}\n[[match]]");
            let policy = policy(&[document.replace("[[match]]", &record)]);
            let logged = Logged::new(snapshot(policy, ("node-1", "eu"), &[]));
            logged.site.get("/", "").await;
            logged.until_counted(Some(0), Role::Edge, 1).await;
            assert_eq!(logged.lines().remove(0).get("client").cloned().unwrap_or_default(), written);
        }
    });
}

#[test]
fn a_client_that_leaves_early_is_told_of_and_an_answer_cut_short_too() {
    run(async {
        let backend = Backend::on_loopback(|request: Request<Incoming>| async move {
            if request.uri().path() == "/never" {
                std::future::pending::<()>().await;
            }
            let endless = crate::pool::testing::Endless(Arc::default());
            Response::new(endless.map_err(Into::into).boxed_unsync())
        })
        .await;
        let logged = Logged::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        for (path, requests) in [("/never", 1), ("/cut", 2)] {
            let mut stream = tokio::net::TcpStream::connect(logged.site.address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: acme.example\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            if path == "/cut" {
                let mut some = [0; 16];
                stream.read_exact(&mut some).await.unwrap();
            } else {
                eventually("the backend is asked", || backend.seen.requests.get() == 1).await;
            }
            drop(stream);
            logged.until_counted(Some(0), Role::Edge, requests).await;
        }
        let lines = logged.lines();
        assert_eq!((&lines[0]["status"], &lines[0]["complete"]), (&Value::Null, &false.into()), "{lines:?}");
        assert_eq!((&lines[1]["status"], &lines[1]["complete"]), (&200.into(), &false.into()), "{lines:?}");
        let totals = logged.totals(Some(0), Role::Edge);
        assert_eq!((totals.classes[5], totals.classes[1], totals.broken), (1, 1, 2));
    });
}

#[test]
fn what_is_refused_before_it_is_anybodys_is_told_of_too() {
    run(async {
        let site = |requests_max| {
            let snapshot = snapshot(acme(&["DE"], &[("eu", nowhere())]), ("node-1", "eu"), &[]);
            Logged::with(snapshot, requests_max)
        };
        for (requests_max, request, reason) in [
            (
                0,
                "GET /private HTTP/1.1\r\nhost: acme.example\r\nconnection: close\r\n\r\n",
                Reason::Overloaded,
            ),
            (100, "CONNECT acme.example:443 HTTP/1.1\r\nhost: acme.example\r\n\r\n", Reason::NotSupported),
            (100, "GET /private HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n", Reason::BadRequest),
            (100, "GET /private HTTP/1.1\r\nno colon\r\n\r\n", Reason::BadRequest),
        ] {
            let logged = site(requests_max);
            raw(logged.site.address, request).await;
            logged.until_counted(None, Role::Edge, 1).await;
            assert_eq!(logged.totals(None, Role::Edge).reasons[reason as usize], 1, "{request}");
            let lines = logged.lines();
            let [line] = lines.as_slice() else { panic!("{request}: {lines:?}") };
            assert_eq!((&line["decision"], &line["reason"]), (&"refuse".into(), &reason.row().label.into()));
            assert_eq!(
                (&line["status"], &line["regions"]),
                (&reason.row().status.into(), &vec!["eu"].into())
            );
            assert_eq!((line.get("client"), line.get("path")), (None, None), "{line}");
        }
    });
}

#[test]
fn a_relayed_request_that_is_refused_at_once_is_told_of_without_saying_whose() {
    run(async {
        let (edge, node, _pair) = fleet(acme(&["DE", "US"], &[("eu", nowhere())])).await;
        node.site.gateway.shared.drain.close();
        assert_eq!(status(&edge.site.get("/private", "").await), 503);
        node.until_counted(Some(0), Role::Serving, 1).await;
        let line = node.lines().remove(0);
        assert_eq!((&line["role"], &line["protocol"]), (&"serving".into(), &"tunnel".into()), "{line}");
        assert_eq!((&line["reason"], &line["tenant"]), (&"draining".into(), &Value::Null), "{line}");
        assert!(line.get("client").is_none() && line.get("path").is_none(), "{line}");
    });
}

#[test]
fn a_refusal_after_acceptance_is_no_broken_answer() {
    run(async {
        let (edge, node, _pair) = fleet(acme(&["DE", "US"], &[("eu", nowhere())])).await;
        assert_refused(&edge.site.get("/", "").await, Reason::BackendUnreachable);
        edge.until_counted(Some(0), Role::Edge, 1).await;
        node.until_counted(Some(0), Role::Serving, 1).await;
        let line = edge.lines().remove(0);
        assert_eq!((&line["decision"], &line["reason"]), (&"relay".into(), &"backend-unreachable".into()));
        assert_eq!(line["regions"], serde_json::json!(["us", "eu"]), "{line}");
        let line = node.lines().remove(0);
        assert_eq!((&line["decision"], &line["reason"]), (&"serve".into(), &"backend-unreachable".into()));
        assert_eq!((&line["status"], &line["complete"]), (&502.into(), &true.into()), "{line}");
        assert_eq!(node.totals(Some(0), Role::Serving).broken, 0);
        assert_eq!(edge.totals(Some(0), Role::Edge).broken, 0);
    });
}

/// A client's executor.
#[derive(Debug, Clone, Copy)]
struct Beside;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Beside {
    fn execute(&self, future: F) {
        task::spawn_detached("client stream", Box::pin(future));
    }
}

#[test]
fn a_line_tells_by_which_protocol_a_request_came() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let logged = Logged::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        let stream = TokioIo::new(tokio::net::TcpStream::connect(logged.site.address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http2::handshake(Beside, stream).await.unwrap();
        let _driver = task::spawn("client", async move { drop(connection.await) });
        let request = Request::post("http://acme.example/2").body(full("abc")).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let answered = answer.into_body().collect().await.unwrap().to_bytes().len();
        logged.until_counted(Some(0), Role::Edge, 1).await;
        logged.site.get("/1.1", "").await;
        raw(logged.site.address, "GET /1.0 HTTP/1.0\r\nhost: acme.example\r\n\r\n").await;
        logged.until_counted(Some(0), Role::Edge, 3).await;
        let lines = logged.lines();
        for (line, version) in lines.iter().zip(["2", "1.1", "1.0"]) {
            assert_eq!(line["path"], format!("/{version}"));
            assert_eq!(line["protocol"], format!("HTTP/{version}"), "{line}");
            assert_eq!((&line["status"], &line["complete"]), (&200.into(), &true.into()), "{line}");
        }
        assert_eq!((&lines[0]["bytes_up"], &lines[0]["bytes_down"]), (&3.into(), &answered.into()));
    });
}

/// A backend that answers with an upgrade, and then every byte with the same one.
async fn upgrading() -> (SocketAddr, Task) {
    let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = task::spawn("upgrading backend", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
            stream.write_all(switch.as_bytes()).await.unwrap();
            let (mut reader, mut writer) = stream.split();
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        }
    });
    (address, serving)
}

#[test]
fn an_upgraded_connection_is_told_of_at_its_end_with_all_that_it_has_carried() {
    run(async {
        let (backend, _serving) = upgrading().await;
        let (edge, node, _pair) = fleet(acme(&["DE", "US"], &[("eu", backend)])).await;
        let mut stream = tokio::net::TcpStream::connect(edge.site.address).await.unwrap();
        let asked =
            "GET /chat HTTP/1.1\r\nhost: acme.example\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(asked.as_bytes()).await.unwrap();
        stream.write_all(b"abcde").await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"abcde") {
            got.push(stream.read_u8().await.unwrap());
        }
        assert_eq!(edge.totals(Some(0), Role::Edge).requests(), 0, "it is not over");
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "its end is passed on");
        edge.until_counted(Some(0), Role::Edge, 1).await;
        node.until_counted(Some(0), Role::Serving, 1).await;
        for (line, protocol) in [(edge.lines().remove(0), "HTTP/1.1"), (node.lines().remove(0), "tunnel")] {
            assert_eq!((&line["status"], &line["protocol"]), (&101.into(), &protocol.into()), "{line}");
            assert_eq!((&line["bytes_up"], &line["bytes_down"]), (&5.into(), &5.into()), "{line}");
            assert_eq!(line["complete"], true, "{line}");
        }
    });
}

#[test]
fn what_a_tenants_own_wishes_end_at_the_edge_was_sent_nowhere() {
    run(async {
        for (wish, status, decision, reason) in [
            ("limits = { body_bytes_max = 2 }", 413, "refuse", "body-too-large".into()),
            ("redirect_http = true", 308, "redirect", Value::Null),
        ] {
            let document = tenant("acme", &["DE"], &[("eu", nowhere())]);
            let policy = policy(&[document.replace("[[match]]", &format!("{wish}\n[[match]]"))]);
            let logged = Logged::new(snapshot(policy, ("node-1", "eu"), &[]));
            logged.site.ask("POST", "/", "content-length: 3\r\n\r\nabc").await;
            logged.until_counted(Some(0), Role::Edge, 1).await;
            let line = logged.lines().remove(0);
            assert_eq!((&line["decision"], &line["reason"]), (&decision.into(), &reason), "{line}");
            assert_eq!((&line["status"], &line["attempts"]), (&status.into(), &0.into()), "{line}");
            assert_eq!((&line["complete"], &line["path"]), (&true.into(), &"/".into()), "{line}");
        }
    });
}

#[test]
fn clients_who_want_every_request_traced_get_so_many_spans_and_no_gap_in_the_others() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let mut logged =
            Logged::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        let (mut spans, mut passed_on) = (0, 0);
        while passed_on == 0 && spans < 100 {
            let answer = logged.site.get("/", TRACE).await;
            logged.until_counted(Some(0), Role::Edge, spans + passed_on + 1).await;
            if let Ok(span) = logged.spans.try_recv() {
                assert_eq!(parent_at_backend(&answer), span.id);
                spans += 1;
            } else {
                assert_eq!(parent_at_backend(&answer), 0xb7ad_6b71_6920_3331, "the client's");
                passed_on += 1;
            }
        }
        assert_eq!(passed_on, 1, "all of {spans} had a span");
        let traces = logged.site.gateway.recorders.traces.as_ref().unwrap();
        assert_eq!(traces.counts().results()[3], ("limited", 1));
    });
}

const TRACE: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";

/// The `traceparent` that a backend got.
fn parent_at_backend(answer: &str) -> u64 {
    let line = answer.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    assert!(line.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && line.ends_with("-01"), "{line}");
    u64::from_str_radix(line.split('-').nth(2).unwrap(), 16).unwrap()
}

#[test]
fn a_request_through_two_nodes_is_one_trace_under_the_clients_span() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let (mut edge, mut node, _pair) = fleet(acme(&["DE", "US"], &[("eu", backend.address)])).await;
        let answer = edge.site.get("/", TRACE).await;
        let (at_edge, at_node) = (edge.spans.recv().await.unwrap(), node.spans.recv().await.unwrap());
        assert_eq!(
            (at_edge.trace, at_node.trace),
            (at_edge.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c)
        );
        assert_eq!(at_edge.parent, Some(0xb7ad_6b71_6920_3331), "the client's");
        assert_eq!(at_node.parent, Some(at_edge.id));
        assert_eq!(parent_at_backend(&answer), at_node.id);
        assert_ne!(at_edge.id >> 32, 0, "ids have 64 bits");
        let lines = (edge.lines().remove(0), node.lines().remove(0));
        assert_eq!(lines.0["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(lines.0["trace_id"], lines.1["trace_id"]);
    });
}

#[test]
fn an_edge_that_may_not_record_leaves_no_gap_in_the_trace() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let (mut edge, mut node, _pair) = fleet(acme(&["DE"], &[("eu", backend.address)])).await;
        edge.site.get("/private", TRACE).await;
        let at_node = node.spans.recv().await.unwrap();
        assert_eq!(at_node.parent, Some(0xb7ad_6b71_6920_3331), "the client's");
        edge.until_counted(Some(0), Role::Edge, 1).await;
        assert!(edge.spans.try_recv().is_err());
    });
}

#[test]
fn what_nobody_records_is_passed_on_as_it_came() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let mut logged =
            Logged::new(snapshot(acme(&["DE"], &[("eu", backend.address)]), ("node-1", "eu"), &[]));
        let answer = logged.site.get("/", &TRACE.replace("-01\r", "-00\r")).await;
        assert!(answer.contains("-b7ad6b7169203331-00\n"), "{answer}");
        logged.site.get("/", "").await;
        logged.until_counted(Some(0), Role::Edge, 2).await;
        assert!(logged.spans.try_recv().is_err(), "and the share of new traces is none");
    });
}
