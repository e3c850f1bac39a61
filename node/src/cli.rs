//! The command line: what an operator types, and where it goes.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use graticule_node_core::document::Source;

use crate::demo::{self, DemoOptions};

mod ca;
mod check;
pub(crate) mod client;
mod descriptors;
mod drain;
mod init;
pub mod output;
pub(crate) mod run;
mod status;
mod token;
mod why;

pub use output::Failure;

/// An edge-distributed, geo-aware gateway mesh.
#[derive(Debug, Parser)]
#[command(name = "graticule", version = VERSION.as_str(), arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a fleet of three regions on this machine, with backends and tenants, until Ctrl-C
    Demo(DemoOptions),
    /// Run one node
    Node(run::NodeOptions),
    /// Check documents or a node's configuration; exit 1 with every error's line and column
    Check(check::CheckOptions),
    /// Write starter documents and a node's configuration
    Init(init::InitOptions),
    /// Make certificates for the mesh
    Ca(ca::CaOptions),
    /// Show the fleet as one node sees it
    Status(status::StatusOptions),
    /// Explain where a request would go, without sending one
    Why(why::WhyOptions),
    /// Make a node, or all of a region, leave without losing a request
    Drain(drain::DrainOptions),
    /// Make it stay after all, while it still accepts
    Undrain(drain::DrainOptions),
    /// Draw a token for the admin API
    Token(token::TokenOptions),
    /// Write shell completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
    /// A backend of the demo
    #[command(hide = true)]
    DemoBackend(demo::BackendOptions),
}

/// Where the admin API of a node is.
#[derive(Debug, clap::Args)]
struct AdminOptions {
    /// Address of a node's admin API
    #[arg(long, env = "GRATICULE_ADMIN", default_value = "127.0.0.1:9901", value_name = "HOST:PORT")]
    admin: String,
    /// A token that the admin API knows
    #[arg(long, env = "GRATICULE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl AdminOptions {
    /// Where to ask, and as whom.
    fn at(&self) -> (&str, Option<&str>) {
        (&self.admin, self.token.as_deref())
    }
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    output::result("graticule", dispatch(Arguments::parse().command))
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(options) => demo::run(&options),
        Command::Node(options) => run::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Init(options) => init::run(&options),
        Command::Ca(options) => ca::run(options),
        Command::Status(options) => status::run(&options.admin),
        Command::Why(options) => why::run(&options),
        Command::Drain(options) => drain::drain(&options),
        Command::Undrain(options) => drain::undrain(&options),
        Command::Token(options) => token::run(&options),
        Command::Completions { shell } => {
            // Into memory first: the generator panics if its reader has gone away.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "graticule", &mut script);
            output::print(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Command::DemoBackend(options) => demo::run_backend(&options),
    }
}

/// Version, and whose data is inside.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}\n{}", env!("CARGO_PKG_VERSION"), graticule_geo::ATTRIBUTION));

/// The `GRATICULE_*` environment, as overrides of a node's configuration: `GRATICULE_INGRESS__HTTP` is `ingress.http`.
fn environment() -> Result<Vec<(String, String)>, Failure> {
    overrides(std::env::vars_os())
}

fn overrides(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Failure> {
    let read = |text: OsString, name: &str| {
        let failed =
            |_| Failure::Failed(format!("the variable {name} is not UTF-8; unset it or write it anew"));
        text.into_string().map_err(failed)
    };
    variables
        .map(|(name, value)| (name.to_string_lossy().into_owned(), name, value))
        .filter(|(shown, ..)| shown.starts_with("GRATICULE_") && !FOR_COMMANDS.contains(&shown.as_str()))
        .map(|(shown, name, value)| Ok((read(name, &shown)?, read(value, &shown)?)))
        .collect()
}

/// A file as a source of settings or documents; none that is larger than those are.
fn source(path: &Path) -> Result<Source, Failure> {
    let failed = |error| Failure::doing(format!("cannot read {}", shown(path)), error);
    let mut text = Vec::new();
    // One byte too many says that it is too large; a pipe from another command is as good as a file.
    let read =
        File::open(path).and_then(|file| file.take(Source::BYTES_MAX as u64 + 1).read_to_end(&mut text));
    read.map_err(failed)?;
    Ok(Source::new(shown(path), text))
}

/// A path as it is shown in messages.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Variables that say where and as whom commands ask, and are no settings of a node.
const FOR_COMMANDS: [&str; 2] = ["GRATICULE_ADMIN", "GRATICULE_TOKEN"];

#[cfg(test)]
mod tests;
