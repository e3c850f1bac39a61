//! Every node is drained and started again under load, one after the other: no request fails, and none is done twice.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use graticule_node_api::DrainQuery;
use graticule_node_api::client;
use graticule_tests::{
    AP_SOUTHEAST, Ask, Courteous, EU_CENTRAL, Fleet, Outcome, Plan, Region, Step, US_EAST, ask, eventually,
    run, story,
};
use http::Method;

#[test]
fn no_request_fails_while_every_node_is_replaced() {
    story(Duration::from_mins(3), async {
        let mut fleet = fleet(&[EU_CENTRAL, US_EAST]).await;
        let load = Courteous::start(&fleet.nodes, 12, mix(), Duration::from_millis(20));
        replace_all(&mut fleet).await;
        expect_all_served_once(&fleet, &load.stop().await, 1_000);
    });
}

/// Too long for every test run: `.ci/rolling` runs it.
#[test]
#[ignore = "takes minutes"]
fn of_a_hundred_thousand_requests_none_fails_while_six_nodes_are_replaced() {
    const REQUESTS: usize = 100_000;
    story(Duration::from_mins(15), async {
        let mut fleet = fleet(&[EU_CENTRAL, US_EAST, AP_SOUTHEAST]).await;
        let load = Courteous::start(&fleet.nodes, 48, mix(), Duration::ZERO);
        let mut rounds = 0;
        while rounds == 0 || load.asked() < REQUESTS {
            replace_all(&mut fleet).await;
            rounds += 1;
        }
        let repeated = load.repeated();
        let outcomes = load.stop().await;
        println!(
            "{} requests while every node was replaced {rounds} times; {repeated} of them sent again by HTTP/2",
            outcomes.len()
        );
        expect_all_served_once(&fleet, &outcomes, REQUESTS);
    });
}

#[test]
fn a_node_is_drained_by_command_and_takes_it_back_while_it_can() {
    story(Duration::from_mins(1), async {
        let mut fleet = fleet(&[EU_CENTRAL, US_EAST]).await;
        let admin = fleet.node("us-east-1").admin.to_string();
        let told = run(["drain", "eu-central-1", "--admin", &admin]).await;
        assert!(told.status.success() && told.stdout.contains("draining"), "{told:?}");
        eventually("it is not ready", Duration::from_secs(2), async || {
            if fleet.node("eu-central-1").is_ready().await { Err("it is") } else { Ok(()) }
        })
        .await;
        let told = run(["undrain", "eu-central-1", "--admin", &admin]).await;
        assert!(told.status.success() && told.stdout.contains("serving"), "{told:?}");
        assert!(fleet.node("eu-central-1").is_ready().await);
        let told = run(["drain", "nobody", "--admin", &admin]).await;
        assert!(
            !told.status.success() && told.stderr.contains("knows no node or region `nobody`"),
            "{told:?}"
        );

        // A whole region, and its tenant is refused then.
        let told = run(["drain", "eu-central", "--json", "--admin", &admin]).await;
        assert!(told.status.success(), "{told:?}");
        assert_eq!(told.stdout.matches("\"draining\"").count(), 2, "{told:?}");
        assert!(told.stderr.contains("only `eu-central` may and can serve berlin"), "{told:?}");
        for node in ["eu-central-1", "eu-central-2"] {
            let status = fleet.node_mut(node).until_ended(Duration::from_secs(20)).await;
            assert!(status.success(), "{node}: {status}");
        }
        let edge = fleet.edge("us-east");
        let refused = ask(edge, &Ask::get("berlin.example", "/")).await.refusal();
        assert_eq!(refused.as_deref(), Some("no-compliant-region"));
        assert!(fleet.node("us-east-1").log().contains("peer has left"), "and nobody was suspected for it");
    });
}

#[test]
fn a_second_signal_ends_a_node_at_once() {
    story(Duration::from_mins(1), async {
        let mut fleet = fleet(&[EU_CENTRAL]).await;
        let node = &mut fleet.nodes[0];
        node.set("drain.delay=20s");
        node.set("drain.deadline=40s");
        node.signal("TERM");
        node.until_ended(Duration::from_secs(20)).await;
        node.start();
        eventually("it is ready", Duration::from_secs(15), async || ready(node.is_ready().await)).await;
        node.signal("TERM");
        eventually("it drains", Duration::from_secs(2), async || ready(!node.is_ready().await)).await;
        let undrained = node.call(&client::undrain(&DrainQuery::default())).await.expect("an answer");
        assert!(undrained[0].error.is_some(), "a signal is not taken back: {undrained:?}");
        node.signal("INT");
        let status = node.until_ended(Duration::from_secs(3)).await;
        assert!(status.success(), "{status}");
        assert!(node.log().contains("told to end twice"), "{}", node.log());
    });
}

