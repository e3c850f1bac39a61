//! How many requests are in flight at each worker and at the node.

use std::sync::Arc;

use super::atomic::{AtomicU32, Ordering};

/// One gauge for each worker of a node.
#[derive(Debug)]
pub struct InFlightGauges {
    workers: Box<[Gauge]>,
}

/// Alone in its cache lines (two, because processors fetch pairs), so that workers do not slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Gauge(AtomicU32);

/// One worker's gauge.
#[derive(Debug, Clone)]
pub struct InFlight {
    gauges: Arc<InFlightGauges>,
    worker: usize,
}

/// One request in flight: it is until this is dropped, wherever that happens.
#[derive(Debug)]
#[must_use = "the request leaves as soon as this is dropped"]
pub struct InFlightGuard {
    of: InFlight,
}

impl InFlightGauges {
    /// Gauges of that many workers, at zero.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self { workers: (0..workers).map(|_| Gauge::default()).collect() })
    }

    /// The gauge of one worker, from 0; `None` if there are not so many.
    pub fn worker(self: &Arc<Self>, worker: usize) -> Option<InFlight> {
        (worker < self.workers.len()).then(|| InFlight { gauges: Arc::clone(self), worker })
    }

    /// Requests in flight at all workers. While they come and go, a number that was true of each worker at some moment
    /// during the call.
    pub fn total(&self) -> u64 {
        self.workers.iter().map(|gauge| u64::from(gauge.0.load(Ordering::Acquire))).sum()
    }
}

impl InFlight {
    /// Counts one more request, unless `limit` are in flight at this worker.
    pub fn try_enter(&self, limit: u32) -> Option<InFlightGuard> {
        let below = |count: u32| (count < limit).then(|| count + 1);
        self.gauge().fetch_update(Ordering::AcqRel, Ordering::Relaxed, below).ok()?;
        Some(InFlightGuard { of: self.clone() })
    }

    /// Requests in flight at this worker.
    pub fn count(&self) -> u32 {
        self.gauge().load(Ordering::Acquire)
    }

    fn gauge(&self) -> &AtomicU32 {
        // The index was checked when this was made.
        &self.gauges.workers[self.worker].0
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        // Release: whoever sees the gauge fall sees what the request did before.
        self.of.gauge().fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_is_exact_for_one_worker_and_not_shared() {
        let gauges = InFlightGauges::new(2);
        let (first, second) = (gauges.worker(0).unwrap(), gauges.worker(1).unwrap());
        let held: Vec<_> = (0..3).filter_map(|_| first.try_enter(2)).collect();
        assert_eq!((held.len(), first.count(), second.count()), (2, 2, 0));
        assert!(second.try_enter(2).is_some());
        drop(held);
        assert!(first.try_enter(1).is_some());
        assert!(first.try_enter(0).is_none());
        assert_eq!(gauges.total(), 0);
    }

    #[test]
    fn there_are_so_many_workers_and_no_more() {
        let gauges = InFlightGauges::new(2);
        assert!(gauges.worker(1).is_some());
        assert!(gauges.worker(2).is_none());
    }

    #[test]
    fn gauges_do_not_share_cache_lines() {
        let gauges = InFlightGauges::new(2);
        let at = |worker: usize| std::ptr::from_ref(&gauges.workers[worker]).addr();
        assert!(at(1) - at(0) >= 128);
        assert_eq!(at(0) % 128, 0);
    }

    #[test]
    fn a_request_that_ends_in_a_panic_leaves_too() {
        let gauges = InFlightGauges::new(1);
        let worker = gauges.worker(0).unwrap();
        let panicked = std::panic::catch_unwind(|| {
            let _held = worker.try_enter(1).unwrap();
            panic!("on purpose");
        });
        assert!(panicked.is_err());
        assert_eq!(gauges.total(), 0);
    }

    proptest! {
        #[test]
        fn the_total_is_what_is_held(steps in prop::collection::vec((0usize..3, any::<bool>()), 0..100)) {
            let gauges = InFlightGauges::new(3);
            let mut held: [Vec<InFlightGuard>; 3] = Default::default();
            for (worker, enter) in steps {
                if enter {
                    let entered = gauges.worker(worker).unwrap().try_enter(5);
                    prop_assert_eq!(entered.is_some(), held[worker].len() < 5);
                    held[worker].extend(entered);
                } else {
                    held[worker].pop();
                }
                prop_assert_eq!(gauges.total(), held.iter().map(|held| held.len() as u64).sum::<u64>());
            }
        }
    }
}
