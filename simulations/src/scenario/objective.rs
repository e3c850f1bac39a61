//! What must hold: a demand on the requests of some time, which clients' own experience decides.

use std::time::Duration;

/// A demand, and on whose requests of which time it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Only this tenant's requests.
    pub tenant: Option<String>,
    /// Only this load's requests.
    pub load: Option<String>,
    /// Only requests sent from then on.
    pub from: Duration,
    /// Only requests sent before.
    pub until: Duration,
    /// What must hold of them.
    pub demand: Demand,
}

/// What must hold of some requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Demand {
    /// At least this share is answered by a backend with a status below 500.
    Availability {
        /// The share, 0 to 1.
        least: f64,
    },
    /// The last one that failed, or was slow, was sent no later than so long after the beginning of the time.
    Recovery {
        /// How long.
        within: Duration,
        /// An answer that took longer is slow; none is without.
        slower_than: Option<Duration>,
    },
    /// Of all, at most this share is refused, and for none but these reasons.
    Refusals {
        /// The reasons, as in docs/refusals.md; `no-answer` if the client got none.
        only: Vec<String>,
        /// The share, 0 to 1.
        most: f64,
    },
    /// This share of the served ones took at most so long.
    Latency {
        /// The share, as 0.99.
        quantile: f64,
        /// How long.
        most: Duration,
    },
    /// At least this share of the answered ones was answered by these regions.
    Served {
        /// The regions.
        by: Vec<String>,
        /// The share, 0 to 1.
        least: f64,
    },
}

impl Demand {
    /// Its name in scenario files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Availability { .. } => "availability",
            Self::Recovery { .. } => "recovery",
            Self::Refusals { .. } => "refusals",
            Self::Latency { .. } => "latency",
            Self::Served { .. } => "served",
        }
    }
}
