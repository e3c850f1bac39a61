//! What do clients do while an edge is dead, under which edge is that counted, and what does the trace tell of it?

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::sync::LazyLock;

use graticule_node_core::document::Source;
use graticule_sim::outcome::{Bucket, Outcome, TraceLine, TunnelChange};
use graticule_sim::run::run;
use graticule_sim::scenario::Scenario;

/// Frankfurt is dead from 2 s to 17 s. Patient clients know only it; visitors go on to Dublin.
const STAGE: &str = r#"
title = "Clients of a dead edge"
duration = "20s"
convergence = "10s"

[regions.eu-central]
country = "DE"
latitude = 50.11
longitude = 8.68

[regions.eu-west]
country = "IE"
latitude = 53.35
longitude = -6.26

[tenants.patient]
pools = ["any"]
residency = { allow = ["any"] }

[tenants.visitors]
pools = ["region:eu-west"]
residency = { allow = ["any"] }

[load.patient]
tenant = "patient"
edges = ["eu-central-1"]
per_second = 5
timeout = "3s"

[load.visitors]
tenant = "visitors"
edges = ["eu-central-1", "eu-west-1"]
tries_others = true
arrivals = "constant"
per_second = 10

[[fault]]
kind = "crash"
at = "2s"
for = "15s"
nodes = ["eu-central-1"]

[[objective]]
kind = "availability"
load = "patient"
until = "17s"
least = 0.9
"#;

static OUTCOME: LazyLock<Outcome> = LazyLock::new(|| {
    let (scenario, found) = Scenario::parse("clients", &Source::new("clients.toml", STAGE));
    run(&scenario.unwrap_or_else(|| panic!("{found:?}")), 1).unwrap()
});

/// Requests that were sent while Frankfurt was dead, and for longer than anybody waits.
fn sent_to_the_dead(tenant: &str) -> impl Iterator<Item = &'static Bucket> {
    let meant = move |bucket: &&Bucket| bucket.tenant == tenant && (2_250..13_000).contains(&bucket.at_ms);
    OUTCOME.requests.iter().filter(meant)
}

fn lines(kind: &str, load: &str) -> Vec<&'static TraceLine> {
    let meant = |line: &&TraceLine| line.kind == kind && line.who.starts_with(load);
    OUTCOME.trace.iter().filter(meant).collect()
}

#[test]
fn a_client_of_a_dead_edge_gives_up_when_its_time_is_over() {
    assert!(sent_to_the_dead("patient").map(|bucket| bucket.count).sum::<u64>() > 20);
    for bucket in sent_to_the_dead("patient") {
        assert_eq!((&*bucket.fate, bucket.slowest_ms), ("no-answer", 3_000), "{bucket:?}");
    }
    let given_up = "no-answer after 3000.000 ms: the client gave up waiting for eu-central-1";
    assert!(lines("answer", "patient").iter().any(|line| line.what == given_up));
}

#[test]
fn that_is_held_against_an_objective_which_names_the_first_and_the_last() {
    let verdict = &OUTCOME.objectives[0];
    assert!(!verdict.met && verdict.misses.count > 20, "{verdict:?}");
    let (first, last) = (verdict.misses.first.first().unwrap(), verdict.misses.last.last().unwrap());
    assert!(
        (1_900_000..3_000_000).contains(&first.at_us),
        "asked when the edge died, or just before: {first:?}"
    );
    assert!(
        (13_000_000..16_100_000).contains(&last.at_us),
        "its second packet came too early, too: {last:?}"
    );
    assert_eq!((&*first.edge, &*first.fate), ("eu-central-1", "no-answer"));
    let asked = lines("ask", "patient").into_iter().find(|line| line.who == first.request);
    assert_eq!(asked.map(|line| line.at_us), Some(first.at_us), "the trace has it");
}

#[test]
fn who_goes_elsewhere_is_counted_where_it_came_first_and_every_retry_is_told() {
    let mut elsewhere = 0;
    for bucket in sent_to_the_dead("visitors").filter(|bucket| bucket.edge == "eu-central") {
        assert_eq!((bucket.served_by.as_deref(), &*bucket.fate), (Some("eu-west"), "served"));
        assert!((1_000..1_200).contains(&bucket.slowest_ms), "a second for nothing: {bucket:?}");
        elsewhere += bucket.count;
    }
    let here: u64 = sent_to_the_dead("visitors")
        .filter(|bucket| bucket.edge == "eu-west")
        .map(|bucket| bucket.count)
        .sum();
    assert!(elsewhere.abs_diff(here) <= 1, "every other came to each: {elsewhere} and {here}");
    let retries = lines("retry", "visitors");
    assert!(retries.len() as u64 >= elsewhere, "{} of {elsewhere}", retries.len());
    let told = "eu-central-1 gave no connection within 1s; eu-west-1 is next";
    assert!(retries.iter().all(|line| line.what == told), "{retries:?}");
}

#[test]
fn a_node_that_does_not_run_has_no_opinion_and_tells_none() {
    let dead = |at_us: i64| (2_050_000..17_000_000).contains(&at_us);
    let of_the_dead =
        |line: &&TraceLine| line.kind == "tunnel" && line.who == "eu-central-1" && dead(line.at_us);
    assert_eq!(OUTCOME.trace.iter().find(of_the_dead), None);
    let ends = OUTCOME.tunnels.iter().filter(|change| change.condition == TunnelChange::NONE);
    let ends: Vec<_> = ends.map(|change| (&*change.from, &*change.to, change.at_ms / 100)).collect();
    assert_eq!(ends, [("eu-central-1", "eu-west-1", 20)]);
}

#[test]
fn a_client_without_patience_accuses_nobody() {
    let (undisturbed, _) = STAGE.split_once("[[fault]]").unwrap();
    let hasty = undisturbed.replace("\"3s\"", "\"3ms\"");
    let (scenario, found) = Scenario::parse("hasty", &Source::new("hasty.toml", hasty));
    let outcome = run(&scenario.unwrap_or_else(|| panic!("{found:?}")), 1).unwrap();
    let patient: Vec<_> = outcome.requests.iter().filter(|bucket| bucket.tenant == "patient").collect();
    assert!(!patient.is_empty() && patient.iter().all(|bucket| bucket.fate == "no-answer"), "{patient:?}");
    assert_eq!(outcome.violations, []);
}
