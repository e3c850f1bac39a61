//! What people and scripts type: `graticule-sim`, its output and its exit status.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use graticule_sim::outcome::Outcome;

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_graticule-sim")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A scenario of two seconds in a file of its own, with this for its objective.
fn file(name: &str, objective: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let stage = include_str!("../src/run/first.toml").replace("\"1s\"", "\"2s\"");
    fs::write(&path, format!("{stage}\n[[objective]]\n{objective}\n")).unwrap();
    path
}

#[test]
fn a_run_that_passes_ends_with_0_and_one_that_does_not_with_1() {
    let (good, bad) = (
        file("good.toml", "kind = \"availability\"\nleast = 1"),
        file("bad.toml", "kind = \"latency\"\nmost = \"1ms\""),
    );
    let passed = sim(&["run", good.to_str().unwrap()]);
    assert_eq!(passed.status.code(), Some(0), "{}", text(&passed.stderr));
    let printed = text(&passed.stdout);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], "good with seed 1: passed");
    let (requests, rest) = lines[1].strip_prefix("  memory: ").unwrap().split_once(" requests, ").unwrap();
    assert!(requests.parse::<u64>().unwrap() > 10, "some of twenty a second for two seconds");
    assert!(
        rest.starts_with("no faults, 1 objective, ") && rest.ends_with(" checks of invariants"),
        "{rest}"
    );
    let met =
        format!("  met     availability of all: at least 100 %; measured 100.000 % ({requests} requests)");
    assert_eq!(lines[2..], [met]);
    let failed = sim(&["run", bad.to_str().unwrap(), "--json"]);
    assert_eq!(failed.status.code(), Some(1));
    let outcome: Outcome = serde_json::from_slice(&failed.stdout).unwrap();
    assert!(!outcome.passed && outcome.objectives.len() == 1 && outcome.violations.is_empty());
    let missed = text(&sim(&["run", bad.to_str().unwrap()]).stdout);
    let told = missed.lines().filter(|line| line.trim_start().starts_with("at ")).count();
    assert_eq!(told, 6, "the first three and the last: {missed}");
    assert!(missed.contains(": any/0 to one-1: served by one after "), "{missed}");
}

#[test]
fn what_was_not_judged_is_said() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("idle.toml");
    let stage = include_str!("../src/run/first.toml");
    fs::write(&path, stage.split_once("[load").unwrap().0).unwrap();
    let printed = text(&sim(&["run", path.to_str().unwrap()]).stdout);
    assert!(
        printed.starts_with("idle with seed 1: passed\n  memory: no load, no faults, no objectives, "),
        "{printed}"
    );
}

#[test]
fn a_trace_is_followed_by_the_verdict_on_standard_error() {
    let bad = file("traced.toml", "kind = \"latency\"\nmost = \"1ms\"");
    let output = sim(&["run", bad.to_str().unwrap(), "--trace"]);
    assert_eq!(output.status.code(), Some(1));
    let (traced, verdict) = (text(&output.stdout), text(&output.stderr));
    assert!(traced.starts_with("# fault") && !traced.contains("MISSED"));
    assert!(
        verdict.contains("traced with seed 1: FAILED") && verdict.contains("MISSED  latency of all"),
        "{verdict}"
    );
}

#[test]
fn a_report_says_where_it_is_and_how_to_run_it_again() {
    let good = file("with a space.toml", "kind = \"availability\"\nleast = 1");
    let reports = tempfile::tempdir().unwrap();
    let directory = reports.path().join("new");
    let arguments = ["run", good.to_str().unwrap(), "--json", "--report", directory.to_str().unwrap()];
    let output = sim(&arguments);
    assert_eq!(output.status.code(), Some(0));
    let written = fs::read_to_string(directory.join("report.json")).unwrap();
    assert_eq!(text(&output.stdout), written, "what is printed is what is written");
    let page = directory.join("index.html");
    assert_eq!(text(&output.stderr), format!("the report is {}\n", page.display()));
    let again = serde_json::from_str::<Outcome>(&written).unwrap().again;
    assert_eq!(again, format!("graticule-sim run '{}' --seed 1", good.display()));
}

