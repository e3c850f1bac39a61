//! One node as a process: started, stopped, killed, and made to stand still.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::Programs;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct NodeProcess(Child);

impl NodeProcess {
    /// Starts a node, which appends its log to `log`.
    pub(super) fn start(programs: &Programs, configuration: &Path, log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(&programs.own);
        command.args(["child", "--parent", &std::process::id().to_string(), "--"]).arg(&programs.node);
        command.args(["node", "--until-input-closes", "--config"]).arg(configuration);
        // What is set for this program's surroundings is not meant for the nodes of a rehearsal.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        // Ctrl-C is for this program, which then ends the nodes.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().map(Self)
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Lets it stand still, or go on.
    pub(super) fn stall(&self, stalled: bool) -> io::Result<()> {
        self.signal(if stalled { Signal::STOP } else { Signal::CONT })
    }

    /// Asks it to end, as whoever upgrades it does, and waits; whether it did so in time. After that it is killed.
    pub(super) async fn stop(mut self) -> io::Result<bool> {
        self.signal(Signal::TERM)?;
        let began = Instant::now();
        while self.ended()?.is_none() {
            if began.elapsed() >= STOP_TIME_MAX {
                return Ok(false);
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(true)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or(io::ErrorKind::NotFound)?, signal)?)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_setting(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("GRATICULE_")
}

/// Longer than the default deadline of a node that leaves.
const STOP_TIME_MAX: Duration = Duration::from_secs(40);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
