//! Whether the node is leaving, and whether it still takes new requests.

use super::atomic::{AtomicU32, Ordering, fence};

/// Set by whoever drains the node, seen by every worker.
///
/// A worker counts a relayed request in ([`InFlight::try_enter`](super::InFlight::try_enter)) and only then asks
/// [`admits`](Self::admits), giving up its place if the answer is no. In that order, once [`close`](Self::close) has
/// returned and the gauges' total was zero after it, no request is being served and none will be.
#[derive(Debug)]
pub struct Drain {
    stage: AtomicU32,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// Not draining.
    pub fn new() -> Self {
        Self { stage: AtomicU32::new(STAYING) }
    }

    /// The node says that it leaves, and still admits requests. Whether this call changed that.
    pub fn begin(&self) -> bool {
        self.stage.compare_exchange(STAYING, ANNOUNCED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The node stays after all. Whether this call changed that; it changes nothing once it has closed.
    pub fn end(&self) -> bool {
        self.stage.compare_exchange(ANNOUNCED, STAYING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// From now on no new requests are admitted.
    pub fn close(&self) {
        self.stage.store(CLOSED, Ordering::Release);
        // Together with the fence in `admits`: either the worker sees the stage, or the caller sees the worker's request.
        fence(Ordering::SeqCst);
    }

    /// The node ends now, whether it has drained or not.
    pub fn finish(&self) {
        self.stage.store(FINISHED, Ordering::Release);
    }

    /// Whether a request that has just been counted in may go on.
    pub fn admits(&self) -> bool {
        fence(Ordering::SeqCst);
        self.stage.load(Ordering::Acquire) < CLOSED
    }

    /// Whether the node ends now: what breaks is broken on purpose.
    pub fn is_finished(&self) -> bool {
        self.stage.load(Ordering::Acquire) == FINISHED
    }

    /// Whether the node is leaving, for reports.
    pub fn is_draining(&self) -> bool {
        self.stage.load(Ordering::Acquire) != STAYING
    }
}

const STAYING: u32 = 0;
const ANNOUNCED: u32 = 1;
const CLOSED: u32 = 2;
const FINISHED: u32 = 3;

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
        assert!(drain.is_draining() && drain.admits(), "it says so, and still serves");
        assert!(drain.end());
        assert!(!drain.is_draining());
    }

    #[test]
    fn what_has_closed_does_not_open_again() {
        let drain = Drain::new();
        assert!(drain.begin());
        drain.close();
        assert!(!drain.end() && !drain.begin());
        assert!(drain.is_draining() && !drain.admits() && !drain.is_finished());
        drain.finish();
        assert!(drain.is_draining() && !drain.admits() && drain.is_finished());
    }
}
