//! `graticule-sim scale`: what fleets of several sizes cost, and how fast they agree.

use clap::value_parser;
use graticule::cli::output::{Failure, print, print_error, print_json};

use super::seeds::SEED_MAX;
use crate::scale::{self, NODES_MAX, Survey};

/// Measure fleets of several sizes.
#[derive(Debug, clap::Args)]
pub(super) struct ScaleOptions {
    /// How many nodes, one fleet after the other
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', default_value = "9,50,200",
          value_parser = value_parser!(u16).range(3..=i64::from(NODES_MAX)))]
    nodes: Vec<u16>,
    /// The seed
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(..=SEED_MAX))]
    seed: u64,
    /// Print the scenario of one size instead of running it
    #[arg(long, conflicts_with = "json")]
    print: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &ScaleOptions) -> Result<(), Failure> {
    if options.print {
        let [nodes] = options.nodes[..] else {
            let message = "a file has one scenario: say which size to print, as `--nodes 40`";
            return Err(Failure::Failed(message.to_owned()));
        };
        print(scale::text(nodes).trim_end());
        return Ok(());
    }
    let mut surveys = Vec::new();
    if !options.json {
        head();
    }
    for nodes in &options.nodes {
        let survey = scale::survey(*nodes, options.seed)
            .map_err(|error| Failure::doing(format!("cannot measure a fleet of {nodes} nodes"), error))?;
        if !options.json {
            line(&survey);
        }
        surveys.push(survey);
    }
    if options.json {
        print_json(&surveys)?;
    }
    let findings: Vec<_> = surveys.iter().flat_map(|survey| &survey.findings).collect();
    if findings.is_empty() {
        return Ok(());
    }
    findings.iter().for_each(print_error);
    Err(Failure::Found)
}

fn head() {
    print(
        "agreed: ms until gossip told all the same, after the start and after a death; spared: ms until nobody",
    );
    print(
        "would have given the dead a request; gossip, control: kB a second of each node; CPU: ms a second of each node",
    );
    print("");
    print(" nodes  regions  agreed (start)  spared  agreed (death)  gossip  control    CPU  x real time");
}

fn line(survey: &Survey) {
    let known = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
    print(format_args!(
        "{:>6}  {:>7}  {:>14}  {:>6}  {:>14}  {:>6.1}  {:>7.1}  {:>5.1}  {:>11.1}",
        survey.nodes,
        survey.regions,
        survey.agreed_after_start_ms,
        known(survey.spared_after_death_ms),
        known(survey.agreed_after_death_ms),
        survey.gossip.bytes / 1_000.0,
        survey.control.bytes / 1_000.0,
        survey.node_cpu_ms,
        survey.times_real_time,
    ));
}
