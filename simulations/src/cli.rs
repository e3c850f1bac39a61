//! The command line: what is rehearsed, with which seeds, and what is printed of it.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

mod check;
mod copy;
mod fuzz;
mod list;
mod live;
mod run;
mod scale;
mod seeds;
mod show;
mod source;

use graticule::cli::output::{self, Failure};

/// Rehearses failures with the production node in a deterministic world.
#[derive(Debug, Parser)]
#[command(name = "graticule-sim", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario in memory; exit 1 if an objective was missed or something happened that never may
    Run(run::RunOptions),
    /// Run a scenario with real processes on this machine; exit 1 as `run` does
    Live(live::LiveOptions),
    #[command(hide = true)]
    Child(live::ChildOptions),
    #[command(hide = true)]
    Tidy(live::TidyOptions),
    /// Run generated faults over a fleet of nine nodes; exit 1 as `run` does
    Fuzz(fuzz::FuzzOptions),
    /// Measure fleets of several sizes; exit 1 as `run` does
    Scale(scale::ScaleOptions),
    /// Show the scenarios that come with this program
    List(list::ListOptions),
    /// Print a scenario that comes with this program
    Show(copy::CopyOptions),
    /// Print the JSON schema of scenarios, for editors
    Schema,
    /// Check scenario files; exit 1 with every error's line and column
    Check(check::CheckOptions),
    /// Write shell completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    output::result("graticule-sim", dispatch(Arguments::parse().command))
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(options) => run::run(&options),
        Command::Live(options) => live::run(&options),
        Command::Child(options) => live::become_child(&options),
        Command::Tidy(options) => live::tidy(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Scale(options) => scale::run(&options),
        Command::List(options) => list::run(&options),
        Command::Show(options) => copy::scenario(&options),
        Command::Schema => {
            copy::schema();
            Ok(())
        }
        Command::Check(options) => check::run(&options),
        Command::Completions { shell } => {
            // Into memory first: the generator panics if its reader has gone away.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "graticule-sim", &mut script);
            output::print(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
    }
}
