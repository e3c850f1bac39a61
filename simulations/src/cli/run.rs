//! `graticule-sim run`: one scenario, with one seed or many.

use clap::value_parser;
use graticule::cli::output::Failure;

use super::seeds::{SEED_MAX, Seeds, run_all};
use super::show::ShowOptions;
use super::source;
use crate::outcome::World;
use crate::run::run as rehearse;
use crate::words::quoted;

/// Run a scenario in memory.
#[derive(Debug, clap::Args)]
pub(super) struct RunOptions {
    /// A scenario's file, or the name of one that comes with the program
    scenario: String,
    /// The seed; the scenario's own without
    #[arg(long, conflicts_with = "seeds", value_parser = value_parser!(u64).range(..=SEED_MAX))]
    seed: Option<u64>,
    /// Many seeds over the cores of this machine; 1..101 are the 100 from 1 to 100, without the end
    #[arg(long, value_name = "A..B", conflicts_with_all = ["report", "trace"])]
    seeds: Option<Seeds>,
    #[command(flatten)]
    shown: ShowOptions,
}

pub(super) fn run(options: &RunOptions) -> Result<(), Failure> {
    let scenario = source::scenario(&options.scenario)?;
    if let Some(seeds) = &options.seeds {
        let summaries = run_all(seeds, |seed| rehearse(&scenario, seed));
        let replay = format!("graticule-sim run {}", quoted(&options.scenario));
        return options.shown.show_seeds(&summaries, &replay);
    }
    let seed = options.seed.unwrap_or(scenario.seed);
    let mut outcome = rehearse(&scenario, seed).map_err(|error| {
        Failure::doing(format!("cannot run {} with seed {seed}", options.scenario), error)
    })?;
    outcome.again = World::Memory.command(&options.scenario, seed);
    options.shown.show(&outcome)
}
