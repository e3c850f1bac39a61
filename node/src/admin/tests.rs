//! What the admin API answers, asked over its socket and through another node, and to how many.

use std::net::SocketAddr;

use std::time::Duration;

use graticule_gossip_core::{Announcement, Generation, Member, MeshAddress};
use graticule_node_api as api;
use graticule_node_core::leaving::LeavingSettings;
use graticule_node_core::mesh::PeerId;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::shared::{Refusal, Reloadable};
use crate::task::{self, Task};
use crate::testing::{LOOPBACK, policy, raw, run, snapshot, target, tenant};
use crate::world::World;

mod described;
mod events;
mod tokens;

/// An admin server of `node-1` in `eu`, which knows `edge-1` in `us`.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) state: AdminState,
    pub(super) calls: mpsc::Receiver<RemoteCall>,
    _task: Task,
}

fn member(node: &str, region: &str, alive: bool) -> Member {
    let announcement = Announcement {
        node: node.parse().unwrap(),
        region: region.parse().unwrap(),
        generation: Generation(7),
        mesh: MeshAddress { base: "192.0.2.1:7400".parse().unwrap(), workers: 2 },
        software: "0.1.0".to_owned(),
        fleet_version: 3,
        policy_digest: "ab".repeat(32),
        draining: false,
    };
    Member { announcement, alive }
}

pub(super) fn state() -> (AdminState, mpsc::Receiver<RemoteCall>) {
    let backend = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let documents = [
        tenant("acme", &["DE"], &[("eu", backend(1))]),
        tenant("beta", &["US"], &[("us", backend(2))])
            + "[[route]]\npath_prefix = \"/eu\"\nresidency = { allow = [\"country:DE\"] }\n",
    ];
    let edge = target(0, "edge-1", "us", "192.0.2.1:7400".parse().unwrap());
    let (shared, _refusals) =
        Shared::new(snapshot(policy(&documents), ("node-1", "eu"), std::slice::from_ref(&edge)), 1);
    let mut left = member("left-1", "us", false);
    left.announcement.draining = true;
    let members =
        [member("node-1", "eu", true), member("edge-1", "us", true), member("old-1", "us", false), left];
    let members = members.into_iter().map(|member| (member.announcement.node.clone(), member)).collect();
    let status = |id, reason: Option<&str>| TunnelStatus {
        id: PeerId(id),
        node: format!("edge-{}", id + 1).parse().unwrap(),
        region: edge.region.clone(),
        address: edge.base,
        reason: reason.map(str::to_owned),
        rtt: Some(std::time::Duration::from_micros(1_500)),
        load: 0.5,
    };
    let tunnels = vec![status(0, None), status(1, Some("no answer"))];
    let (remote, calls) = mpsc::channel(1);
    let shared = Arc::new(shared);
    let settings = LeavingSettings { delay: Duration::from_secs(5), deadline: Duration::from_secs(25) };
    let state = AdminState {
        departure: Arc::new(Departure::new(&World::system(), Arc::clone(&shared), settings)),
        shared,
        view: watch::channel(Arc::new(View { members })).1,
        tunnels: watch::channel(Arc::new(tunnels)).1,
        remote,
        node: "node-1".parse().unwrap(),
        region: "eu".parse().unwrap(),
        clock: World::system().clock,
        http: "127.0.0.1:8080".parse().unwrap(),
        https: Some("127.0.0.1:8443".parse().unwrap()),
        metrics: MetricsPage::new(|| "graticule_ready 1\n".to_owned()),
        access: Arc::new(Access::new(Vec::new())),
        subscribers: Arc::default(),
    };
    (state, calls)
}

pub(super) fn start() -> Server {
    start_within(LIMITS)
}

fn start_within(limits: Limits) -> Server {
    start_with(limits, |_| {})
}

fn start_with(limits: Limits, change: impl FnOnce(&mut AdminState)) -> Server {
    let (mut state, calls) = state();
    change(&mut state);
    let listener = World::system().net.listen(LOOPBACK, false).unwrap();
    let address = listener.local_address().unwrap();
    let task = task::spawn("admin", serve(listener, state.clone(), limits));
    Server { address, state, calls, _task: task }
}

