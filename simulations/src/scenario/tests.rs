//! Is a scenario read as it was meant, and is everything that is wrong with it said at its place.

use super::*;

const SMALL: &str = r#"
title = "A region is lost"
duration = "60s"

[regions.eu-central]
country = "DE"
latitude = 50.1
longitude = 8.7
labels = ["europe"]
nodes = 2

[regions.us-east]
country = "US"
latitude = 39.0
longitude = -77.5

[tenants.berlin]
pools = ["region:eu-central"]
residency = { allow = ["set:EU"] }

[load.steady]
tenant = "berlin"
edges = ["any"]
per_second = 10

[[fault]]
kind = "crash"
at = "10s"
for = "1s"
every = "5s"
until = "22s"
nodes = ["label:europe"]

[[objective]]
kind = "availability"
tenant = "berlin"
least = 0.9
"#;

fn parse_text(text: &str) -> (Option<Scenario>, Vec<String>) {
    let (scenario, found) = Scenario::parse("small", &Source::new("small.toml", text));
    (scenario, found.iter().map(ToString::to_string).collect())
}

/// What is reported when `from` is replaced by `to`.
#[track_caller]
fn broken(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from}");
    let (scenario, found) = parse_text(&SMALL.replace(from, to));
    assert!(scenario.is_none());
    found
}

#[test]
fn selectors_become_nodes_and_repetitions_moments() {
    let (scenario, found) = parse_text(SMALL);
    assert_eq!(found, [""; 0]);
    let scenario = scenario.unwrap();
    let Fault::Crash { nodes, disk } = &scenario.faults[0].fault else { panic!("{:?}", scenario.faults) };
    assert_eq!(
        (nodes.as_slice(), *disk),
        (&["eu-central-1".to_owned(), "eu-central-2".to_owned()][..], DiskFate::Kept)
    );
    let times: Vec<_> = scenario
        .occurrences()
        .iter()
        .map(|found| (found.at.as_secs(), found.ends.unwrap().as_secs()))
        .collect();
    assert_eq!(times, [(10, 11), (15, 16), (20, 21)]);
    assert_eq!(scenario.last_change(), Duration::from_secs(21));
    assert_eq!(scenario.loads[0].edges.len(), 3);
    assert_eq!(scenario.objectives[0].demand, Demand::Availability { least: 0.9 });
    assert_eq!(scenario.loads[0].timeout, Duration::from_secs(10), "unless another is written");
}

#[test]
fn what_is_wrong_is_said_with_line_and_column() {
    assert_eq!(
        broken("kind = \"crash\"", "kind = \"crush\""),
        ["small.toml:27:8: error: unknown kind of fault `crush`\n  help: did you mean `crash`?",]
    );
    assert_eq!(
        broken("nodes = [\"label:europe\"]", "nodes = [\"eu-central-3\"]"),
        [
            "small.toml:32:10: error: unknown node or place `eu-central-3`\n  help: did you mean `eu-central-1`?"
        ]
    );
    assert_eq!(
        broken("tenant = \"berlin\"\nedges", "tenant = \"bern\"\nedges"),
        ["small.toml:22:10: error: unknown tenant `bern`\n  help: there is `berlin`"]
    );
    assert_eq!(
        broken("least = 0.9", "least = 0.9\nwithin = \"1s\""),
        [
            "small.toml:38:1: error: `availability` has no key `within`\n  help: there is `kind`, `tenant`, `load`, `from`, `until`, `least`"
        ]
    );
    assert_eq!(
        broken("for = \"1s\"", "for = \"6s\""),
        [
            "small.toml:30:9: error: it begins again before it has ended\n  help: make `for` shorter than `every`"
        ]
    );
}

#[test]
fn a_last_fault_without_time_to_settle_is_warned_of() {
    let (scenario, found) = parse_text(&SMALL.replace("60s", "30s"));
    assert!(scenario.is_some());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("small.toml:3:12: warning:"), "{found:?}");
}