#[test]
fn a_report_that_cannot_be_written_costs_no_verdict() {
    let good = file("unwritten.toml", "kind = \"availability\"\nleast = 1");
    let output = sim(&["run", good.to_str().unwrap(), "--report", good.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("unwritten with seed 1: passed\n"));
    assert!(text(&output.stderr).contains("no report: cannot write"), "{}", text(&output.stderr));
}

#[test]
fn failing_seeds_are_lines_to_paste() {
    let bad = file("seeds.toml", "kind = \"latency\"\nmost = \"1ms\"");
    let output = sim(&["run", bad.to_str().unwrap(), "--seeds", "4..6"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    assert!(printed.starts_with("0 of 2 seeds passed\n"), "{printed}");
    for seed in [4, 5] {
        let line = format!("graticule-sim run {} --seed {seed}\n", bad.display());
        assert!(printed.contains(&line), "{printed}");
    }
}

#[test]
fn a_file_with_errors_is_shown_with_line_and_column_and_ends_with_1() {
    let broken = file("broken.toml", "kind = \"latency\"\nmost = \"1 ms\"");
    let lines = fs::read_to_string(&broken).unwrap().lines().count();
    for command in [["check", broken.to_str().unwrap()], ["run", broken.to_str().unwrap()]] {
        let output = sim(&command);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("broken.toml:{lines}:8: error: expected a duration");
        assert!(text(&output.stderr).contains(&expected), "{}", text(&output.stderr));
    }
}

#[test]
fn what_is_not_there_ends_with_2() {
    let output = sim(&["run", "region-lots"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("no file and no scenario `region-lots`; did you mean `region-lost`?"), "{said}");
    let directory = sim(&["run", env!("CARGO_MANIFEST_DIR")]);
    assert_eq!(directory.status.code(), Some(2));
    assert!(text(&directory.stderr).contains("is a directory: name one of the scenarios in it"));
    assert_eq!(sim(&["check", "/nowhere/at/all.toml"]).status.code(), Some(2));
    assert_eq!(sim(&["run", "region-lost", "--seeds", "9..3"]).status.code(), Some(2));
}

#[test]
fn the_list_has_every_scenario_with_its_title() {
    let listed = text(&sim(&["list"]).stdout);
    assert!(listed.lines().count() >= 12, "{listed}");
    assert!(listed.contains("A region is lost"));
    let json: serde_json::Value = serde_json::from_slice(&sim(&["list", "--json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), listed.lines().count());
}

#[test]
fn made_up_faults_are_printed_as_a_scenario() {
    let printed = text(&sim(&["fuzz", "--seed", "9", "--print"]).stdout);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("made-up.toml");
    fs::write(&path, printed).unwrap();
    assert_eq!(sim(&["check", path.to_str().unwrap()]).status.code(), Some(0));
}

/// A path of this crate.
fn own(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn check_takes_files_directories_and_names() {
    let output = sim(&["check", "region-lost", &own("fleets"), &own("scenarios/geo-broken.toml")]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "5 scenarios: no errors\n"));
    assert_eq!(text(&sim(&["check", "region-lost"]).stdout), "1 scenario: no errors\n");
    // Its only *.toml is Cargo.toml; scenarios are in directories within.
    let output = sim(&["check", &own("")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no scenario in"), "{}", text(&output.stderr));
    let late = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("late.toml");
    let shipped = text(&sim(&["show", "region-lost-and-back"]).stdout);
    fs::write(&late, format!("convergence = \"1h\"\n{shipped}")).unwrap();
    let output = sim(&["check", late.to_str().unwrap()]);
    assert_eq!(
        (output.status.code(), &*text(&output.stdout)),
        (Some(0), "1 scenario: no errors, 1 warning\n")
    );
}

#[test]
fn what_comes_with_the_program_is_printed_to_be_copied() {
    let shown = text(&sim(&["show", "region-lost"]).stdout);
    assert_eq!(shown, include_str!("../scenarios/region-lost.toml"));
    let schema: serde_json::Value = serde_json::from_slice(&sim(&["schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "A scenario of graticule-sim");
}

#[test]
fn one_file_has_one_scenario() {
    assert_eq!(sim(&["scale", "--print", "--nodes", "9,40"]).status.code(), Some(2));
    let printed = sim(&["scale", "--print", "--nodes", "40"]);
    assert_eq!(printed.status.code(), Some(0));
    assert!(text(&printed.stdout).parse::<toml::Table>().is_ok());
}

#[test]
fn what_live_refuses_is_told_with_its_place_and_was_not_played() {
    let output = sim(&["live", &own("fleets/forty-death.toml")]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("forty-death.toml:9:2: error: 40 nodes are too many"), "{said}");
}

#[test]
fn completions_do_not_mind_a_reader_that_leaves() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_graticule-sim"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