fn ready(ready: bool) -> Result<(), &'static str> {
    if ready { Ok(()) } else { Err("not yet") }
}

/// Two nodes and two backends in each region; each tenant but one is served in one region only.
async fn fleet(regions: &[Region]) -> Fleet {
    let within = |id: &str, country: &str| {
        format!("[[match]]\nhost = \"{id}.example\"\n[residency]\nallow = [\"country:{country}\"]")
    };
    let plan = Plan::new(regions.iter().copied()).nodes_per_region(2).backends_per_region(2);
    let plan = plan
        .tenant("berlin", &within("berlin", "DE"))
        .tenant("globe", "[[match]]\nhost = \"globe.example\"\n[residency]\nallow = [\"any\"]");
    let plan = if regions.len() > 1 { plan.tenant("boston", &within("boston", "US")) } else { plan };
    let mut fleet = Fleet::prepare(plan).await;
    for node in &mut fleet.nodes {
        node.set("drain.delay=1s");
        node.set("drain.deadline=15s");
        node.start();
    }
    fleet.until_connected().await;
    for node in &fleet.nodes {
        eventually("it is ready", Duration::from_secs(15), async || ready(node.is_ready().await)).await;
    }
    fleet
}

/// Short requests and slow ones, with bodies and without, so that each node is told to leave with some under way.
fn mix() -> Vec<Step> {
    let step = |host, method, path, body_bytes| Step { host, method, path, body_bytes };
    vec![
        step("berlin.example", Method::GET, "/", 0),
        step("boston.example", Method::POST, "/orders", 2_000),
        step("globe.example", Method::GET, "/slow?wait_ms=100", 0),
        step("boston.example", Method::PUT, "/basket?bytes=100000", 100_000),
        step("berlin.example", Method::POST, "/slow?wait_ms=300", 500),
        step("globe.example", Method::POST, "/", 0),
        step("boston.example", Method::GET, "/slow?wait_ms=100&bytes=300000", 0),
        step("berlin.example", Method::POST, "/orders", 2_000),
    ]
}

/// As a deployment does it: the next node when this one is ready again.
async fn replace_all(fleet: &mut Fleet) {
    for node in &mut fleet.nodes {
        node.signal("TERM");
        let status = node.until_ended(Duration::from_secs(20)).await;
        assert!(status.success(), "{}: {status}", node.name);
        let log = node.log();
        let last = log.lines().rev().take(3).collect::<Vec<_>>().concat();
        assert!(last.contains("everything is finished"), "{} was cut off: {last}", node.name);
        node.start();
        eventually("it is ready again", Duration::from_secs(15), async || ready(node.is_ready().await)).await;
    }
}

fn expect_all_served_once(fleet: &Fleet, outcomes: &[Outcome], at_least: usize) {
    assert!(outcomes.len() >= at_least, "too little load: {}", outcomes.len());
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_served()).collect();
    let told = |outcome: &&Outcome| {
        format!("{} {} {}: {}", outcome.id, outcome.step.method, outcome.step.path, outcome.told())
    };
    let some: Vec<_> = failed.iter().take(20).map(told).collect();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), outcomes.len(), some.join("\n"));

    let mut arrivals = HashMap::<String, Vec<Instant>>::new();
    for received in fleet.backends.iter().flat_map(graticule_tests::Backend::received) {
        arrivals.entry(received.id.unwrap_or_default()).or_default().push(received.at);
    }
    let once = outcomes.iter().filter(|outcome| outcome.step.method == Method::POST);
    let odd = once.filter_map(|outcome| {
        let arrived = arrivals.get(&outcome.id).map(Vec::as_slice).unwrap_or_default();
        let after: Vec<_> = arrived.iter().map(|at| at.duration_since(outcome.started)).collect();
        (arrived.len() != 1).then(|| format!("{} arrived {after:?} after its beginning", outcome.id))
    });
    let odd: Vec<_> = odd.take(20).collect();
    assert!(odd.is_empty(), "not done exactly once:\n{}", odd.join("\n"));
}
