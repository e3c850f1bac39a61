//! The judge accuses nobody wrongly: nodes do what they should in faults that lie on top of each other, begin while others
//! last, or are slow to be seen, and nothing is violated. Each scenario here was once.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use graticule_node_core::document::Source;
use graticule_sim::outcome::Outcome;
use graticule_sim::run::run;
use graticule_sim::scenario::Scenario;

/// Two regions, and a tenant of both; what is in braces is to be filled in.
const STAGE: &str = r#"
title = "Stage for judges"
duration = "{duration}"
convergence = "8s"

[regions.de]
country = "DE"
latitude = 50.11
longitude = 8.68
nodes = 2
backend_latency = "{latency}"

[regions.us]
country = "US"
latitude = 39.04
longitude = -77.49
backend_latency = "{latency}"

[tenants.t]
pools = ["any"]
{tenant}

[load.l]
tenant = "t"
edges = {edges}
country = "US"
per_second = 10
"#;

/// What is on the stage besides faults.
struct Stage {
    duration: &'static str,
    latency: &'static str,
    tenant: &'static str,
    edges: &'static str,
}

const ANYWHERE: &str = "residency = { allow = [\"any\"] }";
const PLAIN: Stage = Stage { duration: "26s", latency: "5ms", tenant: ANYWHERE, edges: "[\"any\"]" };

fn outcome(stage: &Stage, faults: &str) -> Outcome {
    let text = STAGE.replace("{duration}", stage.duration).replace("{latency}", stage.latency);
    let text = text.replace("{tenant}", stage.tenant).replace("{edges}", stage.edges);
    let (scenario, found) = Scenario::parse("fair", &Source::new("fair.toml", format!("{text}{faults}")));
    let scenario = scenario.unwrap_or_else(|| panic!("{found:?}"));
    run(&scenario, 1).unwrap()
}

#[track_caller]
fn nothing_is_violated(stage: &Stage, faults: &[&str]) -> Outcome {
    let faults: Vec<_> = faults.iter().map(|fault| format!("\n[[fault]]\n{fault}\n")).collect();
    let outcome = outcome(stage, &faults.concat());
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    outcome
}

/// What the trace says of a node.
fn said_of<'o>(outcome: &'o Outcome, node: &str) -> Vec<&'o str> {
    let lines = outcome.trace.iter().filter(|line| line.kind == "node" && line.who == node);
    lines.map(|line| &*line.what).collect()
}

const NARROWED: &str = "kind = \"document\"\nat = \"6s\"\nnodes = [\"any\"]\ntenant = \"t\"\nresidency = { allow = [\"country:DE\"] }";

#[test]
fn an_answer_may_come_long_after_the_document_that_allowed_it() {
    nothing_is_violated(&Stage { latency: "8s", ..PLAIN }, &[NARROWED]);
}

#[test]
fn who_stands_still_reads_no_documents() {
    let stalled = "kind = \"stall\"\nat = \"4s\"\nfor = \"9s\"\nnodes = [\"us-1\"]";
    nothing_is_violated(&PLAIN, &[stalled, NARROWED]);
}

#[test]
fn of_two_documents_the_younger_holds_and_the_end_of_the_older_changes_nothing() {
    let first = "kind = \"document\"\nat = \"3s\"\nfor = \"6s\"\nnodes = [\"any\"]\ntenant = \"t\"\nresidency = { allow = [\"country:DE\"] }";
    let second = "kind = \"document\"\nat = \"5s\"\nnodes = [\"any\"]\ntenant = \"t\"\nresidency = { allow = [\"country:US\"] }";
    let of_germany = Stage { tenant: "residency = { allow = [\"country:DE\"] }", ..PLAIN };
    let outcome = nothing_is_violated(&of_germany, &[first, second]);
    let late = outcome.requests.iter().filter(|requests| requests.at_ms > 14_000);
    assert!(late.clone().count() > 0);
    assert!(late.clone().all(|requests| requests.served_by.as_deref() == Some("us")), "{late:?}");
}

#[test]
fn where_a_client_is_the_edge_says() {
    let tenant = r#"
[tenants.t.residency]
allow = ["any"]
home = "us"
unknown = "home"
client = [{ when = ["country:US"], allow = ["country:DE"] }]"#;
    let stage = Stage { tenant, edges: "[\"de-2\"]", ..PLAIN };
    nothing_is_violated(
        &stage,
        &["kind = \"geo\"\nat = \"4s\"\nfor = \"4s\"\nnodes = [\"de-2\"]\nhow = \"blank\""],
    );
}

#[test]
fn who_leaves_goes_by_its_own_clock() {
    let slow = "kind = \"clock\"\nat = \"1s\"\nfor = \"15s\"\nnodes = [\"de-1\"]\ndrift_ppm = -500_000";
    let leaves = "kind = \"drain\"\nat = \"2s\"\nfor = \"14s\"\nnodes = [\"de-1\"]";
    nothing_is_violated(&PLAIN, &[slow, leaves]);
}

#[test]
fn who_stands_still_to_the_end_is_not_seen_and_ends_nothing() {
    let stage = Stage { latency: "300ms", ..PLAIN };
    nothing_is_violated(&stage, &["kind = \"stall\"\nat = \"14s\"\nnodes = [\"de-1\"]"]);
}

