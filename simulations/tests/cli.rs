//! What people and scripts type: `graticule-sim`, its output and its exit status.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

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
    assert!(
        text(&passed.stdout).starts_with("good with seed 1: passed\n  met     availability at least 100 %")
    );
    let failed = sim(&["run", bad.to_str().unwrap(), "--json"]);
    assert_eq!(failed.status.code(), Some(1));
    let outcome: Outcome = serde_json::from_slice(&failed.stdout).unwrap();
    assert!(!outcome.passed && outcome.objectives.len() == 1 && outcome.violations.is_empty());
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
    assert!(text(&output.stderr).contains("no file and no scenario `region-lots`"));
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
