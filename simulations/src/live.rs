//! A rehearsal with real processes: the same scenario, load, invariants and objectives as in memory, on this machine.
//!
//! Every node is a process of `graticule` on loopback with certificate, documents and configuration of its own, and
//! dials every other through a relay that fares as the way between them does. Clients and backends are those of the
//! world in memory, on real sockets.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use graticule::task;
use tokio::time::{Instant, sleep};

use crate::outcome::Outcome;
use crate::run::chronicle::Chronicle;
use crate::run::{SETTLING, perform};
use crate::scenario::{Fault, Scenario};

pub mod child;
mod driver;
mod files;
mod fleet;
pub mod janitor;
mod lag;
mod logs;
mod network;
mod observer;
mod possible;
mod process;

pub use possible::impossible;

use driver::Live;
use fleet::LiveFleet;

/// What a live run needs besides its scenario.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The node: `graticule`.
    pub node: PathBuf,
    /// This program, which starts nodes so that they end with it.
    pub own: PathBuf,
}

/// How far a live run is.
#[derive(Debug, Clone, Copy)]
pub enum Phase {
    /// Nodes start and meet.
    Starting,
    /// Load and faults have been on since then.
    Playing(Instant),
}

/// What a live run gave.
#[derive(Debug)]
pub struct Rehearsed {
    /// The outcome.
    pub outcome: Outcome,
    /// How late the machine was, if so late that nodes may have taken each other for dead.
    pub late: Option<Duration>,
}

/// Runs a scenario with real processes, and says in `phase` how far it is. Everything that was started ends with the
/// future, however it ends.
///
/// To be called on a thread with a local runtime that lives as long as the process. Errors: something cannot be
/// started, or the fleet did not become whole; with the last of what nodes logged.
pub async fn run(
    scenario: &Scenario,
    seed: u64,
    programs: Programs,
    phase: &Cell<Phase>,
) -> io::Result<Rehearsed> {
    let origin = Instant::now();
    let chronicle = Chronicle::new(origin);
    let fleet = Rc::new(LiveFleet::prepare(&scenario.fleet, (seed, origin), programs).await?);
    let logs = Rc::new(RefCell::new(logs::Logs::default()));
    let _reading = task::spawn("logs", logs::read(Rc::clone(&logs), Rc::clone(&fleet), chronicle.clone()));
    fleet.start_all().await?;
    if scenario.faults.iter().any(|timed| needs_leaving(&timed.fault)) {
        fleet.can_leave().await?;
    }
    let _observing = fleet.node_names().map(|node| observer::spawn(&fleet, node)).collect::<Vec<_>>();
    until_whole(&fleet).await?;
    sleep(SETTLING).await;
    let latest = lag::Latest::default();
    let _lag = task::spawn("lag", lag::watch(Rc::clone(&latest), chronicle.clone()));
    phase.set(Phase::Playing(Instant::now()));
    let live = Live::new(Rc::clone(&fleet), chronicle.clone());
    let outcome = perform(scenario.clone(), seed, Box::new(live), chronicle).await;
    let late = Some(latest.get()).filter(|late| *late >= lag::TOLD_FROM);
    Ok(Rehearsed { outcome, late })
}

fn needs_leaving(fault: &Fault) -> bool {
    matches!(fault, Fault::Drain { .. } | Fault::Upgrade { .. })
}

async fn until_whole(fleet: &LiveFleet) -> io::Result<()> {
    let began = Instant::now();
    while !fleet.is_whole() {
        fleet.all_run()?;
        if began.elapsed() >= WHOLE_TIME_MAX {
            let message = format!("the fleet was not whole within {WHOLE_TIME_MAX:?}\n{}", fleet.last_logs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// Within which a fleet without faults becomes whole, on a machine that has other things to do.
const WHOLE_TIME_MAX: Duration = Duration::from_secs(90);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
