//! `graticule-sim live`: a scenario with real processes on this machine.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use clap::value_parser;
use graticule::cli::output::{Failure, print_error};
use graticule::task;
use graticule_node_core::document::Diagnostic;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::seeds::SEED_MAX;
use super::show::ShowOptions;
use super::source;
use crate::live::{self, Phase, Programs, Rehearsed, child, janitor};
use crate::outcome::World;
use crate::scenario::Scenario;
use crate::words::{counted, quoted};

/// Run a scenario with real processes on this machine.
#[derive(Debug, clap::Args)]
pub(super) struct LiveOptions {
    /// A scenario's file, or the name of one that comes with the program
    scenario: String,
    /// The seed of arrivals and of the dice of links; the scenario's own without
    #[arg(long, value_parser = value_parser!(u64).range(..=SEED_MAX))]
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
        return Err(Failure::Failed(format!("{} was not played", scenario.name)));
    }
    let programs = programs(options)?;
    let seed = options.seed.unwrap_or(scenario.seed);
    let Rehearsed { mut outcome, late } = rehearse(&scenario, seed, programs)?;
    outcome.again = again(options, seed);
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

/// The command that does the same again.
fn again(options: &LiveOptions, seed: u64) -> String {
    let command = World::Live.command(&options.scenario, seed);
    match &options.graticule {
        Some(program) => format!("{command} --graticule {}", quoted(&program.to_string_lossy())),
        None => command,
    }
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
        let phase = Rc::new(Cell::new(Phase::Starting));
        let nodes = scenario.fleet.node_names().count() as u64;
        let progress = Progress { nodes, whole: scenario.duration, phase: Rc::clone(&phase) };
        let _progress = io::stderr().is_terminal().then(|| task::spawn("progress", progress.show()));
        let stopped =
            || Failure::Failed("stopped by a signal; everything that it started has ended".to_owned());
        tokio::select! {
            outcome = live::run(scenario, seed, programs, &phase) => {
                outcome.map_err(|error| Failure::doing(format!("cannot rehearse {}", scenario.name), error))
            }
            _ = terminate.recv() => Err(stopped()),
            _ = interrupt.recv() => Err(stopped()),
            _ = hang_up.recv() => Err(stopped()),
        }
    })
}

/// How far a rehearsal is, for who waits in front of a terminal.
struct Progress {
    nodes: u64,
    /// How long load and faults go on.
    whole: Duration,
    phase: Rc<Cell<Phase>>,
}

impl Progress {
    /// Says it on one line of standard error, again and again.
    async fn show(self) {
        let _blank = BlankLine;
        loop {
            let _ = write!(io::stderr().lock(), "{CLEARED}{}", self.text());
            sleep(SHOWN_INTERVAL).await;
        }
    }

    fn text(&self) -> String {
        let whole = self.whole.as_secs();
        match self.phase.get() {
            Phase::Starting => format!("starting {}", counted(self.nodes, "node")),
            Phase::Playing(since) if since.elapsed() < self.whole => {
                format!("{} of {whole} s", since.elapsed().as_secs())
            }
            Phase::Playing(_) => format!("{whole} s are over; the last answers are waited for"),
        }
    }
}

/// Leaves an empty line to what is printed next.
struct BlankLine;

impl Drop for BlankLine {
    fn drop(&mut self) {
        let _ = write!(io::stderr().lock(), "{CLEARED}");
    }
}

/// Back to the beginning of the line, and nothing on it.
const CLEARED: &str = "\r\x1b[K";
const SHOWN_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_says_what_is_waited_for() {
        let phase = Rc::new(Cell::new(Phase::Starting));
        let progress = Progress { nodes: 9, whole: Duration::from_mins(1), phase: Rc::clone(&phase) };
        assert_eq!(progress.text(), "starting 9 nodes");
        phase.set(Phase::Playing(Instant::now()));
        tokio::time::advance(Duration::from_millis(12_900)).await;
        assert_eq!(progress.text(), "12 of 60 s");
        tokio::time::advance(Duration::from_secs(48)).await;
        assert_eq!(progress.text(), "60 s are over; the last answers are waited for");
    }
}
