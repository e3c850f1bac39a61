//! `graticule-sim fuzz`: faults that nobody thought of, made up from a seed.

use clap::value_parser;
use graticule::cli::output::{Failure, print};

use super::seeds::{SEED_MAX, Seeds, run_all};
use super::show::ShowOptions;
use crate::generated;
use crate::run::run as rehearse;

/// Run generated faults over a fleet of nine nodes.
#[derive(Debug, clap::Args)]
pub(super) struct FuzzOptions {
    /// One seed
    #[arg(long, default_value_t = 1, conflicts_with = "seeds", value_parser = value_parser!(u64).range(..=SEED_MAX))]
    seed: u64,
    /// Many seeds over the cores of this machine; 1..201 are the 200 from 1 to 200, without the end
    #[arg(long, value_name = "A..B", conflicts_with_all = ["report", "trace", "print"])]
    seeds: Option<Seeds>,
    /// Print the scenario instead of running it: what becomes a file in simulations/regressions
    #[arg(long, conflicts_with_all = ["report", "trace", "json"])]
    print: bool,
    #[command(flatten)]
    shown: ShowOptions,
}

pub(super) fn run(options: &FuzzOptions) -> Result<(), Failure> {
    if options.print {
        print(generated::text(options.seed).trim_end());
        return Ok(());
    }
    if let Some(seeds) = &options.seeds {
        let summaries = run_all(seeds, |seed| rehearse(&generated::scenario(seed)?, seed));
        return options.shown.show_seeds(&summaries, "graticule-sim fuzz");
    }
    let failed =
        |error| Failure::doing(format!("cannot run generated faults of seed {}", options.seed), error);
    let outcome = generated::scenario(options.seed).and_then(|scenario| rehearse(&scenario, options.seed));
    let mut outcome = outcome.map_err(failed)?;
    outcome.again = format!("graticule-sim fuzz --seed {}", options.seed);
    options.shown.show(&outcome)
}