impl Server {
    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = raw(self.address, &request).await;
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

#[test]
fn health_and_readiness_say_who_and_whether() {
    run(async {
        let server = start();
        let (status, health) = server.get("/v1/health").await;
        assert_eq!((status, &health["node"], &health["region"]), (200, &"node-1".into(), &"eu".into()));
        assert_eq!(server.get("/v1/ready").await, (200, serde_json::json!({"ready": true, "reasons": []})));
        server.state.shared.drain.begin();
        let draining = serde_json::json!({"ready": false, "reasons": ["draining"]});
        assert_eq!(server.get("/v1/ready").await, (503, draining));
        server.state.shared.drain.end();
        server.state.shared.joining.send_replace(true);
        let joining = serde_json::json!({"ready": false, "reasons": ["joining"]});
        assert_eq!(server.get("/v1/ready").await, (503, joining));
    });
}

#[test]
fn nodes_are_those_of_the_view() {
    run(async {
        let (status, nodes) = start().get("/v1/nodes").await;
        let nodes: Vec<api::Node> = serde_json::from_value(nodes).unwrap();
        assert_eq!(status, 200);
        let said: Vec<_> = nodes
            .iter()
            .map(|node| (node.name.as_str(), node.state.as_str(), node.alive, node.this))
            .collect();
        assert_eq!(
            said,
            [
                ("edge-1", "alive", true, false),
                ("left-1", "left", false, false),
                ("node-1", "alive", true, true),
                ("old-1", "dead", false, false)
            ]
        );
        assert_eq!((nodes[0].generation, nodes[0].workers), (7, 2));
    });
}

#[test]
fn regions_say_what_is_known_of_them() {
    run(async {
        let (_, regions) = start().get("/v1/regions").await;
        let regions: Vec<api::Region> = serde_json::from_value(regions).unwrap();
        let said: Vec<_> = regions
            .iter()
            .map(|region| (region.name.as_str(), region.this, region.peers, region.peers_usable))
            .collect();
        assert_eq!(said, [("asia", false, 0, 0), ("eu", true, 0, 0), ("us", false, 1, 1)]);
        assert!(regions[1].distance_km.abs() < 0.001);
        assert!((6_000.0..7_500.0).contains(&regions[2].distance_km), "{}", regions[2].distance_km);
        assert!((regions[2].cost_ms - 1.0).abs() < 0.001);
    });
}

#[test]
fn tenants_pools_and_tunnels_are_shown() {
    run(async {
        let server = start();
        let (_, tenants) = server.get("/v1/tenants").await;
        assert_eq!(tenants[0]["id"], "acme");
        assert_eq!(tenants[0]["tiers"], serde_json::json!([["eu"]]));
        assert_eq!(tenants[1]["pools"], serde_json::json!(["us"]));
        let (_, pools) = server.get("/v1/pools").await;
        let expected = serde_json::json!([{
            "tenant": "acme", "name": null, "panic": false,
            "requests": 0, "requests_max": 1024, "connecting": 0, "connecting_max": 256,
            "backends": [{
                "address": "127.0.0.1:1", "weight": 1, "healthy": true,
                "condition": "usable", "ejected_for_ms": null, "failures": 0,
                "last_failure": null,
            }],
        }]);
        assert_eq!(pools, expected, "only those of this region");
        let (_, tunnels) = server.get("/v1/tunnels").await;
        assert_eq!((&tunnels[0]["condition"], &tunnels[0]["rtt_ms"]), (&"usable".into(), &1.5.into()));
        assert_eq!(
            (&tunnels[1]["condition"], &tunnels[1]["reason"]),
            (&"unreachable".into(), &"no answer".into())
        );
    });
}

#[test]
fn what_is_refused_is_told_with_its_reasons_and_of_the_tenant() {
    run(async {
        let server = start();
        let (status, reloads) = server.get("/v1/reloads").await;
        assert_eq!(
            (status, &reloads[1]["what"], &reloads[1]["successful"]),
            (200, &"documents".into(), &true.into())
        );
        let refusal =
            Refusal { kept: vec!["beta".parse().unwrap()], ..Refusal::of(["beta.toml:1:1: error: x"]) };
        server.state.shared.reloads.tell(Reloadable::Documents, server.state.clock.now(), Some(refusal));
        let (_, reloads) = server.get("/v1/reloads").await;
        let told = &reloads[1];
        assert_eq!((&told["successful"], &told["kept"]), (&false.into(), &serde_json::json!(["beta"])));
        assert_eq!(told["errors"], serde_json::json!(["beta.toml:1:1: error: x"]));
        assert!(told["refused_for_ms"].as_u64().unwrap() < 60_000, "{told}");
        let (_, tenants) = server.get("/v1/tenants").await;
        assert_eq!((&tenants[0]["kept"], &tenants[1]["kept"]), (&false.into(), &true.into()));
    });
}

#[test]
fn what_is_not_there_or_not_a_get_is_a_problem() {
    run(async {
        let server = start();
        let (status, problem) = server.get("/v2/health").await;
        assert_eq!((status, &problem["type"]), (404, &"urn:graticule:admin:unknown-path".into()));
        assert!(problem["detail"].as_str().unwrap().contains("/v2/health"));
        assert_eq!(server.ask("POST", "/v1/health").await.0, 405);
        assert_eq!(server.ask("DELETE", "/v1/tenants").await.0, 405);
    });
}

#[test]
fn why_answers_for_this_node() {
    run(async {
        let server = start();
        let (status, why) = server.get("/v1/why?tenant=acme").await;
        assert_eq!((status, &why["decision"], &why["region"]), (200, &"local".into(), &"eu".into()));
        assert_eq!(why["candidates"].as_array().unwrap().len(), 3, "every region");
        let (_, why) = server.get("/v1/why?tenant=beta&ip=198.51.100.7&edge=node-1&path=/x").await;
        assert_eq!(
            (&why["decision"], &why["region"], &why["path"]),
            (&"relay".into(), &"us".into(), &"/x".into())
        );
        assert_eq!(why["record_here"], false);
        for path in ["/eu/x", "/%65u", "//eu", "/eu?q"] {
            let (_, why) = server
                .get(&format!("/v1/why?tenant=beta&path={}", path.replace('%', "%25").replace('?', "%3F")))
                .await;
            assert_eq!(why["reason"], "no-compliant-region", "{path}: {why}");
        }
    });
}

#[test]
fn why_says_what_is_wrong_with_a_question() {
    run(async {
        let server = start();
        for (query, status, kind) in [
            ("tenant=nobody", 404, "unknown-tenant"),
            ("tenant=No%20body", 404, "unknown-tenant"),
            ("", 400, "bad-query"),
            ("tenant=acme&ip=x", 400, "bad-query"),
            ("tenant=acme&edge=No%20body", 400, "bad-query"),
            ("tenant=acme&path=x", 400, "bad-query"),
            ("tenant=acme&path=/a/../b", 400, "bad-query"),
        ] {
            let (got, problem) = server.get(&format!("/v1/why?{query}")).await;
            assert_eq!(
                (got, &problem["type"]),
                (status, &format!("urn:graticule:admin:{kind}").into()),
                "{query}"
            );
        }
    });
}

#[test]
fn a_question_that_cannot_be_read_or_passed_on_is_told_in_words_about_it() {
    run(async {
        let mut server = start();
        for (query, said) in [
            ("", "missing field `tenant`; expected tenant=ID"),
            ("tenant=acme&ip=x", "invalid IP address"),
            (
                &*format!("tenant=acme&edge=edge-1&path=/{}", "a".repeat(2_048)),
                "too long to be passed on to `edge-1`",
            ),
        ] {
            let (status, problem) = server.get(&format!("/v1/why?{query}")).await;
            let detail = problem["detail"].as_str().unwrap();
            assert_eq!(
                (status, &problem["type"]),
                (400, &"urn:graticule:admin:bad-query".into()),
                "{detail}"
            );
            assert!(detail.contains(said) && !detail.contains("deserialize"), "{detail}");
        }
        assert!(server.calls.try_recv().is_err(), "nobody is asked");
    });
}

#[test]
fn why_of_another_edge_is_asked_there() {
    run(async {
        let mut server = start();
        let there = state().0;
        let answering = async {
            let RemoteCall { node, call, answer } = server.calls.recv().await.unwrap();
            assert_eq!(node.as_str(), "edge-1");
            assert_eq!(call.path, "/v1/why?tenant=acme&edge=edge-1&path=/x");
            answer.send(Ok(answer_remote(&there, &call))).unwrap();
        };
        let asking = raw(
            server.address,
            "GET /v1/why?tenant=acme&edge=edge-1&path=/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        );
        let (answer, ()) = tokio::join!(asking, answering);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"decision\":\"local\""), "{answer}");
    });
}

