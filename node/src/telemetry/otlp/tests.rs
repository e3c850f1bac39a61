//! What a collector gets.

use std::cell::RefCell;
use std::rc::Rc;

use graticule_node_core::outcome::{Outcome, Protocol, Role};
use graticule_node_core::policy::AddressMask;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::pool::testing::{Backend, full};
use crate::shared::{Shared, TraceLane};
use crate::telemetry::MetricsSources;
use crate::testing::{eventually, pair, policy, run, snapshot, tenant};

fn span(parent: Option<u64>) -> Span {
    let outcome = Outcome {
        status: Some(200),
        reason: None,
        total: Duration::from_millis(5),
        ..Outcome::refused(Role::Edge, graticule_node_core::Reason::Draining)
    };
    Span {
        trace: 0xabc,
        parent,
        id: 0xdef,
        ended: SystemTime::UNIX_EPOCH + Duration::from_secs(10),
        outcome,
        accepted: None,
        protocol: Protocol::Http2,
        tenant: "acme".parse().unwrap(),
        region: "eu".parse().ok(),
        client: Some(("203.0.113.7".parse().unwrap(), AddressMask::Network)),
        method: "GET".to_owned(),
        host: "acme.example".to_owned(),
        path: "/a".to_owned(),
    }
}

fn resource() -> Resource {
    Resource { node: "node-1".parse().unwrap(), region: "eu".parse().unwrap() }
}

async fn metrics() -> Arc<Metrics> {
    let policy = policy(&[tenant("acme", &["DE"], &[("eu", "127.0.0.1:9".parse().unwrap())])]);
    let (shared, _) = Shared::new(snapshot(policy, ("node-1", "eu"), &[]), 1);
    Arc::new(Metrics::new(MetricsSources {
        shared: Arc::new(shared),
        view: watch::channel(Arc::default()).1,
        tunnels: watch::channel(Arc::default()).1,
        identity: pair().await.node.identity.clone(),
        certificates: None,
        access_log: None,
        spans: None,
        clock: World::system().clock,
        tenants_max: 10,
    }))
}

#[test]
fn a_span_says_what_the_request_was_and_where_it_stands() {
    let encoded = encode::traces(&resource(), &[span(Some(7)), span(None)]);
    let spans = &encoded["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans[0]["traceId"], "00000000000000000000000000000abc");
    assert_eq!(
        (&spans[0]["spanId"], &spans[0]["parentSpanId"]),
        (&"0000000000000def".into(), &"0000000000000007".into())
    );
    assert_eq!(spans[1].get("parentSpanId"), None);
    assert_eq!(
        (&spans[0]["startTimeUnixNano"], &spans[0]["endTimeUnixNano"]),
        (&"9995000000".into(), &"10000000000".into())
    );
    let attributes = spans[0]["attributes"].as_array().unwrap();
    for (key, value) in [
        ("client.address", json!({"stringValue": "203.0.113.0/24"})),
        ("url.path", json!({"stringValue": "/a"})),
        ("http.response.status_code", json!({"intValue": "200"})),
    ] {
        assert!(attributes.contains(&json!({"key": key, "value": value})), "{key} in {attributes:?}");
    }
}

#[test]
fn a_method_that_conventions_do_not_know_makes_no_name_of_its_own() {
    for (method, name, told, original) in [
        ("POST", "POST edge", "POST", None),
        ("BREW", "HTTP edge", "_OTHER", Some("BREW")),
        ("get", "HTTP edge", "_OTHER", Some("get")),
    ] {
        let encoded = encode::traces(&resource(), &[Span { method: method.to_owned(), ..span(None) }]);
        let span = &encoded["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["name"], name);
        let attributes = span["attributes"].as_array().unwrap();
        let value = |key: &str| {
            let found = attributes.iter().find(|attribute| attribute["key"] == key);
            found.and_then(|attribute| attribute["value"]["stringValue"].as_str())
        };
        assert_eq!(value("http.request.method"), Some(told));
        assert_eq!(value("http.request.method_original"), original);
    }
}

#[test]
fn spans_and_metrics_reach_a_collector_and_a_lost_one_is_counted() {
    run(async {
        let got = Rc::new(RefCell::new(Vec::<(String, Value)>::new()));
        let seen = Rc::clone(&got);
        let collector = Backend::on_loopback(move |request: Request<Incoming>| {
            let seen = Rc::clone(&seen);
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                seen.borrow_mut().push((path, serde_json::from_slice(&body).unwrap()));
                http::Response::new(full("{}"))
            }
        })
        .await;
        let (lane, spans) = TraceLane::new(1.0, 100);
        lane.push(span(None));
        let metrics = metrics().await;
        let counts = Arc::clone(lane.counts());
        let endpoint = collector.address.to_string().parse().unwrap();
        let sending = export(
            World::system(),
            Export { endpoint, resource: resource(), spans, counts: Arc::clone(&counts), metrics },
        );
        let _sending = task::spawn("export", sending);
        eventually("both have come", || got.borrow().len() >= 2).await;
        let got = got.take();
        let of = |path: &str| &got.iter().find(|(known, _)| known == path).unwrap().1;
        assert!(of("/v1/traces").to_string().contains("acme.example"));
        let sent =
            of("/v1/metrics")["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap().clone();
        let ready = sent.iter().find(|metric| metric["name"] == "graticule_ready").unwrap();
        assert_eq!(ready["gauge"]["dataPoints"][0]["asDouble"], 1.0);
        eventually("it is counted", || counts.results()[0].1 == 1).await;
    });
}

#[test]
fn without_a_collector_spans_are_lost_and_counted() {
    run(async {
        let (lane, spans) = TraceLane::new(1.0, 100);
        lane.push(span(None));
        let counts = Arc::clone(lane.counts());
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoint = gone.to_string().parse().unwrap();
        let metrics = metrics().await;
        let sending = export(
            World::system(),
            Export { endpoint, resource: resource(), spans, counts: Arc::clone(&counts), metrics },
        );
        let _sending = task::spawn("export", sending);
        eventually("it is counted", || counts.results()[2].1 == 1).await;
    });
}

#[test]
fn metrics_do_not_wait_for_a_collector_that_is_slow_with_traces() {
    run(async {
        let got = Rc::new(RefCell::new(Vec::<String>::new()));
        let seen = Rc::clone(&got);
        let collector = Backend::on_loopback(move |request: Request<Incoming>| {
            let seen = Rc::clone(&seen);
            async move {
                let path = request.uri().path().to_owned();
                seen.borrow_mut().push(path.clone());
                if path == "/v1/traces" {
                    std::future::pending::<()>().await;
                }
                http::Response::new(full("{}"))
            }
        })
        .await;
        let (lane, spans) = TraceLane::new(1.0, 100);
        lane.push(span(None));
        let counts = Arc::clone(lane.counts());
        let endpoint = collector.address.to_string().parse().unwrap();
        let export_of = Export { endpoint, resource: resource(), spans, counts, metrics: metrics().await };
        let _sending = task::spawn("export", export(World::system(), export_of));
        let asked = tokio::time::Instant::now();
        eventually("both have come", || got.borrow().len() >= 2).await;
        assert!(asked.elapsed() < SEND_TIMEOUT / 2, "{:?}", asked.elapsed());
        assert!(got.borrow().iter().any(|path| path == "/v1/metrics"));
    });
}
