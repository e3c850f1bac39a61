//! What goes wrong: every kind of fault, whom it meets, when it begins and when it ends.

use std::time::Duration;

use graticule_node_core::document::reading::Spot;

use super::Rules;

/// A fault with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedFault {
    /// Where its kind is written.
    pub spot: Spot,
    /// When it begins.
    pub at: Duration,
    /// How long it lasts; to the end without.
    pub lasts: Option<Duration>,
    /// It begins again so long after it began, until this moment.
    pub again: Option<(Duration, Duration)>,
    /// What goes wrong.
    pub fault: Fault,
}

/// What goes wrong. Nodes are named one by one.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Nodes die without a word; when it ends, they are started again.
    Crash {
        /// Which.
        nodes: Vec<String>,
        /// What becomes of what they remembered.
        disk: DiskFate,
    },
    /// The nodes' processes stand still while their machines go on; when it ends, they go on too.
    Stall {
        /// Which.
        nodes: Vec<String>,
    },
    /// Nodes leave; when it ends, they stay if they still can, and are started again otherwise.
    Drain {
        /// Which.
        nodes: Vec<String>,
    },
    /// One node after the other leaves, is down, and is started again.
    Upgrade {
        /// Which, in this order.
        nodes: Vec<String>,
        /// How long each has to leave, before it is stopped.
        drained: Duration,
        /// How long each is down.
        stopped: Duration,
        /// How long it has run again before the next one begins.
        pause: Duration,
    },
    /// No packet gets from any of the first to any of the others; the other direction is not touched.
    Cut {
        /// Who is not heard.
        from: Vec<String>,
        /// Who does not hear.
        to: Vec<String>,
    },
    /// No packet gets from a node of one group to a node of another.
    Partition {
        /// The groups, disjoint. A node in none of them is cut off from nobody.
        groups: Vec<Vec<String>>,
    },
    /// Packets fare worse, in one direction.
    Link {
        /// From these nodes.
        from: Vec<String>,
        /// To these.
        to: Vec<String>,
        /// How.
        weather: Weather,
    },
    /// The nodes' clocks run wrong; when it ends, they run right again and stay where they are.
    Clock {
        /// Which.
        nodes: Vec<String>,
        /// How much too fast, in millionths; negative if too slow.
        drift_ppm: i32,
    },
    /// Backends fare worse.
    Backends {
        /// Those of these regions.
        regions: Vec<String>,
        /// Only for this tenant's requests; everybody's without.
        tenant: Option<String>,
        /// How.
        how: BackendFault,
    },
    /// The names of nodes resolve to the addresses of others; to nothing if there are none.
    Names {
        /// Whose names.
        nodes: Vec<String>,
        /// Whose addresses they get.
        to: Vec<String>,
    },
    /// The geo databases of nodes are replaced.
    Geo {
        /// Whose.
        nodes: Vec<String>,
        /// By what.
        how: GeoFault,
    },
    /// A tenant's document is replaced on some nodes; when it ends, the old rules come back under a newer version.
    Document {
        /// On which.
        nodes: Vec<String>,
        /// Whose.
        tenant: String,
        /// What the new one says.
        rules: Rules,
    },
}

/// What becomes of a machine's disk in a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFate {
    /// All that was written is there again.
    Kept,
    /// What the node wrote is gone; configuration, certificates and documents are put there anew.
    Lost,
}

/// What a link does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// How much longer every packet takes.
    pub latency: Duration,
    /// How much longer a packet may take besides, evenly spread.
    pub jitter: Duration,
    /// The share of packets that get lost.
    pub loss: f64,
    /// The share of datagrams that arrive twice.
    pub duplicates: f64,
    /// The share of datagrams that wait until others have overtaken them.
    pub reordered: f64,
    /// Bytes that get through in a second; any number without.
    pub bytes_per_second: Option<u64>,
}

/// What backends do wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackendFault {
    /// How much longer they take.
    pub latency: Duration,
    /// The share of requests they answer with 500.
    pub errors: f64,
    /// Whether they refuse every connection.
    pub down: bool,
    /// What health checks see of this.
    pub checks: Checks,
}

/// What health checks see of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// Nothing: they are answered at once.
    Healthy,
    /// The same as requests.
    AsRequests,
}

/// What a node finds instead of its geo database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeoFault {
    /// Bytes that are no database.
    Garbage,
    /// The first half of it.
    Truncated,
    /// A database that knows no client's address.
    Blank,
    /// No file.
    Missing,
}

impl TimedFault {
    /// How often it begins before `end`.
    pub fn count(&self, end: Duration) -> u64 {
        let Some((every, until)) = self.again else { return 1 };
        let span = until.min(end).saturating_sub(self.at).as_nanos();
        // Once at `at`, and after every further pause that ends before the end.
        span.div_ceil(every.as_nanos().max(1)).max(1).try_into().unwrap_or(u64::MAX)
    }

    /// When it begins and ends, every time.
    pub fn times(&self) -> impl Iterator<Item = (Duration, Option<Duration>)> {
        let (every, until) = self.again.unwrap_or((Duration::MAX, Duration::ZERO));
        let next = move |at: &Duration| at.checked_add(every).filter(|next| *next < until);
        let lasts = self.lasts;
        std::iter::successors(Some(self.at), next).map(move |at| (at, lasts.map(|lasts| at + lasts)))
    }
}

impl Fault {
    /// The nodes that it meets; of backends, none.
    pub fn nodes(&self) -> Vec<String> {
        match self {
            Self::Crash { nodes, .. }
            | Self::Stall { nodes }
            | Self::Drain { nodes }
            | Self::Upgrade { nodes, .. }
            | Self::Clock { nodes, .. }
            | Self::Names { nodes, .. }
            | Self::Geo { nodes, .. }
            | Self::Document { nodes, .. } => nodes.clone(),
            Self::Cut { from, to } | Self::Link { from, to, .. } => from.iter().chain(to).cloned().collect(),
            Self::Partition { groups } => groups.concat(),
            Self::Backends { .. } => Vec::new(),
        }
    }

    /// How long it goes on by itself, whatever is said about its end.
    pub fn takes(&self) -> Duration {
        match self {
            Self::Upgrade { nodes, drained, stopped, pause } => {
                (*drained + *stopped + *pause).saturating_mul(u32::try_from(nodes.len()).unwrap_or(u32::MAX))
            }
            Self::Drain { .. } => LEAVING,
            _ => Duration::ZERO,
        }
    }

    /// Its name in scenario files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::Stall { .. } => "stall",
            Self::Drain { .. } => "drain",
            Self::Upgrade { .. } => "upgrade",
            Self::Cut { .. } => "cut",
            Self::Partition { .. } => "partition",
            Self::Link { .. } => "link",
            Self::Clock { .. } => "clock",
            Self::Backends { .. } => "backends",
            Self::Names { .. } => "names",
            Self::Geo { .. } => "geo",
            Self::Document { .. } => "document",
        }
    }

    /// Why only the world in memory can do this, if so.
    pub fn needs_memory(&self) -> Option<&'static str> {
        match self {
            Self::Clock { .. } => Some("processes of one machine share its clock"),
            Self::Names { .. } => Some("processes of one machine share its resolver"),
            _ => None,
        }
    }
}

/// How long a node takes to leave that has nothing long under way: the default of `drain.delay`, and a moment.
const LEAVING: Duration = Duration::from_secs(6);