#[test]
fn an_edge_that_cannot_be_asked_is_a_bad_gateway() {
    run(async {
        let mut server = start();
        let failing = async {
            let call = server.calls.recv().await.unwrap();
            call.answer.send(Err("there is no tunnel to `edge-9`".to_owned())).unwrap();
            drop(server.calls.recv().await.unwrap());
            let call = server.calls.recv().await.unwrap();
            call.answer.send(Ok(AdminAnswer { status: 200, body: "nonsense".into() })).unwrap();
            let call = server.calls.recv().await.unwrap();
            call.answer.send(Ok(AdminAnswer { status: 404, body: b"{}"[..].into() })).unwrap();
        };
        let address = server.address;
        let asking = async {
            let request =
                "GET /v1/why?tenant=acme&edge=edge-9 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            let mut answers = Vec::new();
            for _ in 0..4 {
                answers.push(raw(address, request).await);
            }
            answers
        };
        let (answers, ()) = tokio::join!(asking, failing);
        assert!(answers[0].contains("no tunnel to `edge-9`"), "{}", answers[0]);
        for answer in answers {
            assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("edge-unreachable"), "{answer}");
        }
    });
}

#[test]
fn another_node_may_ask_why_and_no_list_and_is_never_passed_on() {
    run(async {
        let (state, mut calls) = state();
        for path in ["/v1/nodes", "/v1/why", "why", "", "/v1/why?tenant=acme&ip=x"] {
            let answer = answer_remote(&state, &AdminCall { path: path.to_owned(), token: None });
            assert_eq!(answer.status, 400, "{path}");
        }
        let asked = AdminCall { path: "/v1/why?tenant=acme&edge=edge-9".to_owned(), token: None };
        assert_eq!(answer_remote(&state, &asked).status, 200);
        assert!(calls.try_recv().is_err(), "no third node is asked");
        let unknown = AdminCall { path: "/v1/why?tenant=nobody".to_owned(), token: None };
        assert_eq!(answer_remote(&state, &unknown).status, 404);
    });
}

