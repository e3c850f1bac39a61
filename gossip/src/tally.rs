//! How much was said, heard, dropped and refused.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start of gossip, as of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages given to the carrier.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Messages taken from the carrier, whatever became of them.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Messages dropped because a queue was full, in either direction.
    pub dropped: u64,
    /// Messages that were none, or that could not be encoded or decoded here.
    pub malformed: u64,
    /// Messages of another mesh, or beyond what one peer may say in an interval.
    pub refused: u64,
    /// How often chitchat was started again.
    pub restarts: u64,
    /// Announcements left out of the latest view: unreadable, or contradicted by a certificate.
    pub members_rejected: u64,
}

/// [`Counters`] as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: Count,
    pub(crate) sent_bytes: Count,
    pub(crate) received: Count,
    pub(crate) received_bytes: Count,
    pub(crate) dropped: Count,
    pub(crate) malformed: Count,
    pub(crate) refused: Count,
    pub(crate) restarts: Count,
    pub(crate) members_rejected: Count,
}

impl Tally {
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            sent: self.sent.get(),
            sent_bytes: self.sent_bytes.get(),
            received: self.received.get(),
            received_bytes: self.received_bytes.get(),
            dropped: self.dropped.get(),
            malformed: self.malformed.get(),
            refused: self.refused.get(),
            restarts: self.restarts.get(),
            members_rejected: self.members_rejected.get(),
        }
    }
}

/// One number. Relaxed: nothing is decided by it.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, to: usize) {
        self.0.store(to as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
