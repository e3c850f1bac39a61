//! Outcomes as tests of the report need them: one in which nothing happened, and one in which much did.

use std::time::Duration;

use crate::outcome::{
    Answer, Bucket, FaultFacts, Latency, Miss, Misses, NodeFacts, Outcome, TraceLine, TunnelChange, Verdict,
    Violation, World,
};

/// Two regions with two nodes each, served for ten seconds.
pub(super) fn calm() -> Outcome {
    let place = |name: &str, region: &str, country: &str, latitude: f64, longitude: f64| NodeFacts {
        name: name.to_owned(),
        region: region.to_owned(),
        country: country.to_owned(),
        latitude,
        longitude,
    };
    Outcome {
        scenario: "calm".to_owned(),
        title: "Nothing happens".to_owned(),
        about: "Two regions serve their clients.".to_owned(),
        seed: 7,
        world: World::Memory,
        again: "graticule-sim run 'my scenarios/calm.toml' --seed 7".to_owned(),
        passed: true,
        duration_ms: 10_000,
        objectives: vec![objective(true)],
        violations: Vec::new(),
        invariant_checks: 1_032,
        start: None,
        nodes: vec![
            place("eu-1", "eu", "DE", 50.1, 8.7),
            place("eu-2", "eu", "DE", 50.1, 8.7),
            place("us-1", "us", "US", 39.0, -77.5),
            place("us-2", "us", "US", 39.0, -77.5),
        ],
        faults: Vec::new(),
        bucket_ms: 1_000,
        requests: (0..10).map(|second| bucket(second * 1_000, "eu", Some("eu"), "served", 50)).collect(),
        latencies: vec![latency()],
        tunnels: vec![tunnel(-500, "eu-1", "us-1", "usable")],
        views: Vec::new(),
        trace: vec![
            line(-2_000_000, "node", "eu-1", "starts"),
            line(1_500, "ask", "reads", "request 0 to eu-1"),
        ],
    }
}

/// The same with a region that dies, requests with every fate, and two violations.
pub(super) fn broken() -> Outcome {
    let calm = calm();
    let violation = |at_ms: i64, node: Option<&str>, what: &str| Violation {
        at_ms,
        invariant: "residency".to_owned(),
        node: node.map(str::to_owned),
        what: what.to_owned(),
    };
    let more = [
        bucket(4_000, "eu", Some("us"), "served", 13),
        bucket(4_000, "eu", None, "no-compliant-region", 11),
        bucket(4_000, "eu", Some("eu"), "backend-error", 5),
        bucket(5_000, "us", None, "no-answer", 3),
    ];
    let mut trace: Vec<_> =
        (0..200).map(|step| line(step * 50_000, "ask", "reads", &format!("request {step}"))).collect();
    trace.insert(60, line(3_000_000, "fault", "-", "begins: crash of eu-1, eu-2"));
    trace.insert(91, line(4_500_000, "violation", "us-1", "residency: served outside of set:EU"));
    trace.insert(182, line(9_000_000, "violation", "-", "residency: told of by nobody"));
    trace.extend([
        line(5_000_000, "ask", "writes/9", "eu-1"),
        line(6_000_000, "retry", "writes/9", "eu-1 gave no connection within 1s; eu-2 is next"),
        line(6_001_000, "serve", "us", "GET /?rehearsal=writes/9 for berlin.example via eu-2, us-1"),
        line(9_950_000, "answer", "writes/9", "no-answer after 4950.000 ms"),
    ]);
    trace.sort_by_key(|line| line.at_us);
    Outcome {
        scenario: "broken".to_owned(),
        passed: false,
        objectives: vec![objective(true), objective(false)],
        violations: vec![
            violation(4_500, Some("us-1"), "served outside of set:EU"),
            violation(9_000, None, "told of by nobody"),
        ],
        faults: vec![FaultFacts {
            at_ms: 3_000,
            ended_ms: Some(7_000),
            kind: "crash".to_owned(),
            text: "crash of eu-1, eu-2".to_owned(),
            nodes: vec!["eu-1".to_owned(), "eu-2".to_owned()],
        }],
        requests: calm.requests.iter().cloned().chain(more).collect(),
        views: Vec::new(),
        tunnels: vec![
            tunnel(-500, "us-1", "eu-1", "usable"),
            tunnel(3_200, "us-1", "eu-1", "suspect"),
            tunnel(5_100, "us-1", "eu-1", "unreachable"),
            tunnel(7_300, "us-1", "eu-1", "usable"),
        ],
        trace,
        ..calm
    }
}

fn objective(met: bool) -> Verdict {
    let miss = |at_us: i64, request: &str| Miss {
        at_us,
        request: request.to_owned(),
        edge: "eu-1".to_owned(),
        fate: "no-answer".to_owned(),
        served_by: None,
        took_ms: 4_950.0,
    };
    let misses = Misses {
        count: 14,
        first: vec![miss(5_000_000, "writes/9")],
        last: vec![miss(7_000_000, "writes/22")],
    };
    Verdict {
        objective: "availability of tenant berlin: at least 99.9 %".to_owned(),
        kind: "availability".to_owned(),
        tenant: Some("berlin".to_owned()),
        met,
        measured: if met { "99.98 %" } else { "97.31 %" }.to_owned(),
        value: Some(if met { 0.9998 } else { 0.9731 }),
        requests: 532,
        misses: if met { Misses::default() } else { misses },
    }
}

fn latency() -> Latency {
    let answer = |step: u64| Answer {
        sent: Duration::from_millis(step * 20),
        took: Duration::from_micros(1_234 + step * 17),
    };
    Latency::measure(
        "reads",
        "berlin",
        532,
        Duration::from_secs(1),
        &(0..500).map(answer).collect::<Vec<_>>(),
    )
}

fn bucket(at_ms: i64, edge: &str, served_by: Option<&str>, fate: &str, count: u64) -> Bucket {
    Bucket {
        at_ms,
        tenant: "berlin".to_owned(),
        edge: edge.to_owned(),
        served_by: served_by.map(str::to_owned),
        fate: fate.to_owned(),
        count,
        slowest_ms: 40,
    }
}

fn tunnel(at_ms: i64, from: &str, to: &str, condition: &str) -> TunnelChange {
    TunnelChange { at_ms, from: from.to_owned(), to: to.to_owned(), condition: condition.to_owned() }
}

fn line(at_us: i64, kind: &str, who: &str, what: &str) -> TraceLine {
    TraceLine { at_us, kind: kind.to_owned(), who: who.to_owned(), what: what.to_owned() }
}