#[test]
fn those_who_ask_nothing_make_room_for_those_who_do() {
    run(async {
        let limits = Limits { connections_max: 2, head_timeout: Duration::from_millis(300), ..LIMITS };
        let server = start_within(limits);
        let mut idle = Vec::new();
        for said in ["", "GET /v1/he"] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            idle.push(stream);
        }
        let begun = tokio::time::Instant::now();
        assert_eq!(server.get("/v1/health").await.0, 200);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        for mut stream in idle {
            let mut byte = [0; 1];
            let read = stream.read(&mut byte);
            tokio::time::timeout(Duration::from_secs(5), read).await.expect("it ends").unwrap_or_default();
        }
    });
}

#[test]
fn a_host_that_only_connects_keeps_no_probe_out_and_no_answer_is_cut_off() {
    run(async {
        let server = start();
        let mut events = TcpStream::connect(server.address).await.unwrap();
        events.write_all(b"GET /v1/events HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut beginning = [0; 12];
        events.read_exact(&mut beginning).await.unwrap();
        let mut idle = Vec::new();
        for _ in 0..LIMITS.connections_max * 3 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(b"G").await.unwrap();
            idle.push(stream);
        }
        let begun = tokio::time::Instant::now();
        for _ in 0..5 {
            assert_eq!(server.get("/v1/health").await.0, 200);
        }
        assert!(begun.elapsed() < LIMITS.head_timeout / 2, "{:?}", begun.elapsed());
        server.state.shared.drain.begin();
        let mut told = String::new();
        while !told.contains("event: ready") {
            let mut piece = [0; 1024];
            let read = events.read(&mut piece).await.unwrap();
            assert!(read > 0, "ended with {told}");
            told.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        drop(idle);
    });
}

#[test]
fn who_takes_no_answer_makes_room_too() {
    run(async {
        let limits = Limits { connections_max: 1, take_timeout: Duration::from_millis(300), ..LIMITS };
        let server = start_within(limits);
        let mut deaf = TcpStream::connect(server.address).await.unwrap();
        // More answers than all buffers between hold.
        let asked = "GET /v1/tenants HTTP/1.1\r\nhost: a\r\n\r\n".repeat(50_000);
        deaf.write_all(asked.as_bytes()).await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(server.get("/v1/health").await.0, 200);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    });
}
