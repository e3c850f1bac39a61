//! What a run gave: the verdict, what was violated, and what happened when; everything that a report shows.
//!
//! Times are milliseconds since load began; what came before has negative times. Order is by time, so that the same
//! seed gives the same bytes.

use serde::{Deserialize, Serialize};

use crate::words::quoted;

mod latency;

pub use latency::{Answer, Latency, LatencyBin, LatencyPiece};

/// What a run gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// What it is about, in one line.
    pub title: String,
    /// What it shows.
    pub about: String,
    /// The seed; a live run has one too, for its arrivals.
    pub seed: u64,
    /// Where it ran.
    pub world: World,
    /// What a shell does to run it again.
    #[serde(default)]
    pub again: String,
    /// Whether every objective was met and nothing violated.
    pub passed: bool,
    /// How long load and faults went on.
    pub duration_ms: u64,
    /// Every objective, in the scenario's order.
    pub objectives: Vec<Verdict>,
    /// What never may happen and did.
    pub violations: Vec<Violation>,
    /// How often invariants were asked: once for each answer, each request at a backend, each line of an access log, each
    /// node that agreed in the end, and each news of a death.
    #[serde(default)]
    pub invariant_checks: u64,
    /// The fleet.
    pub nodes: Vec<NodeFacts>,
    /// How the fleet became whole, in memory.
    #[serde(default)]
    pub start: Option<StartFacts>,
    /// Faults as they happened.
    pub faults: Vec<FaultFacts>,
    /// How long each piece of [`Outcome::requests`] is.
    pub bucket_ms: u64,
    /// Requests by the time they were sent, where, whose, and what became of them.
    pub requests: Vec<Bucket>,
    /// How long answered requests took, for each load.
    pub latencies: Vec<Latency>,
    /// What nodes thought of each other, at every change.
    pub tunnels: Vec<TunnelChange>,
    /// What gossip told nodes of each other, at every change.
    #[serde(default)]
    pub views: Vec<ViewChange>,
    /// What happened, one line for each event.
    pub trace: Vec<TraceLine>,
}

/// Where a scenario ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// In memory, in virtual time.
    Memory,
    /// With real processes on this machine.
    Live,
}

impl World {
    /// Its name, everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Live => "live",
        }
    }

    /// The command that runs a scenario there, given in words of a shell.
    pub(crate) fn command(self, scenario: &str, seed: u64) -> String {
        let verb = match self {
            Self::Memory => "run",
            Self::Live => "live",
        };
        format!("graticule-sim {verb} {} --seed {seed}", quoted(scenario))
    }
}

/// Whether an objective was met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The objective as people read it.
    pub objective: String,
    /// Its kind, as in the scenario's file.
    pub kind: String,
    /// The tenant it is about.
    pub tenant: Option<String>,
    /// Whether it was met.
    pub met: bool,
    /// What was measured, as people read it.
    pub measured: String,
    /// The same as a number: a share, or milliseconds. None if there was nothing to measure, or no recovery.
    pub value: Option<f64>,
    /// How many requests it was measured on.
    pub requests: u64,
    /// What kept it from being met; nothing if it was.
    #[serde(default)]
    pub misses: Misses,
}

/// The requests that kept an objective from being met.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Misses {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Miss>,
    /// The last of them, without those.
    pub last: Vec<Miss>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Miss {
    /// When it was sent, in microseconds since load began.
    pub at_us: i64,
    /// Its load and number, as in the trace.
    pub request: String,
    /// The node that it was sent to first.
    pub edge: String,
    /// What became of it, as in [`Bucket::fate`].
    pub fate: String,
    /// The region that answered; none if no backend did.
    pub served_by: Option<String>,
    /// How long it took.
    pub took_ms: f64,
}

impl Misses {
    /// Those that are told, in order.
    pub fn told(&self) -> impl Iterator<Item = &Miss> {
        self.first.iter().chain(&self.last)
    }
}

impl Miss {
    /// All of it in one line.
    pub fn text(&self) -> String {
        format!("at {:.3} s: {} to {}: {}", self.at_us as f64 / 1e6, self.request, self.edge, self.became())
    }

