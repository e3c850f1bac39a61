//! `graticule node`: the daemon.

use std::io::Read;
use std::path::PathBuf;

use graticule_node_core::config::NodeConfig;
use graticule_node_core::leaving::LeavingInput;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::client::block_on;
use super::{Failure, descriptors, environment, output};
use crate::node::{Node, StartError};
use crate::telemetry;
use crate::tunnel::Farewell;
use crate::world::{Notice, Supervisor, World};

mod settings;
mod supervise;

use settings::{Settings, Watching};

/// Run one node.
#[derive(Debug, clap::Args)]
pub(super) struct NodeOptions {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Override one setting, such as ingress.http=0.0.0.0:80; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Stop when standard input is closed
    #[arg(long, hide = true)]
    until_input_closes: bool,
}

pub(super) fn run(options: &NodeOptions) -> Result<(), Failure> {
    block_on(run_node(options))?
}

async fn run_node(options: &NodeOptions) -> Result<(), Failure> {
    // Before all else: a signal that comes early must not end the process as if nobody had asked for it.
    let signals = Signals::new()?;
    let mut settings = Settings::new(World::system(), options.config.clone(), overrides(options)?);
    let (config, diagnostics) = settings.read()?;
    diagnostics.iter().for_each(output::print_error);
    let config = config.ok_or(Failure::Found)?;
    let log = telemetry::start(&config).map_err(|error| Failure::doing("cannot set up logging", error))?;
    descriptors::raise(&config);
    let settings = Watching::new(settings, config.clone(), log);
    serve(config, (settings, signals), options.until_input_closes).await
}

/// What stands above the file; later settings win: environment, then flags.
fn overrides(options: &NodeOptions) -> Result<Vec<(String, String)>, Failure> {
    let mut overrides = environment()?;
    for set in &options.set {
        let (key, value) = set.split_once('=').ok_or_else(|| {
            Failure::Failed(format!("`--set {set}`: expected KEY=VALUE, such as ingress.http=0.0.0.0:80"))
        })?;
        overrides.push((key.to_owned(), value.to_owned()));
    }
    Ok(overrides)
}

async fn serve(
    config: NodeConfig,
    (mut settings, mut signals): (Watching, Signals),
    until_input_closes: bool,
) -> Result<(), Failure> {
    let name = config.name.clone();
    let supervisor = Supervisor::from_environment().map_err(|error| {
        Failure::doing("cannot use NOTIFY_SOCKET; unset it if nobody listens there", error)
    })?;
    let node = Node::start(config.clone()).await.map_err(|error| cannot_start(&error, &config))?;
    let addresses = node.addresses();
    tracing::info!(node = %name, http = %addresses.http, mesh = %addresses.mesh, admin = %addresses.admin, "started");
    let farewell = tokio::select! {
        farewell = node.left() => farewell,
        () = signals.handle(&node, &supervisor, &mut settings) => Farewell::Stopped,
        () = supervise::run(&node, &supervisor) => Farewell::Stopped,
        () = input_closed(), if until_input_closes => Farewell::Stopped,
    };
    tracing::info!(node = %name, "stopping");
    node.stop(farewell).await;
    Ok(())
}

/// Why there is no node, with where its configuration names what failed.
fn cannot_start(error: &StartError, config: &NodeConfig) -> Failure {
    if let StartError::Documents(_) = error {
        // They have places of their own.
        return Failure::doing("cannot start the node", error);
    }
    let found: Vec<_> = error.diagnostics(config).iter().map(ToString::to_string).collect();
    Failure::doing("cannot start the node", found.join("\n"))
}

/// The signals that a node listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let of = |kind| signal(kind).map_err(|error| Failure::doing("cannot wait for signals", error));
        let (terminate, interrupt) = (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, hangup: of(SignalKind::hangup())? })
    }

    /// Does what each of them asks for, and looks at the configuration every second; never ends.
    async fn handle(&mut self, node: &Node, supervisor: &Supervisor, settings: &mut Watching) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => leave(node, "SIGTERM"),
                _ = self.interrupt.recv() => leave(node, "SIGINT"),
                () = settings.due() => settings.look(&node.shared().reloads),
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: looking for changed files");
                    supervise::tell(supervisor, Notice::Reloading);
                    settings.look(&node.shared().reloads);
                    node.reload().await;
                    supervise::tell(supervisor, Notice::Ready);
                }
            }
        }
    }
}

fn leave(node: &Node, signal: &str) {
    tracing::info!(signal, "told to end");
    // Signals are never refused.
    let _ = node.departure().tell(LeavingInput::Signal);
}

/// Ends when whoever started the process has closed its end, or has died.
pub(crate) async fn input_closed() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // Whatever comes or fails, there is no more to wait for.
        let _ = std::io::stdin().take(INPUT_BYTES_MAX).read_to_end(&mut rest);
        let _ = closed.send(());
    });
    let _ = wait.await;
}

const INPUT_BYTES_MAX: u64 = 1024;
