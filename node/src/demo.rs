//! `graticule demo`: a fleet of three regions on this machine, with real nodes, tunnels and a network's delays.

use std::net::SocketAddr;
use std::time::Duration;

use graticule_gossip_core::RegionName;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Failure;
use crate::cli::run::input_closed;
use crate::cli::{client::block_on, output::print};
use crate::task;

mod backend;
mod files;
mod fleet;
mod plan;
pub mod ports;
mod process;
mod samples;
mod show;
pub mod wan;

/// Run a fleet of three regions on this machine, with backends and tenants, until Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct DemoOptions {
    /// Nodes in each region
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=8))]
    pub nodes_per_region: u16,
    /// Stop after this time, such as 30s, instead of at Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    pub for_time: Option<Duration>,
    /// Leave out the delay of the regions' distances
    #[arg(long)]
    pub no_wan_delay: bool,
    /// First of a run of ports to use; free ones are found without it
    #[arg(long, value_name = "BASE", value_parser = clap::value_parser!(u16).range(1024..=60_000))]
    pub port: Option<u16>,
    /// Print one line of JSON when ready, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// A backend of the demo.
#[derive(Debug, clap::Args)]
pub struct BackendOptions {
    /// Its region
    #[arg(long)]
    region: RegionName,
    /// Where it listens
    #[arg(long)]
    listen: SocketAddr,
}

/// Runs the demo until Ctrl-C, or for the given time.
pub fn run(options: &DemoOptions) -> Result<(), Failure> {
    block_on(demo(options))?
}

/// Runs one backend until standard input closes.
pub fn run_backend(options: &BackendOptions) -> Result<(), Failure> {
    block_on(async {
        let failed = |error| Failure::doing(format!("backend at {}", options.listen), error);
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        print(listener.local_addr().map_err(failed)?);
        let region = options.region.to_string();
        let _serving = task::spawn("backend", async move {
            if let Err(error) = backend::run(listener, &region).await {
                tracing::error!(%error, "a backend ended");
            }
        });
        input_closed().await;
        Ok(())
    })?
}

async fn demo(options: &DemoOptions) -> Result<(), Failure> {
    let signals = |kind| signal(kind).map_err(|error| Failure::doing("cannot wait for signals", error));
    let (mut terminate, mut interrupt) =
        (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    let running = async {
        let fleet = fleet::Fleet::start(options).await?;
        if options.json {
            print(show::ready_line(&fleet)?);
        } else {
            print(show::introduction(&fleet));
            samples::show(&fleet).await?;
            print(show::suggestions(&fleet));
        }
        match options.for_time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
        Ok(())
    };
    // The fleet lives in the future: whichever way this ends, its processes and files go with it.
    tokio::select! {
        ended = running => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// `30s`, `5m` or plain seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 =
        number.parse().map_err(|_| format!("`{text}` is no time: expected such as 30s or 5m"))?;
    Ok(Duration::from_secs(number.saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(seconds("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(seconds("7"), Ok(Duration::from_secs(7)));
        assert!(seconds("soon").is_err());
    }
}
