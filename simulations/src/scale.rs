//! What does a fleet of so many nodes cost, and how fast does it agree: one run, measured.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use graticule::task;
use graticule::world::World;
use graticule_gossip::{Carried, Handover};
use serde::Serialize;
use tokio::time::sleep;

use crate::fleet::{Fleet, MESH_PORT};
use crate::outcome::Outcome;
use crate::run::{run_prepared, warm_up};
use crate::{Departed, Simulation};

mod stage;

pub use stage::{NODES_MAX, scenario, text};

/// What one fleet gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// How many nodes it had.
    pub nodes: u16,
    /// In how many regions.
    pub regions: usize,
    /// The seed.
    pub seed: u64,
    /// From the start of all nodes until gossip told every node the same.
    pub agreed_after_start_ms: u64,
    /// From a node's death until no node would have given it a request.
    pub spared_after_death_ms: Option<u64>,
    /// From a node's death until gossip had told every other node.
    pub agreed_after_death_ms: Option<u64>,
    /// What a node gossips in a second.
    pub gossip: Rate,
    /// All that a node's control endpoint sends in a second: gossip, probes, acknowledgements and keep-alives, as UDP
    /// datagrams without their headers.
    pub control: Rate,
    /// Processor time of the whole simulation until load began.
    pub start_cpu_s: f64,
    /// Processor time of the whole simulation for a second of load.
    pub cpu_s: f64,
    /// The same for one node.
    pub node_cpu_ms: f64,
    /// Seconds of load in a second of processor time.
    pub times_real_time: f64,
    /// How many requests clients sent.
    pub requests: u64,
    /// Objectives that were missed, and violations.
    pub findings: Vec<String>,
}

/// So much of one node in a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Messages or datagrams.
    pub messages: f64,
    /// Their bytes.
    pub bytes: f64,
}

/// Runs a fleet of `nodes` nodes with a hundred requests a second, lets one of them die, and measures. To be called while
/// nothing else runs in this process.
pub fn survey(nodes: u16, seed: u64) -> io::Result<Survey> {
    let scenario = scenario(nodes)?;
    warm_up();
    let readings = Arc::new(Mutex::new(Vec::new()));
    let began = cpu_time();
    let outcome = {
        let readings = Arc::clone(&readings);
        run_prepared(&scenario, seed, move |simulation, fleet| {
            measure(Meter::of(simulation, fleet), readings);
        })?
    };
    let readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
    let [first, last] = readings[..] else {
        return Err(io::Error::other("the run ended before its load was measured"));
    };
    let seconds = MEASURED.as_secs_f64();
    let cpu_s = last.cpu.saturating_sub(first.cpu).as_secs_f64() / seconds;
    let each = |count: u64| count as f64 / seconds / f64::from(nodes);
    let death = Death::of(&outcome);
    Ok(Survey {
        nodes,
        regions: scenario.fleet.regions.len(),
        seed,
        agreed_after_start_ms: outcome.start.map(|start| start.agreed_ms).unwrap_or_default(),
        spared_after_death_ms: death.as_ref().and_then(|death| death.spared_after_ms(&outcome)),
        agreed_after_death_ms: death.as_ref().and_then(|death| death.agreed_after_ms(&outcome)),
        gossip: Rate {
            messages: each(last.gossip.messages - first.gossip.messages),
            bytes: each(last.gossip.bytes - first.gossip.bytes),
        },
        control: Rate {
            messages: each(last.control.datagrams - first.control.datagrams),
            bytes: each(last.control.bytes - first.control.bytes),
        },
        start_cpu_s: first.cpu.saturating_sub(began).as_secs_f64(),
        cpu_s,
        node_cpu_ms: cpu_s * 1_000.0 / f64::from(nodes),
        times_real_time: cpu_s.recip(),
        requests: outcome.requests.iter().map(|bucket| bucket.count).sum(),
        findings: outcome.findings(),
    })
}

/// Reads the meter now, when load begins, and again when enough of it has passed.
fn measure(meter: Meter, readings: Arc<Mutex<Vec<Reading>>>) {
    let note = move || readings.lock().unwrap_or_else(PoisonError::into_inner).push(meter.read());
    note();
    task::spawn_detached("meter", async move {
        sleep(MEASURED).await;
        note();
    });
}

/// Where a fleet's costs are read.
struct Meter {
    simulation: Simulation,
    gossip: Handover,
}

/// What had been spent at a moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    gossip: Carried,
    control: Departed,
    cpu: Duration,
}

impl Meter {
    fn of(simulation: &Simulation, fleet: &Fleet) -> Self {
        Self { simulation: simulation.clone(), gossip: fleet.gossip().clone() }
    }

    fn read(&self) -> Reading {
        let (gossip, control) = (self.gossip.carried(), self.simulation.departed(MESH_PORT));
        Reading { gossip, control, cpu: cpu_time() }
    }
}

/// Of this process: one that simulates uses one core.
fn cpu_time() -> Duration {
    World::system().clock.cpu_time()
}

/// The death of the node that every such scenario lets die.
struct Death {
    node: String,
    at_ms: i64,
}

impl Death {
    fn of(outcome: &Outcome) -> Option<Self> {
        let fault = outcome.faults.first()?;
        Some(Self { node: fault.nodes.first()?.clone(), at_ms: fault.at_ms })
    }

    /// Until the last of those who held it for usable has changed its mind.
    fn spared_after_ms(&self, outcome: &Outcome) -> Option<u64> {
        let mut held = BTreeMap::new();
        let mut spared = None;
        for change in outcome.tunnels.iter().filter(|change| change.to == self.node) {
            let was_usable = held.insert(&change.from, change.condition == "usable") == Some(true);
            if was_usable && change.at_ms >= self.at_ms {
                spared = Some(change.at_ms);
            }
        }
        u64::try_from(spared? - self.at_ms).ok()
    }

    /// Until the last of the others has heard of it; nothing unless all have.
    fn agreed_after_ms(&self, outcome: &Outcome) -> Option<u64> {
        let told = outcome.views.iter().filter(|change| change.about == self.node && !change.alive);
        let told: Vec<_> = told.filter(|change| change.at_ms >= self.at_ms).collect();
        let last = told.iter().map(|change| change.at_ms).max()?;
        (told.len() + 1 == outcome.nodes.len()).then(|| u64::try_from(last - self.at_ms).ok())?
    }
}

/// From the beginning of load until shortly before the death.
const MEASURED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
