//! The demo's processes: started from this binary, ended with it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::plan::{Node, Region};
use crate::cli::Failure;

/// A child that ends when this is dropped, and also when this process dies: its standard input closes.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) pid: u32,
}

/// A running backend.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) region: &'static str,
    pub(super) address: SocketAddr,
    pub(super) process: Process,
}

impl Process {
    fn spawn(command: &mut Command) -> Result<Self, Failure> {
        let child = command.stdin(Stdio::piped()).kill_on_drop(true).spawn();
        let child = child.map_err(|error| Failure::doing("cannot start a process", error))?;
        let pid = child.id().ok_or_else(|| Failure::Failed("a process ended at once".to_owned()))?;
        Ok(Self { child, pid })
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Starts a backend and waits until it listens.
pub(super) async fn backend(region: &'static Region) -> Result<Backend, Failure> {
    let mut command = this_program()?;
    command.args(["demo-backend", "--region", region.name, "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut process = Process::spawn(&mut command)?;
    let failed = || Failure::Failed(format!("a backend of {} did not start", region.name));
    let output = process.child.stdout.take().ok_or_else(failed)?;
    let mut line = String::new();
    let read = timeout(START_DEADLINE, BufReader::new(output).read_line(&mut line)).await;
    read.map_err(|_| failed())?.map_err(|error| Failure::doing("a backend", error))?;
    let address = line.trim().parse().map_err(|_| failed())?;
    Ok(Backend { region: region.name, address, process })
}

/// Starts a node.
pub(super) fn node(node: &Node, configuration: &Path, log: &Path) -> Result<Process, Failure> {
    let log =
        File::create(log).map_err(|error| Failure::doing(format!("the log of {}", node.name), error))?;
    let mut command = this_program()?;
    command.args(["node", "--until-input-closes", "--config"]).arg(configuration);
    Process::spawn(command.stdout(Stdio::null()).stderr(log))
}

fn this_program() -> Result<Command, Failure> {
    let program = std::env::current_exe();
    program.map(Command::new).map_err(|error| Failure::doing("cannot find this program", error))
}

const START_DEADLINE: Duration = Duration::from_secs(10);
