//! Whether the node is leaving and takes no new requests.

use super::atomic::{AtomicBool, Ordering, fence};

/// Set by whoever drains the node, seen by every worker.
///
/// A worker counts a request in ([`InFlight::try_enter`](super::InFlight::try_enter)) and only then asks
/// [`admits`](Self::admits), giving up its place if the answer is no. In that order, once [`begin`](Self::begin) has
/// returned and the gauges' total was zero after it, no request is being served and none will be.
#[derive(Debug)]
pub struct Drain {
    draining: AtomicBool,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// Not draining.
    pub fn new() -> Self {
        Self { draining: AtomicBool::new(false) }
    }

    /// From now on no new requests are admitted. Whether this call changed that.
    pub fn begin(&self) -> bool {
        let before = self.draining.swap(true, Ordering::AcqRel);
        // Together with the fence in `admits`: either the worker sees the flag, or the caller sees the worker's request.
        fence(Ordering::SeqCst);
        !before
    }

    /// New requests are admitted again. Whether this call changed that.
    pub fn end(&self) -> bool {
        self.draining.swap(false, Ordering::AcqRel)
    }

    /// Whether a request that has just been counted in may go on.
    pub fn admits(&self) -> bool {
        fence(Ordering::SeqCst);
        !self.is_draining()
    }

    /// Whether the node is leaving, for reports.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn begins_and_ends_once_each() {
        let drain = Drain::new();
        assert!(drain.admits());
        assert!(!drain.end());
        assert!(drain.begin());
        assert!(!drain.begin());
        assert!(drain.is_draining());
        assert!(!drain.admits());
        assert!(drain.end());
        assert!(drain.admits());
    }
}
