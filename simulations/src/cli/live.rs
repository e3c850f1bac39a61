//! `graticule-sim live`: a scenario with real processes on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use graticule::cli::output::{Failure, print_error};
use graticule::task;
use graticule_node_core::document::Diagnostic;
use tokio::signal::unix::{SignalKind, signal};

use super::show::ShowOptions;
use super::source;
use crate::live::{self, Programs, Rehearsed, child, janitor};
use crate::scenario::Scenario;

/// Run a scenario with real processes on this machine.
#[derive(Debug, clap::Args)]
pub(super) struct LiveOptions {
    /// A scenario's file, or the name of one that comes with the program
    scenario: String,
    /// The seed of arrivals and of the dice of links; the scenario's own without
    #[arg(long)]
    seed: Option<u64>,
    /// The node's program; `graticule` beside this one without
    #[arg(long, value_name = "FILE")]
    graticule: Option<PathBuf>,
    #[command(flatten)]
    shown: ShowOptions,
}

/// Start a program that ends with this one: how a rehearsal starts its nodes.
#[derive(Debug, clap::Args)]
pub(super) struct ChildOptions {
    /// The number of the process that starts it
    #[arg(long)]
    parent: u32,
    /// The program
    program: OsString,
    /// What it is started with
    #[arg(last = false, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Remove a rehearsal's directory when the process that wrote it has ended, which closes standard input.
#[derive(Debug, clap::Args)]
pub(super) struct TidyOptions {
    /// The directory
    directory: PathBuf,
}

pub(super) fn run(options: &LiveOptions) -> Result<(), Failure> {
    let scenario = source::scenario(&options.scenario)?;
    let found = live::impossible(&source::file(&options.scenario), &scenario);
    found.iter().for_each(print_error);
    if found.iter().any(Diagnostic::is_error) {
        return Err(Failure::Found);
    }
    let programs = programs(options)?;
    let seed = options.seed.unwrap_or(scenario.seed);
    let Rehearsed { outcome, late } = rehearse(&scenario, seed, programs)?;
    if let Some(late) = late {
        let late = late.as_millis();
        print_error(format_args!(
            "graticule-sim: this machine was up to {late} ms late; what was missed may be its doing"
        ));
    }
    options.shown.show(&outcome)
}

/// Becomes the program. Returns only if that failed.
pub(super) fn become_child(options: &ChildOptions) -> Result<(), Failure> {
    let error = child::become_program(options.parent, &options.program, &options.arguments);
    Err(Failure::doing(format!("cannot start {}", Path::new(&options.program).display()), error))
}

/// Waits for the end of who started this, and removes its directory.
pub(super) fn tidy(options: &TidyOptions) -> Result<(), Failure> {
    let removed = janitor::wait_and_remove(&options.directory);
    removed.map_err(|error| Failure::doing(format!("cannot remove {}", options.directory.display()), error))
}

fn programs(options: &LiveOptions) -> Result<Programs, Failure> {
    let own = std::env::current_exe();
    let own = own.map_err(|error| Failure::doing("cannot find this program's file", error))?;
    let node = options.graticule.clone().unwrap_or_else(|| own.with_file_name("graticule"));
    if !node.is_file() {
        let message = format!("there is no {}: name the node's program with --graticule", node.display());
        return Err(Failure::Failed(message));
    }
    Ok(Programs { node, own })
}

/// Runs it on this thread, which lives as long as the process, until it is over or a signal comes. Either way nothing
/// that it started is left.
fn rehearse(scenario: &Scenario, seed: u64, programs: Programs) -> Result<Rehearsed, Failure> {
    let runtime = task::local_runtime().map_err(|error| Failure::doing("cannot start a runtime", error))?;
    runtime.block_on(async {
        let signals = |kind| signal(kind).map_err(|error| Failure::doing("cannot wait for signals", error));
        let (mut terminate, mut interrupt, mut hang_up) = (
            signals(SignalKind::terminate())?,
            signals(SignalKind::interrupt())?,
            signals(SignalKind::hangup())?,
        );
        let stopped =
            || Failure::Failed("stopped by a signal; everything that it started has ended".to_owned());
        tokio::select! {
            outcome = live::run(scenario, seed, programs) => {
                outcome.map_err(|error| Failure::doing(format!("cannot rehearse {}", scenario.name), error))
            }
            _ = terminate.recv() => Err(stopped()),
            _ = interrupt.recv() => Err(stopped()),
            _ = hang_up.recv() => Err(stopped()),
        }
    })
}
