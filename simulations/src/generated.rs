//! Faults that nobody thought of: a scenario made up from a seed, over a fleet of nine nodes.
//!
//! It is made up as text, so that one that found something can be kept as a file.

use std::fmt::Write;
use std::io;

use graticule_node_core::document::Source;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::chance::{Purpose, generator};
use crate::scenario::Scenario;

/// The scenario of a seed.
pub fn scenario(seed: u64) -> io::Result<Scenario> {
    let name = format!("generated-{seed}");
    let (scenario, found) = Scenario::parse(&name, &Source::new(format!("{name}.toml"), text(seed)));
    scenario.ok_or_else(|| {
        let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
        io::Error::other(lines.join("\n"))
    })
}

/// The same as text.
pub fn text(seed: u64) -> String {
    let mut chance = generator(seed, Purpose::Fault, &[]);
    let mut text = format!("title = \"Generated faults of seed {seed}\"\nseed = {seed}\n{STAGE}");
    let faults = chance.random_range(FAULTS);
    let mut quiet_from = 2_000;
    for _ in 0..faults {
        let at_ms = chance.random_range(quiet_from..FAULTS_BEGIN_BEFORE_MS);
        let lasts_ms = chance.random_range(LASTING_MS);
        // Writing to a string cannot fail.
        let _ =
            write!(text, "\n[[fault]]\nat = \"{at_ms}ms\"\nfor = \"{lasts_ms}ms\"\n{}", fault(&mut chance));
        quiet_from = 2_000;
    }
    text
}

/// The keys of one fault.
fn fault(chance: &mut SmallRng) -> String {
    let kind = chance.random_range(0..KINDS);
    let nodes = some_nodes(chance);
    match kind {
        0 | 1 => format!("kind = \"crash\"\nnodes = {nodes}\n"),
        2 => format!("kind = \"crash\"\nnodes = {nodes}\ndisk = \"lost\"\n"),
        3 | 4 => format!("kind = \"stall\"\nnodes = {nodes}\n"),
        5 | 6 => format!("kind = \"cut\"\nfrom = {nodes}\nto = {}\n", some_nodes(chance)),
        7 => format!("kind = \"partition\"\ngroups = {}\n", groups(chance)),
        8 => {
            let loss = f64::from(chance.random_range(1..=40)) / 100.0;
            format!("kind = \"link\"\nfrom = {nodes}\nto = {}\nloss = {loss}\n", some_nodes(chance))
        }
        9 => {
            let (jitter, share) =
                (chance.random_range(1..=80), f64::from(chance.random_range(1..=30)) / 100.0);
            let to = some_nodes(chance);
            format!(
                "kind = \"link\"\nfrom = {nodes}\nto = {to}\njitter = \"{jitter}ms\"\nduplicates = {share}\nreordered = {share}\n"
            )
        }
        10 => {
            let (how, regions) =
                (chance.random_range(0..3), format!("[\"region:{}\"]", one_of(chance, &REGIONS)));
            let how = ["latency = \"400ms\"\nchecks = \"healthy\"", "errors = 0.5", "down = true"][how];
            format!("kind = \"backends\"\nregions = {regions}\n{how}\n")
        }
        11 => format!(
            "kind = \"clock\"\nnodes = {nodes}\ndrift_ppm = {}\n",
            chance.random_range(-50_000..=50_000)
        ),
        12 => format!("kind = \"names\"\nnodes = {nodes}\n"),
        13 | 14 => format!("kind = \"drain\"\nnodes = {nodes}\n"),
        15 => format!("kind = \"upgrade\"\nnodes = [\"{}\"]\npause = \"1s\"\n", one_node(chance)),
        _ => {
            let how = one_of(chance, &["garbage", "truncated", "blank", "missing"]);
            format!("kind = \"geo\"\nnodes = {nodes}\nhow = \"{how}\"\n")
        }
    }
}

/// A node, or a region.
fn some_nodes(chance: &mut SmallRng) -> String {
    match chance.random_range(0..4) {
        0 => format!("[\"region:{}\"]", one_of(chance, &REGIONS)),
        _ => format!("[\"{}\"]", one_node(chance)),
    }
}

fn one_node(chance: &mut SmallRng) -> String {
    let region = one_of(chance, &REGIONS);
    format!("{region}-{}", chance.random_range(1..=NODES_PER_REGION))
}

/// The nodes in two groups, by region or at random.
fn groups(chance: &mut SmallRng) -> String {
    let mut groups = [Vec::new(), Vec::new()];
    let by_region = chance.random();
    for region in REGIONS {
        let side = usize::from(chance.random::<bool>());
        for node in 1..=NODES_PER_REGION {
            let side = if by_region { side } else { usize::from(chance.random::<bool>()) };
            groups[side].push(format!("\"{region}-{node}\""));
        }
    }
    if groups.iter().any(Vec::is_empty) {
        return "[[\"region:eu-central\"], [\"region:us-east\"]]".to_owned();
    }
    format!("[[{}], [{}]]", groups[0].join(", "), groups[1].join(", "))
}

fn one_of<'w>(chance: &mut SmallRng, words: &[&'w str]) -> &'w str {
    words[chance.random_range(0..words.len())]
}

const REGIONS: [&str; 3] = ["eu-central", "us-east", "eu-west"];
const NODES_PER_REGION: u32 = 3;
/// As many as `fault` knows.
const KINDS: u32 = 17;
/// In one scenario.
const FAULTS: std::ops::RangeInclusive<u32> = 1..=5;
/// Faults begin within the first half, so that there is time to see all nodes agree again.
const FAULTS_BEGIN_BEFORE_MS: u64 = 28_000;
const LASTING_MS: std::ops::Range<u64> = 200..10_000;

/// The fleet, its tenants and their clients.
const STAGE: &str = include_str!("generated/stage.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_makes_a_scenario_without_errors() {
        for seed in 0..500 {
            let made = scenario(seed).unwrap();
            assert!(
                !made.faults.is_empty() && made.last_change() + made.convergence <= made.duration,
                "{seed}"
            );
        }
    }

    #[test]
    fn every_kind_of_fault_is_made_up() {
        let mut kinds: Vec<_> = (0..300)
            .flat_map(|seed| scenario(seed).unwrap().faults)
            .map(|timed| timed.fault.kind())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let made = [
            "backends",
            "clock",
            "crash",
            "cut",
            "drain",
            "geo",
            "link",
            "names",
            "partition",
            "stall",
            "upgrade",
        ];
        assert_eq!(kinds, made);
    }
}
