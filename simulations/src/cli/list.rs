//! `graticule-sim list`: the scenarios that come with the program.

use graticule_node_core::document::Source;
use serde::Serialize;

use crate::scenario::Scenario;
use crate::shipped::SHIPPED;
use graticule::cli::output::{Failure, print, print_json};

/// Show the scenarios that come with this program.
#[derive(Debug, clap::Args)]
pub(super) struct ListOptions {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    title: String,
    duration_ms: u64,
    nodes: usize,
    regions: usize,
}

pub(super) fn run(options: &ListOptions) -> Result<(), Failure> {
    let listed: Vec<_> = SHIPPED.iter().filter_map(|(name, text)| listed(name, text)).collect();
    if options.json {
        return print_json(&listed);
    }
    let width = listed.iter().map(|listed| listed.name.len()).max().unwrap_or_default();
    for Listed { name, title, nodes, duration_ms, .. } in &listed {
        print(format_args!("{name:width$}  {nodes:>3} nodes  {:>4} s  {title}", duration_ms / 1_000));
    }
    Ok(())
}

fn listed(name: &'static str, text: &str) -> Option<Listed> {
    let scenario = Scenario::parse(name, &Source::new(name, text)).0?;
    Some(Listed {
        name,
        duration_ms: scenario.duration.as_millis() as u64,
        nodes: scenario.fleet.node_names().count(),
        regions: scenario.fleet.regions.len(),
        title: scenario.title,
    })
}