#[test]
fn a_node_that_dies_is_over_what_was_done_to_it_before() {
    let dies = "kind = \"crash\"\nat = \"4s\"\nfor = \"4s\"\nnodes = [\"de-1\"]";
    for before in ["drain", "stall"] {
        let done = format!("kind = \"{before}\"\nat = \"3s\"\nnodes = [\"de-1\"]");
        nothing_is_violated(&PLAIN, &[&done, dies]);
    }
}

#[test]
fn a_node_that_is_down_hears_of_nothing() {
    let dies = "kind = \"crash\"\nat = \"3s\"\nfor = \"5s\"\nnodes = [\"de-1\"]";
    for after in ["drain", "stall"] {
        let done = format!("kind = \"{after}\"\nat = \"5s\"\nnodes = [\"de-1\"]");
        let outcome = nothing_is_violated(&PLAIN, &[dies, &done]);
        assert_eq!(said_of(&outcome, "de-1").len(), 3, "it dies, hears nothing, and starts");
    }
}

#[test]
fn a_node_that_two_faults_hold_comes_back_when_both_are_over() {
    for (kind, last) in [("drain", "starts"), ("stall", "goes on"), ("crash", "starts")] {
        let long = format!("kind = \"{kind}\"\nat = \"3s\"\nfor = \"12s\"\nnodes = [\"de-1\"]");
        let short = format!("kind = \"{kind}\"\nat = \"4s\"\nfor = \"7s\"\nnodes = [\"de-1\"]");
        let outcome = nothing_is_violated(&PLAIN, &[&long, &short]);
        let lines = outcome.trace.iter().filter(|line| line.kind == "node" && line.what == last);
        let times: Vec<_> = lines.map(|line| line.at_us / 1_000_000).collect();
        assert_eq!(times, [15], "{kind}");
    }
}

#[test]
fn a_node_that_cannot_start_is_missed_by_nobody_and_started_again_when_it_can() {
    let broken =
        |lasts: &str| format!("kind = \"geo\"\nat = \"3s\"\n{lasts}\nnodes = [\"de-1\"]\nhow = \"garbage\"");
    let dies = "kind = \"crash\"\nat = \"4s\"\nfor = \"3s\"\nnodes = [\"de-1\"]";
    let never = nothing_is_violated(&PLAIN, &[&broken(""), dies]);
    let said = said_of(&never, "de-1");
    assert!(matches!(said[..], ["dies", why] if why.starts_with("cannot start: ")), "{said:?}");
    let late = nothing_is_violated(&PLAIN, &[&broken("for = \"9s\""), dies]);
    assert_eq!(said_of(&late, "de-1").last(), Some(&"starts"));
}

#[test]
fn a_way_that_is_suddenly_much_longer_is_silent_first() {
    for how in ["latency", "jitter"] {
        let longer = format!(
            "kind = \"link\"\nat = \"3s\"\nfor = \"8s\"\nfrom = [\"any\"]\nto = [\"any\"]\n{how} = \"800ms\""
        );
        nothing_is_violated(&PLAIN, &[&longer]);
    }
}

#[test]
fn backends_that_do_not_answer_in_time_are_no_alternative() {
    let tenant = "residency = { allow = [\"any\"] }\nresponse_timeout = \"100ms\"";
    let stage = Stage { duration: "6s", latency: "500ms", tenant, ..PLAIN };
    let outcome = nothing_is_violated(&stage, &[]);
    assert!(outcome.requests.iter().all(|requests| requests.fate != "served"));
}

#[test]
fn a_client_that_gives_up_before_its_backend_can_answer_accuses_nobody() {
    let tenant = "residency = { allow = [\"any\"] }\nresponse_timeout = \"60s\"";
    let stage = Stage { duration: "6s", latency: "40s", tenant, ..PLAIN };
    let outcome = nothing_is_violated(&stage, &[]);
    assert!(outcome.requests.iter().all(|requests| requests.fate == "no-answer"));
}

#[test]
fn a_pool_at_its_limit_says_so() {
    // More than 1,024 at once, the default of a pool's limit.
    let stage = Stage { duration: "4s", latency: "2s", edges: "[\"us-1\"]", ..PLAIN };
    let many = "\n[load.many]\ntenant = \"t\"\nedges = [\"us-1\"]\ncountry = \"US\"\nper_second = 2000\n";
    let text = outcome(&stage, many);
    assert!(text.violations.is_empty(), "{:#?}", text.violations.first());
    let mut fates: Vec<_> = text.requests.iter().map(|requests| &*requests.fate).collect();
    fates.sort_unstable();
    fates.dedup();
    assert_eq!(fates, ["overloaded", "served"]);
}

#[test]
fn who_waits_behind_others_bodies_waits_for_nobody_silent() {
    let big = "\n[load.big]\ntenant = \"t\"\nedges = [\"us-1\"]\nmethod = \"POST\"\nbody_bytes = 200_000\nper_second = 30\n";
    let stage = Stage {
        duration: "4s",
        tenant: "residency = { allow = [\"country:DE\"] }",
        edges: "[\"us-1\"]",
        ..PLAIN
    };
    let outcome = outcome(&stage, &format!("{big}\n[fleet]\njitter = \"1ms\"\n"));
    let accused: Vec<_> =
        outcome.violations.iter().filter(|violation| violation.invariant == "suspects-are-spared").collect();
    assert!(accused.is_empty(), "{accused:#?}");
}
