//! The same scenario and seed give the same run, byte for byte: twice in one process, and in two processes.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::process::Command;

use graticule_node_core::document::Source;
use graticule_sim::outcome::Outcome;
use graticule_sim::report;
use graticule_sim::run::run;
use graticule_sim::scenario::Scenario;

/// Loss, a crash with a return, a narrow link and chance in backends: all that draws and all that waits.
const EVENTFUL: &str = include_str!("eventful.toml");

fn outcome(seed: u64) -> Outcome {
    let (scenario, found) = Scenario::parse("eventful", &Source::new("eventful.toml", EVENTFUL));
    run(&scenario.unwrap_or_else(|| panic!("{found:?}")), seed).unwrap()
}

/// What the program prints, run as a process of its own.
fn printed(arguments: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_graticule-sim");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/eventful.toml");
    let output = Command::new(program).arg("run").arg(file).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_runs_in_one_process_agree_in_every_event() {
    let (first, second) = (outcome(3), outcome(3));
    let differs = first.trace.iter().zip(&second.trace).find(|(one, other)| one != other);
    assert_eq!(differs, None, "the first event that differs");
    assert_eq!(serde_json::to_string(&first).unwrap(), serde_json::to_string(&second).unwrap());
    let count = |kind: &str| first.trace.iter().filter(|line| line.kind == kind).count();
    for (kind, least) in
        [("ask", 500), ("serve", 400), ("answer", 500), ("tunnel", 20), ("fault", 4), ("log", 1)]
    {
        assert!(count(kind) >= least, "only {} lines of {kind}", count(kind));
    }
}

#[test]
fn two_processes_agree_in_every_byte() {
    let trace = printed(&["--seed", "3", "--trace"]);
    assert!(trace.lines().count() > 2_000, "{} lines", trace.lines().count());
    assert!(trace == printed(&["--seed", "3", "--trace"]), "the traces differ");
    let printed = printed(&["--seed", "3", "--json"]);
    // The library does not know where the file is.
    let again = serde_json::from_str::<Outcome>(&printed).unwrap().again;
    assert_eq!(printed, report::json(&Outcome { again, ..outcome(3) }).unwrap(), "what report.json says");
}

#[test]
fn another_seed_is_another_run() {
    assert_ne!(outcome(3).trace, outcome(4).trace);
}
