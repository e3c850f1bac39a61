//! `graticule-sim fuzz`: faults that nobody thought of, made up from a seed.

use super::output::{Failure, print, print_json};
use super::seeds::{Seeds, run_all};
use super::show;
use crate::generated;
use crate::run::run as rehearse;

/// Run generated faults over a fleet of nine nodes.
#[derive(Debug, clap::Args)]
pub(super) struct FuzzOptions {
    /// One seed
    #[arg(long, default_value_t = 1, conflicts_with = "seeds")]
    seed: u64,
    /// Many seeds, as 1..201, over the cores of this machine
    #[arg(long, value_name = "A..B", conflicts_with_all = ["trace", "print"])]
    seeds: Option<Seeds>,
    /// Print one line for each event
    #[arg(long)]
    trace: bool,
    /// Print the scenario instead of running it: what becomes a file in simulations/regressions
    #[arg(long, conflicts_with_all = ["trace", "json"])]
    print: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "trace")]
    json: bool,
}

pub(super) fn run(options: &FuzzOptions) -> Result<(), Failure> {
    if options.print {
        print(generated::text(options.seed).trim_end());
        return Ok(());
    }
    if let Some(seeds) = &options.seeds {
        let summaries = run_all(seeds, |seed| rehearse(&generated::scenario(seed)?, seed));
        if options.json {
            print_json(&summaries)?;
        } else {
            show::summaries(&summaries, "graticule-sim fuzz");
        }
        let passed = summaries.iter().all(|summary| summary.passed);
        return if passed { Ok(()) } else { Err(Failure::Found) };
    }
    let failed =
        |error| Failure::doing(format!("cannot run generated faults of seed {}", options.seed), error);
    let outcome = generated::scenario(options.seed).and_then(|scenario| rehearse(&scenario, options.seed));
    let outcome = outcome.map_err(failed)?;
    if options.json {
        print_json(&outcome)?;
    } else if options.trace {
        show::trace(&outcome);
    } else {
        show::outcome(&outcome);
    }
    show::result(&outcome)
}
