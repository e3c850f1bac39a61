//! `graticule-sim run`: one scenario, with one seed or many.

use std::path::PathBuf;

use super::output::{Failure, print_json};
use super::seeds::{Seeds, run_all};
use super::{show, source};
use crate::report;
use crate::run::run as rehearse;

/// Run a scenario in memory.
#[derive(Debug, clap::Args)]
pub(super) struct RunOptions {
    /// A scenario's file, or the name of one that comes with the program
    scenario: String,
    /// The seed; the scenario's own without
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Many seeds, as 1..101, over the cores of this machine
    #[arg(long, value_name = "A..B", conflicts_with_all = ["report", "trace"])]
    seeds: Option<Seeds>,
    /// Print one line for each event
    #[arg(long)]
    trace: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "trace")]
    json: bool,
    /// Write a page to look at (index.html) and report.json into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

pub(super) fn run(options: &RunOptions) -> Result<(), Failure> {
    let scenario = source::scenario(&options.scenario)?;
    if let Some(seeds) = &options.seeds {
        let summaries = run_all(seeds, |seed| rehearse(&scenario, seed));
        if options.json {
            print_json(&summaries)?;
        } else {
            show::summaries(&summaries, &format!("graticule-sim run {}", options.scenario));
        }
        let passed = summaries.iter().all(|summary| summary.passed);
        return if passed { Ok(()) } else { Err(Failure::Found) };
    }
    let seed = options.seed.unwrap_or(scenario.seed);
    let outcome = rehearse(&scenario, seed).map_err(|error| {
        Failure::doing(format!("cannot run {} with seed {seed}", options.scenario), error)
    })?;
    if let Some(directory) = &options.report {
        report::write(&outcome, directory).map_err(|error| Failure::doing("no report", error))?;
    }
    if options.json {
        print_json(&outcome)?;
    } else if options.trace {
        show::trace(&outcome);
    } else {
        show::outcome(&outcome);
    }
    show::result(&outcome)
}
