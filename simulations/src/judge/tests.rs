//! Are objectives judged as they are meant: ten requests, and what became of each.

use graticule_node_core::document::Source;

use super::*;

const STAGE: &str = r#"
title = "Judged"
duration = "10s"

[regions.one]
country = "DE"
latitude = 50
longitude = 8

[regions.other]
country = "IE"
latitude = 53
longitude = -6

[tenants.t]
pools = ["any"]
residency = { allow = ["any"] }

[load.all]
tenant = "t"
edges = ["any"]
per_second = 10

[[objective]]
"#;

/// Ten requests, one a second: what became of each is told by `fate`.
fn judged(objective: &str, fate: impl Fn(u64) -> Fate) -> Verdict {
    let source = Source::new("judged.toml", format!("{STAGE}{objective}"));
    let (scenario, found) = Scenario::parse("judged", &source);
    let scenario = scenario.unwrap_or_else(|| panic!("{found:?}"));
    let sample = |number: u64| Sample {
        load: 0,
        number,
        edge: "one-1".to_owned(),
        last_edge: "one-1".to_owned(),
        sent: Duration::from_secs(number),
        took: Duration::from_millis(10 * (number + 1)),
        at_edge: Duration::from_millis(10),
        fate: fate(number),
    };
    let samples: Vec<_> = (0..10).map(sample).collect();
    verdicts(&scenario, &samples).remove(0)
}

fn served(region: &str) -> Fate {
    Fate::Answered { status: 200, region: region.to_owned() }
}

fn refused(reason: &str) -> Fate {
    Fate::Refused { status: 503, reason: reason.to_owned() }
}

/// Requests 4 and 5 fail.
fn failing(number: u64) -> Fate {
    if (4..6).contains(&number) { refused("no-compliant-region") } else { served("one") }
}

#[test]
fn availability_is_the_share_that_a_backend_answered_well() {
    let verdict = judged("kind = \"availability\"\nleast = 0.8", failing);
    assert_eq!((verdict.met, verdict.value, verdict.requests), (true, 0.8, 10));
    assert!(!judged("kind = \"availability\"\nleast = 0.81", failing).met);
    let failed = |_| Fate::Answered { status: 500, region: "one".to_owned() };
    assert!(judged("kind = \"availability\"\nleast = 0.5", failed).value.abs() < 1e-9);
    assert_eq!(judged("kind = \"availability\"\nleast = 0.5\nfrom = \"6s\"", failing).requests, 4);
}

#[test]
fn recovery_is_the_time_to_the_last_that_failed() {
    let verdict = judged("kind = \"recovery\"\nfrom = \"3s\"\nwithin = \"2s\"", failing);
    assert_eq!((verdict.met, verdict.value), (true, 2_000.0));
    assert!(!judged("kind = \"recovery\"\nfrom = \"3s\"\nwithin = \"1999ms\"", failing).met);
    assert!(judged("kind = \"recovery\"\nfrom = \"6s\"\nwithin = \"1s\"", failing).value.abs() < 1e-9);
}

#[test]
fn an_answer_may_be_too_slow_to_be_recovered() {
    let slow = |ms| format!("kind = \"recovery\"\nfrom = \"1s\"\nwithin = \"5s\"\nslower_than = \"{ms}ms\"");
    // Number 7, sent at 7 s, took 80 ms.
    let late = judged(&format!("{}\nuntil = \"8s\"", slow(79)), |_| served("one"));
    assert_eq!((late.met, late.value), (false, 6_000.0));
    let verdict = judged(&format!("{}\nuntil = \"8s\"", slow(80)), |_| served("one"));
    assert_eq!((verdict.met, verdict.value), (true, 0.0));
}

#[test]
fn refusals_are_counted_and_their_reasons_known() {
    assert!(judged("kind = \"refusals\"\nonly = [\"no-compliant-region\"]\nmost = 0.2", failing).met);
    assert!(!judged("kind = \"refusals\"\nonly = [\"no-compliant-region\"]\nmost = 0.1", failing).met);
    assert!(!judged("kind = \"refusals\"\nonly = [\"overloaded\"]", failing).met);
    assert!(!judged("kind = \"refusals\"\nonly = []", |_| Fate::NoAnswer).met);
    assert!(judged("kind = \"refusals\"\nonly = []", |_| served("one")).met);
}

#[test]
fn latency_is_that_of_the_nth_of_those_served() {
    // 10 to 100 ms.
    let verdict = judged("kind = \"latency\"\nquantile = 0.9\nmost = \"90ms\"", |_| served("one"));
    assert_eq!((verdict.met, verdict.value), (true, 90.0));
    assert!(!judged("kind = \"latency\"\nquantile = 0.91\nmost = \"90ms\"", |_| served("one")).met);
}

#[test]
fn who_served_is_counted_among_those_answered() {
    let by = |number| if number < 3 { served("other") } else { failing(number) };
    let verdict = judged("kind = \"served\"\nby = [\"region:other\"]\nleast = 0.37", by);
    assert_eq!((verdict.met, verdict.value), (true, 3.0 / 8.0));
}

#[test]
fn an_objective_about_nobody_is_missed() {
    let verdict = judged("kind = \"availability\"\nleast = 0\nfrom = \"9500ms\"", failing);
    assert_eq!((verdict.met, verdict.requests), (false, 0));
}

#[test]
fn buckets_add_up_to_all_requests() {
    let (scenario, _) =
        Scenario::parse("judged", &Source::new("j", format!("{STAGE}kind = \"availability\"\nleast = 1")));
    let sample = |number: u64| Sample {
        load: 0,
        number,
        edge: "other-1".to_owned(),
        last_edge: "one-1".to_owned(),
        sent: Duration::from_millis(100 * number),
        took: Duration::from_millis(number),
        at_edge: Duration::ZERO,
        fate: failing(number),
    };
    let samples: Vec<_> = (0..10).map(sample).collect();
    let buckets = buckets(&scenario.unwrap(), &samples, Duration::from_millis(500));
    let shown: Vec<_> = buckets
        .iter()
        .map(|bucket| {
            (
                bucket.at_ms,
                &*bucket.edge,
                bucket.served_by.as_deref(),
                &*bucket.fate,
                bucket.count,
                bucket.slowest_ms,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (0, "other", None, "no-compliant-region", 1, 4),
            (0, "other", Some("one"), "served", 4, 3),
            (500, "other", None, "no-compliant-region", 1, 5),
            (500, "other", Some("one"), "served", 4, 9),
        ]
    );
}
