//! How often was a client cut off for a flood of HTTP/2 frames?

use std::sync::atomic::{AtomicU64, Ordering};

use graticule_node_core::frame_meter::Flood;

/// Counts by limit, since the node's start.
#[derive(Debug, Default)]
pub struct FloodCounts([AtomicU64; Flood::ALL.len()]);

impl FloodCounts {
    /// Counts one.
    pub fn count(&self, flood: Flood) {
        self.0[flood as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every limit with its count.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Flood::ALL.into_iter().map(|flood| (flood.label(), self.0[flood as usize].load(Ordering::Relaxed)))
    }
}
