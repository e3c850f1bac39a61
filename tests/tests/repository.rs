//! What holds for the repository itself: who imports whom, what is pure, and how files look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use graticule_tests::{Source, sources, workspace};

/// Every crate of ours with what it may depend on among ours.
const CRATES: [(&str, &[&str]); 8] = [
    ("geo", &[]),
    ("gossip/core", &["graticule-geo"]),
    ("node/core", &["graticule-geo", "graticule-gossip-core"]),
    ("node/api", &["graticule-geo", "graticule-gossip-core"]),
    ("gossip", &["graticule-gossip-core"]),
    (
        "node",
        &[
            "graticule-geo",
            "graticule-gossip",
            "graticule-gossip-core",
            "graticule-node-api",
            "graticule-node-core",
        ],
    ),
    (
        "simulations",
        &[
            "graticule",
            "graticule-geo",
            "graticule-gossip",
            "graticule-gossip-core",
            "graticule-node-api",
            "graticule-node-core",
        ],
    ),
    // Processes are its business. The library gives it the delays of a network, the others words and numbers.
    ("tests", &["graticule", "graticule-geo", "graticule-node-api"]),
];

/// Crates that decide and never act: time and chance are arguments.
const PURE: [&str; 4] = ["geo", "gossip/core", "node/core", "node/api"];

#[test]
fn crates_import_only_what_their_place_allows() {
    let members = manifest(".")["workspace"]["members"].as_array().unwrap().len();
    assert_eq!(members, CRATES.len(), "a crate is missing in the table above");
    for (directory, allowed) in CRATES {
        let dependencies = dependencies(directory);
        let ours = dependencies.iter().filter(|name| name.starts_with("graticule"));
        let odd: Vec<_> = ours.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(odd.is_empty(), "{directory} must not depend on {odd:?}");
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for (directory, _) in CRATES {
        let lints = manifest(directory).get("lints").and_then(|lints| lints["workspace"].as_bool());
        assert_eq!(lints, Some(true), "{directory}/Cargo.toml");
    }
}

#[test]
fn pure_crates_have_no_door_to_the_world() {
    const WORLDLY: [&str; 12] = [
        "async-std",
        "axum",
        "getrandom",
        "hyper",
        "hyper-util",
        "mio",
        "quinn",
        "rand",
        "rustix",
        "socket2",
        "tokio",
        "tracing",
    ];
    const DOORS: [&str; 14] = [
        "Instant::now",
        "SystemTime",
        "TcpListener",
        "TcpStream",
        "UdpSocket",
        "thread::sleep",
        "thread::spawn",
        "std::env",
        "std::fs",
        "std::process",
        "Mutex",
        "RwLock",
        "Condvar",
        "RandomState",
    ];
    for directory in PURE {
        let worldly: Vec<_> =
            dependencies(directory).into_iter().filter(|name| WORLDLY.contains(&name.as_str())).collect();
        assert!(worldly.is_empty(), "{directory} depends on {worldly:?}");
        for source in production_of(directory) {
            let code = source.production();
            let doors: Vec<_> = DOORS.iter().filter(|door| code.contains(*door)).collect();
            assert!(doors.is_empty(), "{} uses {doors:?}", source.path);
            assert!(!has_word(&code, "async"), "{} waits", source.path);
        }
    }
}

/// What stages of a decision share: words, and one way to draw.
const SHARED_BY_STAGES: [&str; 2] = ["rationale", "two_choices"];

#[test]
fn the_stages_of_a_decision_do_not_know_each_other() {
    let stages: Vec<_> =
        files_in("node/core/src/decide/").into_iter().filter(|(_, source)| !source.is_test()).collect();
    let names: BTreeSet<_> = stages.iter().map(|(name, _)| name.clone()).collect();
    assert!(names.len() >= 6, "the stages have moved: {names:?}");
    for (name, source) in stages {
        let mut seen = source.names_after("super::");
        seen.extend(source.names_after("crate::decide::"));
        let odd = seen.iter().filter(|seen| names.contains(*seen) && **seen != name);
        let odd: Vec<_> = odd.filter(|seen| !SHARED_BY_STAGES.contains(&seen.as_str())).collect();
        assert!(odd.is_empty(), "{name} imports {odd:?}: only decide.rs sees all stages");
    }
}

/// What every part of the node may use.
const GROUND: [&str; 8] = ["body", "early", "identity", "shared", "task", "ticker", "tunnel", "world"];

/// What joins parts: the node itself, the command line, and the demo, which is one of its commands.
const JOINS: [&str; 4] = ["cli", "demo", "main", "node"];

/// Imports among parts, each with its reason.
const AGREED: [(&str, &str, &str); 6] = [
    ("body", "pool", "an answer's body is a backend's"),
    ("body", "relay", "or comes through a tunnel"),
    ("gateway", "ingress", "implements its handler"),
    ("gateway", "pool", "a request's way leads to a backend of this region"),
    ("gateway", "relay", "or through a tunnel"),
    ("telemetry", "certificates", "tells when those that clients see end"),
];

#[test]
fn parts_of_the_node_do_not_know_each_other() {
    let imports = imports_of_parts();
    let agreed = |from: &str, to: &str| AGREED.iter().any(|(a, b, _)| (*a, *b) == (from, to));
    let joined = imports.iter().filter(|(part, _)| !JOINS.contains(&part.as_str()));
    let mut odd = Vec::new();
    for (part, imported) in joined {
        let others = imported.iter().filter(|other| *other != part && !GROUND.contains(&other.as_str()));
        odd.extend(
            others.filter(|other| !agreed(part, other)).map(|other| format!("{part} imports {other}")),
        );
    }
    assert!(odd.is_empty(), "only node.rs joins parts: {odd:?}");
}

#[test]
fn every_agreed_import_is_made() {
    let imports = imports_of_parts();
    for (from, to, reason) in AGREED {
        let made = imports.get(from).is_some_and(|imported| imported.contains(to));
        assert!(made, "{from} no longer imports {to} ({reason}): take it out of the list");
    }
}

#[test]
fn nothing_is_unsafe_but_the_simulators_own_randomness() {
    let unsafe_files: Vec<_> = sources()
        .into_iter()
        .filter(|source| has_word(&source.code(), "unsafe"))
        .map(|source| source.path)
        .collect();
    assert_eq!(unsafe_files, ["simulations/src/entropy.rs"]);
    let hook = sources().into_iter().find(|source| source.path == unsafe_files[0]).unwrap();
    let uses = hook.code().lines().filter(|line| has_word(line, "unsafe")).count();
    assert_eq!(uses, 2, "one exported symbol, and one slice of its caller's buffer");
    for (directory, _) in CRATES.iter().filter(|(directory, _)| *directory != "simulations") {
        assert!(!dependencies(directory).contains("graticule-sim"), "{directory} is linked with that");
    }
}

#[test]
fn every_file_says_which_question_it_answers() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//! "));
    let silent: Vec<_> = silent.map(|source| source.path).collect();
    assert!(silent.is_empty(), "no first line that begins with `//! `: {silent:?}");
}

