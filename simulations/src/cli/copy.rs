//! `graticule-sim show` and `graticule-sim schema`: what comes with the program, to copy and to write by.

use super::source;
use graticule::cli::output::{Failure, print};

/// Print a scenario, to copy and change.
#[derive(Debug, clap::Args)]
pub(super) struct CopyOptions {
    /// The name of one that comes with the program, or a file
    scenario: String,
}

pub(super) fn scenario(options: &CopyOptions) -> Result<(), Failure> {
    let (_, source) = source::find(&options.scenario)?;
    print(String::from_utf8_lossy(&source.text).trim_end());
    Ok(())
}

pub(super) fn schema() {
    print(SCHEMA.trim_end());
}

const SCHEMA: &str = include_str!("../../scenario.schema.json");
