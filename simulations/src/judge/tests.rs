//! Are objectives judged as they are meant: ten requests, and what became of each.

use graticule_node_core::document::Source;

use super::*;
use crate::outcome::Misses;

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

fn scenario(objective: &str) -> Scenario {
    let source = Source::new("judged.toml", format!("{STAGE}{objective}"));
    let (scenario, found) = Scenario::parse("judged", &source);
    scenario.unwrap_or_else(|| panic!("{found:?}"))
}

/// A request sent when its number is, in seconds.
fn sample(number: u64, fate: Fate) -> Sample {
    Sample {
        load: 0,
        number,
        edge: "one-1".to_owned(),
        last_edge: "one-1".to_owned(),
        sent: Duration::from_secs(number),
        took: Duration::from_millis(10 * (number + 1)),
        at_edge: Duration::from_millis(10),
        fate,
    }
}

/// Ten requests, one a second: what became of each is told by `fate`.
fn judged(objective: &str, fate: impl Fn(u64) -> Fate) -> Verdict {
    let samples: Vec<_> = (0..10).map(|number| sample(number, fate(number))).collect();
    verdicts(&scenario(objective), &samples).remove(0)
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
    assert_eq!((verdict.met, verdict.value, verdict.requests), (true, Some(0.8), 10));
    assert!(!judged("kind = \"availability\"\nleast = 0.81", failing).met);
    let failed = |_| Fate::Answered { status: 500, region: "one".to_owned() };
    assert!(judged("kind = \"availability\"\nleast = 0.5", failed).value == Some(0.0));
    assert_eq!(judged("kind = \"availability\"\nleast = 0.5\nfrom = \"6s\"", failing).requests, 4);
}

#[test]
fn recovery_is_the_time_to_the_last_that_failed() {
    let verdict = judged("kind = \"recovery\"\nfrom = \"3s\"\nwithin = \"2s\"", failing);
    assert_eq!((verdict.met, verdict.value), (true, Some(2_000.0)));
    assert!(!judged("kind = \"recovery\"\nfrom = \"3s\"\nwithin = \"1999ms\"", failing).met);
    assert!(judged("kind = \"recovery\"\nfrom = \"6s\"\nwithin = \"1s\"", failing).value == Some(0.0));
}

#[test]
fn an_answer_may_be_too_slow_to_be_recovered() {
    let slow = |ms| format!("kind = \"recovery\"\nfrom = \"1s\"\nwithin = \"5s\"\nslower_than = \"{ms}ms\"");
    // Number 7, sent at 7 s, took 80 ms.
    let until = |second: u32| format!("\nuntil = \"{second}s\"");
    // So did those after it, longer and longer.
    let late = judged(&(slow(79) + &until(8)), |_| served("one"));
    assert_eq!((late.met, &*late.measured), (false, "not recovered by the end"));
    let verdict = judged(&(slow(80) + &until(8)), |_| served("one"));
    assert_eq!((verdict.met, verdict.value), (true, Some(0.0)));
}

#[test]
fn who_fails_to_the_end_has_not_recovered_however_long_it_may_take() {
    let fails_from_4 = |number| if number < 4 { served("one") } else { Fate::NoAnswer };
    let verdict = judged("kind = \"recovery\"\nfrom = \"3s\"\nwithin = \"1h\"", fails_from_4);
    assert_eq!((verdict.met, verdict.value, &*verdict.measured), (false, None, "not recovered by the end"));
    assert_eq!(requests(&verdict.misses), ["all/4", "all/5", "all/6", "all/7", "all/8", "all/9"]);
}

/// The requests that are told, in order.
fn requests(misses: &Misses) -> Vec<&str> {
    misses.told().map(|miss| &*miss.request).collect()
}

#[test]
fn a_missed_objective_names_the_first_and_the_last_requests_that_missed_it() {
    let verdict = judged("kind = \"availability\"\nleast = 1", |_| refused("overloaded"));
    assert_eq!(verdict.misses.count, 10);
    assert_eq!(requests(&verdict.misses), ["all/0", "all/1", "all/2", "all/7", "all/8", "all/9"]);
    let first = &verdict.misses.first[0];
    assert_eq!(first.text(), "at 0.000 s: all/0 to one-1: overloaded after 10.000 ms");
    assert_eq!(
        judged("kind = \"availability\"\nleast = 0.5", failing).misses,
        Misses::default(),
        "it is met"
    );
}

