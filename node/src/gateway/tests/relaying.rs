//! Requests that another region serves, and what becomes of them when it does not.

use std::cell::Cell;

use graticule_node_core::Moment;
use graticule_node_core::policy::HealthCheck;
use graticule_node_core::pool::{CheckFailure, CheckTarget, Names, PoolStates, Pools};

use super::*;

#[test]
fn a_request_is_relayed_to_the_region_that_may_serve_it() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let policy = || acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(policy(), policy()).await;
        let answer = fleet.edge.ask("POST", "/x?y", "content-length: 4\r\n\r\nbody").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(values(&answer, "x-graticule-region"), ["eu"]);
        assert_eq!(values(&answer, "via"), ["1.1 node-1", "1.1 edge-1"]);
        let seen = body(&answer);
        assert!(seen.starts_with("POST /x?y\n") && seen.ends_with("\n\nbody"), "{seen}");
        assert!(seen.contains("host: acme.example\n"));
        assert!(seen.contains("via: 1.1 edge-1\nvia: 1.1 node-1\n"), "{seen}");
        eventually("nothing is counted", || fleet.node.gateway.in_flight.count() == 0).await;
    });
}

#[test]
fn a_chunked_body_and_an_answer_to_head_cross_a_tunnel() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let policy = || acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(policy(), policy()).await;
        let chunked = "transfer-encoding: chunked\r\n\r\n3\r\nbod\r\n1\r\ny\r\n0\r\n\r\n";
        let answer = fleet.edge.ask("PUT", "/", chunked).await;
        assert!(body(&answer).ends_with("\n\nbody"), "{answer}");
        let head = fleet.edge.ask("HEAD", "/", "").await;
        assert_eq!((status(&head), body(&head)), (200, ""));
        assert_eq!(values(&head, "content-length").len(), 1);
    });
}

#[test]
fn the_serving_nodes_own_rules_are_asked_and_their_refusal_passes_through_the_edges() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        let at_edge = acme(&["DE"], &[("eu", backend.address)]);
        let at_node = acme(&["SG"], &[("eu", backend.address), ("asia", nowhere())]);
        let fleet = Fleet::new(at_edge, at_node).await;
        let answer = fleet.edge.ask("POST", "/", "content-length: 4\r\n\r\nbody").await;
        // No other region may serve it, so that is what is left to say.
        assert_refused(&answer, Reason::NoCompliantRegion);
        assert_eq!(backend.seen.requests.get(), 0);
    });
}

#[test]
fn after_a_refusal_the_next_region_is_asked_with_the_whole_body() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        // The node would not serve it, and the edge's own region is the second choice.
        let document = tenant("acme", &["DE"], &[("eu", nowhere()), ("us", backend.address)]);
        let document = document.replace("allow = ", "fallback = [[\"country:US\"]]\nallow = ");
        let at_node = acme(&["SG"], &[("asia", nowhere())]);
        let fleet = Fleet::new(policy(&[document]), at_node).await;
        let answer = fleet.edge.ask("POST", "/", "content-length: 4\r\n\r\nbody").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(body(&answer).ends_with("\n\nbody"), "{answer}");
        assert!(body(&answer).contains("via: 1.1 edge-1\n") && !body(&answer).contains("node-1"), "{answer}");
    });
}

/// The pools of a node all of whose backends have failed their checks.
fn failed(snapshot: &Snapshot) -> PoolStates {
    let (mut policy, now) = (Policy::clone(&snapshot.policy), Moment::default());
    let pool = &mut Arc::make_mut(&mut policy.tenants[0]).pools[0].1;
    let check = pool.check.insert(HealthCheck::http("/", "acme")).clone();
    let address = pool.backends[0].to_string().parse().unwrap();
    let mut pools = Pools::default();
    pools.adopt(&policy, Some(snapshot.here.region), &Names::default(), now);
    let target = Arc::new(CheckTarget { address, check });
    pools.handle_result(&target, Err(CheckFailure::Broken), now).unwrap();
    pools.states()
}

#[test]
fn a_backend_that_cannot_be_reached_over_there_is_remembered_only_if_it_says_so() {
    run(async {
        let policy = || acme(&["DE"], &[("eu", nowhere())]);
        let mut fleet = Fleet::new(policy(), policy()).await;
        assert_refused(&fleet.edge.get("/", "").await, Reason::BackendUnreachable);
        assert_refused(&fleet.node.get("/", "").await, Reason::BackendUnreachable);
        assert!(fleet.edge.refusals.try_recv().is_err());
        let without = Snapshot::clone(&fleet.node.gateway.shared.snapshot());
        let none = Arc::new(failed(&without));
        fleet.node.gateway.shared.update(|snapshot| snapshot.pools = none);
        assert_refused(&fleet.edge.get("/", "").await, Reason::NoCompliantRegion);
        let (peer, tenant) = fleet.edge.refusals.try_recv().unwrap();
        assert_eq!((peer, tenant.as_str()), (PeerId(0), "acme"));
        drop(without);
    });
}

#[test]
fn a_request_that_only_a_full_pool_could_serve_is_told_of_the_limit() {
    run(async {
        let (backend, waiting) = patient().await;
        let narrow = || {
            let mut policy = acme(&["DE"], &[("eu", backend.address)]);
            Arc::make_mut(&mut policy.tenants[0]).pools[0].1.limits.requests_max = 1;
            policy
        };
        let fleet = Fleet::new(narrow(), narrow()).await;
        let refused = async {
            eventually("the first is there", || backend.seen.requests.get() == 1).await;
            assert_refused(&fleet.edge.get("/", "").await, Reason::Overloaded);
            assert_refused(&fleet.node.get("/", "").await, Reason::Overloaded);
            waiting.notify_one();
        };
        let (first, ()) = tokio::join!(fleet.edge.get("/", ""), refused);
        assert_eq!(body(&first), "done");
    });
}

