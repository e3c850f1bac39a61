//! How often did what happen to backends of this node's region?

use std::sync::atomic::{AtomicU64, Ordering};

use graticule_node_core::pool::PoolEvent;

/// Counts by event, since the node's start.
#[derive(Debug, Default)]
pub struct PoolEventCounts([AtomicU64; LABELS.len()]);

impl PoolEventCounts {
    /// Counts one.
    pub fn count(&self, event: &PoolEvent) {
        let at = match event {
            PoolEvent::BackendFailed { .. } => 0,
            PoolEvent::BackendRecovered { .. } => 1,
            PoolEvent::BackendEjected { .. } => 2,
            PoolEvent::BackendReturned { .. } => 3,
            PoolEvent::BackendAdmitted { .. } => 4,
            // The requests are counted.
            PoolEvent::BackendFailing { .. } => return,
        };
        self.0[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Every event with its count.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LABELS.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

const LABELS: [&str; 5] = ["check-failed", "check-recovered", "ejected", "returned", "admitted"];