#[test]
fn only_what_speaks_against_an_objective_is_told() {
    let told = |objective: &str, fate: fn(u64) -> Fate| {
        let verdict = judged(objective, fate);
        assert!(!verdict.met, "{objective}");
        requests(&verdict.misses).join(" ")
    };
    // Requests 4 and 5 fail; 4 was sent in time.
    assert_eq!(told("kind = \"recovery\"\nfrom = \"3s\"\nwithin = \"1s\"", failing), "all/5");
    let two_reasons = |number| match number {
        3 => refused("overloaded"),
        other => failing(other),
    };
    assert_eq!(told("kind = \"refusals\"\nonly = [\"overloaded\"]", two_reasons), "all/4 all/5");
    let both = "kind = \"refusals\"\nonly = [\"overloaded\", \"no-compliant-region\"]\nmost = 0.1";
    assert_eq!(told(both, two_reasons), "all/3 all/4 all/5");
    assert_eq!(told("kind = \"latency\"\nquantile = 1\nmost = \"80ms\"", failing), "all/8 all/9");
    let elsewhere = |number| if number == 7 { served("other") } else { failing(number) };
    assert_eq!(told("kind = \"served\"\nby = [\"region:one\"]", elsewhere), "all/7");
}

#[test]
fn of_nothing_served_there_is_no_latency_and_none_that_is_met() {
    let verdict = judged("kind = \"latency\"\nmost = \"1h\"", |_| refused("overloaded"));
    assert_eq!((verdict.met, verdict.value, &*verdict.measured), (false, None, "none served"));
    let verdict = judged("kind = \"served\"\nby = [\"region:one\"]\nleast = 0", |_| Fate::NoAnswer);
    assert_eq!((verdict.met, &*verdict.measured), (false, "none answered"));
}

#[test]
fn lengths_have_the_same_decimals_whatever_they_are() {
    let verdict = judged("kind = \"latency\"\nquantile = 0.9\nmost = \"90ms\"", |_| served("one"));
    assert_eq!(verdict.measured, "90.000 ms");
    assert_eq!(judged("kind = \"recovery\"\nwithin = \"9s\"", failing).measured, "5000.000 ms");
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
    assert_eq!((verdict.met, verdict.value), (true, Some(90.0)));
    assert!(!judged("kind = \"latency\"\nquantile = 0.91\nmost = \"90ms\"", |_| served("one")).met);
}

#[test]
fn who_served_is_counted_among_those_answered() {
    let by = |number| if number < 3 { served("other") } else { failing(number) };
    let verdict = judged("kind = \"served\"\nby = [\"region:other\"]\nleast = 0.37", by);
    assert_eq!((verdict.met, verdict.value), (true, Some(3.0 / 8.0)));
}

#[test]
fn an_objective_about_nobody_is_missed() {
    let verdict = judged("kind = \"availability\"\nleast = 0\nfrom = \"9500ms\"", failing);
    assert_eq!((verdict.met, verdict.requests), (false, 0));
}

#[test]
fn the_last_request_is_judged_even_if_a_timer_puts_it_at_the_end() {
    let scenario = scenario("kind = \"availability\"\nleast = 1");
    let late = Sample { sent: scenario.duration, ..sample(0, Fate::NoAnswer) };
    assert_eq!(verdicts(&scenario, &[late]).remove(0).requests, 1);
}

#[test]
fn buckets_add_up_to_all_requests_by_the_edges_they_came_to_first() {
    let came_to_the_other = |number: u64| Sample {
        edge: "other-1".to_owned(),
        sent: Duration::from_millis(100 * number),
        took: Duration::from_millis(number),
        ..sample(number, failing(number))
    };
    let samples: Vec<_> = (0..10).map(came_to_the_other).collect();
    let scenario = scenario("kind = \"availability\"\nleast = 1");
    let buckets = buckets(&scenario, &samples, Duration::from_millis(500));
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