#[test]
fn attempts_are_bounded() {
    run(async {
        let policy = acme(&["DE"], &[("eu", nowhere())]);
        let pair = pair().await;
        let base = pair.node.endpoint.local_addr().unwrap();
        let peers: Vec<_> = (0..20).map(|id| target(id, &format!("node-{id}"), "eu", base)).collect();
        let edge = Site::new(snapshot(policy, ("edge-1", "us"), &peers));
        keep(&edge, &peers, &pair);
        let streams = Rc::new(Cell::new(0));
        let (seen, connection) = (Rc::clone(&streams), pair.node.connection.clone());
        let _closing = task::spawn("closing", async move {
            while let Ok((mut sender, mut receiver)) = connection.accept_bi().await {
                seen.set(seen.get() + 1);
                let _ = receiver.stop(0u32.into());
                let _ = sender.reset(0u32.into());
            }
        });
        assert_refused(&edge.get("/", "").await, Reason::NoCompliantRegion);
        assert!((2..=8).contains(&streams.get()), "{} attempts", streams.get());
    });
}

#[test]
fn a_pool_that_lets_its_time_pass_is_not_asked_again_through_a_peer_of_its_region() {
    run(async {
        let backend = Backend::on_loopback(|_| std::future::pending()).await;
        let document = tenant("acme", &["DE"], &[("eu", backend.address)]);
        let impatient = document.replace("[pools.eu]", "[pools.eu]\nresponse_timeout = \"50ms\"");
        assert_ne!(impatient, document);
        let policy = || policy(std::slice::from_ref(&impatient));
        let pair = pair().await;
        let base = pair.node.endpoint.local_addr().unwrap();
        let peers = ["node-1", "node-2"].map(|name| target(u32::from(name == "node-2"), name, "eu", base));
        let edge = Site::new(snapshot(policy(), ("edge-1", "us"), &peers));
        let node = Site::new(snapshot(policy(), ("node-1", "eu"), &[]));
        keep(&edge, &peers, &pair);
        let serving = serve_connection(
            pair.node.connection.clone(),
            Rc::clone(&node.gateway),
            Backlog::new(Arc::default()),
        );
        let _serving = task::spawn("serving", serving);
        assert_refused(&edge.get("/", "").await, Reason::BackendTimeout);
        assert_eq!(backend.seen.requests.get(), 1, "it was not sent again");
        let snapshot = edge.gateway.snapshot();
        assert_eq!(snapshot.pools.of(TenantIndex(0)).unwrap().budget.taken(), 0, "and nothing was paid");
    });
}

#[test]
fn rules_for_a_path_hold_however_it_is_spelt() {
    run(async {
        let backend = Backend::on_loopback(echo).await;
        // Everything may be served here, but what is below /sg only in Singapore.
        let document = tenant("acme", &["DE", "SG"], &[("eu", backend.address)])
            + "[[route]]\npath_prefix = \"/sg\"\nresidency = { allow = [\"country:SG\"] }\n";
        let site = Site::new(snapshot(policy(std::slice::from_ref(&document)), ("node-1", "eu"), &[]));
        assert_eq!(status(&site.get("/public/x", "").await), 200);
        for path in ["/sg/x", "/%73g/x", "//sg/x", "/sg%2fx", "/sg;v=1/x", "/;/s%67"] {
            assert_refused(&site.get(path, "").await, Reason::NoCompliantRegion);
        }
        // An edge with older rules is not believed either.
        let plain = tenant("acme", &["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(policy(&[plain]), policy(&[document])).await;
        let before = backend.seen.requests.get();
        for path in ["/sg/x", "/%73g/x", "//sg/x", "/sg%2fx"] {
            assert_refused(&fleet.edge.get(path, "").await, Reason::NoCompliantRegion);
        }
        assert_eq!(backend.seen.requests.get(), before, "no backend outside has seen them");
    });
}

#[test]
fn a_backend_that_breaks_off_breaks_the_answer_off_across_a_tunnel() {
    run(async {
        let backend = Backend::on_loopback(|_| async {
            let (sender, body) = crate::pool::testing::channel();
            sender.try_send(Ok(http_body::Frame::data(Bytes::from_static(b"some")))).unwrap();
            task::spawn_detached("breaking", async move {
                let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                let _ = sender.send(Err(error)).await;
            });
            Response::new(body.map_err(Into::into).boxed_unsync())
        })
        .await;
        let policy = || acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(policy(), policy()).await;
        for site in [&fleet.node, &fleet.edge] {
            let answer = site.get("/", "").await;
            assert!(!answer.ends_with("0\r\n\r\n"), "it looks complete: {answer}");
        }
    });
}

#[test]
fn a_lost_tunnel_is_502_for_what_may_not_be_repeated() {
    run(async {
        let backend = Backend::on_loopback(|_| std::future::pending()).await;
        let policy = || acme(&["DE"], &[("eu", backend.address)]);
        let fleet = Fleet::new(policy(), policy()).await;
        let losing = async {
            eventually("it is at the backend", || backend.seen.requests.get() == 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            fleet.pair.node.connection.close(0u32.into(), b"bye");
        };
        let (answer, ()) = tokio::join!(fleet.edge.ask("POST", "/", "content-length: 1\r\n\r\nx"), losing);
        assert_refused(&answer, Reason::TunnelLost);
        assert_eq!(backend.seen.requests.get(), 1, "it was not sent again");
    });
}