#[test]
fn no_file_has_more_lines_than_one_can_keep_in_mind() {
    const LINES_MAX: usize = 600;
    let lines = |source: &Source| source.production().lines().count();
    let long = sources().into_iter().filter(|source| lines(source) > LINES_MAX);
    let long: Vec<_> = long.map(|source| source.path).collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines without tests: {long:?}");
}

#[test]
fn no_module_is_called_mod() {
    let old: Vec<_> =
        sources().into_iter().map(|source| source.path).filter(|path| path.ends_with("/mod.rs")).collect();
    assert!(old.is_empty(), "a module `foo` is in foo.rs, its parts in foo/: {old:?}");
}

/// For every part of the node, what it imports of the others.
fn imports_of_parts() -> BTreeMap<String, BTreeSet<String>> {
    let mut imports = BTreeMap::<_, BTreeSet<_>>::new();
    for (part, source) in files_in("node/src/") {
        imports.entry(part).or_default().extend(source.names_after("crate::"));
    }
    let parts: BTreeSet<_> = imports.keys().cloned().collect();
    assert!(parts.contains("gateway") && parts.contains("node"), "the parts have moved: {parts:?}");
    for imported in imports.values_mut() {
        imported.retain(|name| parts.contains(name));
    }
    imports
}

/// The files under a directory of modules, each with the name of the module that it belongs to.
fn files_in(directory: &str) -> Vec<(String, Source)> {
    let named = |source: Source| {
        let within = source.path.strip_prefix(directory)?;
        let name = within.split('/').next()?.trim_end_matches(".rs").to_owned();
        (name != "lib").then_some((name, source))
    };
    sources().into_iter().filter_map(named).collect()
}

fn production_of(directory: &str) -> Vec<Source> {
    let prefix = format!("{directory}/src/");
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.path.starts_with(&prefix) && !source.is_test())
        .collect();
    assert!(!found.is_empty(), "nothing in {prefix}");
    found
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|character: char| !character.is_alphanumeric() && character != '_').any(|found| found == word)
}

fn manifest(directory: &str) -> toml::Table {
    let path = workspace().join(directory).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a crate needs to be built, for whatever target; not what its tests need.
fn dependencies(directory: &str) -> BTreeSet<String> {
    let manifest = manifest(directory);
    let mut tables: Vec<_> = manifest.get("dependencies").into_iter().collect();
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(
        targets.into_iter().flat_map(toml::Table::values).filter_map(|target| target.get("dependencies")),
    );
    tables.extend(manifest.get("build-dependencies"));
    tables.into_iter().filter_map(toml::Value::as_table).flat_map(|table| table.keys().cloned()).collect()
}