    /// What became of it, as people read it.
    pub fn became(&self) -> String {
        let by = self.served_by.as_ref().map(|region| format!(" by {region}")).unwrap_or_default();
        format!("{}{by} after {:.3} ms", self.fate, self.took_ms)
    }
}

/// What never may happen and did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// When.
    pub at_ms: i64,
    /// Which invariant, as docs/simulations.md names it.
    pub invariant: String,
    /// The node that did it, if it was one.
    pub node: Option<String>,
    /// What happened, and what should have.
    pub what: String,
}

/// One node of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// The country whose law holds there.
    pub country: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// How long after the start of all nodes they had met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFacts {
    /// Until gossip told every node the same.
    pub agreed_ms: u64,
    /// Until every node could give requests to all others, or to as many of a region as it keeps tunnels to.
    pub whole_ms: u64,
}

/// A fault as it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultFacts {
    /// When it began.
    pub at_ms: i64,
    /// When it ended; it had not when the run ended without.
    pub ended_ms: Option<i64>,
    /// Its kind, as in the scenario's file.
    pub kind: String,
    /// What it was, as people read it.
    pub text: String,
    /// The nodes it met.
    pub nodes: Vec<String>,
}

/// Requests of one kind with the same fate, of one piece of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bucket {
    /// When the piece begins.
    pub at_ms: i64,
    /// Whose.
    pub tenant: String,
    /// The region of the edge they were sent to.
    pub edge: String,
    /// The region that answered; none if no backend did.
    pub served_by: Option<String>,
    /// `served`, `backend-error`, a reason of docs/refusals.md, or `no-answer`.
    pub fate: String,
    /// How many.
    pub count: u64,
    /// The longest of them took so long.
    pub slowest_ms: u64,
}

/// A node changes its mind about another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelChange {
    /// When.
    pub at_ms: i64,
    /// Who.
    pub from: String,
    /// About whom.
    pub to: String,
    /// `usable`, `suspect`, `draining`, `unreachable`, or `unknown`; [`TunnelChange::NONE`] when it no longer runs.
    pub condition: String,
}

impl TunnelChange {
    /// What a node that does not run thinks: nothing.
    pub const NONE: &str = "none";
}

/// Gossip tells a node something else of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChange {
    /// When.
    pub at_ms: i64,
    /// Whom.
    pub from: String,
    /// Of whom.
    pub about: String,
    /// That it is alive, or that it is dead or nobody has heard of it.
    pub alive: bool,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// When, in microseconds since load began.
    pub at_us: i64,
    /// What kind of event: one of [`TRACE_LEGEND`].
    pub kind: String,
    /// On which node or client.
    pub who: String,
    /// What.
    pub what: String,
}

/// What the kinds of [`TraceLine`] mean.
pub const TRACE_LEGEND: [(&str, &str); 10] = [
    ("fault", "something goes wrong, or right again"),
    ("node", "a node starts, stops or cannot start"),
    ("ask", "a client sends a request: load, number, edge"),
    ("retry", "an edge gave a client no connection: load, number, edge, why, which is tried next"),
    ("serve", "a backend receives a request: tenant, path, the nodes it came through"),
    ("answer", "a client has its answer: load, number, status, region or reason, how long it took"),
    ("tunnel", "a node changes its mind about another"),
    ("view", "gossip tells a node something else of another"),
    ("log", "a node logs a warning or an error"),
    ("violation", "something that never may happen"),
];

impl Outcome {
    /// What kept the run from passing: objectives that were missed, and violations.
    pub fn findings(&self) -> Vec<String> {
        let missed = self.objectives.iter().filter(|objective| !objective.met);
        let missed = missed.map(|verdict| {
            let first = verdict.misses.first.first().map(|miss| format!("; first {}", miss.text()));
            let (objective, measured) = (&verdict.objective, &verdict.measured);
            format!("missed: {objective}; measured {measured}{}", first.unwrap_or_default())
        });
        let violated = self.violations.iter().map(|violation| {
            format!("violated at {} ms: {}: {}", violation.at_ms, violation.invariant, violation.what)
        });
        missed.chain(violated).collect()
    }

    /// Whether every objective was met and nothing violated, to be put into [`Outcome::passed`].
    pub fn verdict(&self) -> bool {
        self.violations.is_empty() && self.objectives.iter().all(|objective| objective.met)
    }
}
