//! Every interleaving of what workers and the control runtime do with shared state. Run by `.ci/loom`.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::*;
use crate::Moment;
use crate::mesh::PeerId;

#[test]
fn a_limit_holds_for_two_threads_and_nothing_leaks() {
    loom::model(|| {
        let gauges = InFlightGauges::new(1);
        let worker = gauges.worker(0).unwrap();
        let inside = Arc::new(AtomicBool::new(false));
        let other = {
            let (worker, inside) = (worker.clone(), Arc::clone(&inside));
            thread::spawn(move || enter_alone(&worker, &inside))
        };
        let here = enter_alone(&worker, &inside);
        let there = other.join().unwrap();
        assert!(here || there, "somebody always gets in");
        assert_eq!(gauges.total(), 0);
    });
}

/// Whether this thread got in; with a limit of one it is alone then.
fn enter_alone(worker: &InFlight, inside: &AtomicBool) -> bool {
    let Some(guard) = worker.try_enter(1) else { return false };
    assert!(!inside.swap(true, Ordering::Relaxed), "two at once");
    inside.store(false, Ordering::Relaxed);
    drop(guard);
    true
}

#[test]
fn a_total_is_never_more_than_what_can_be_in_flight_nor_below_zero() {
    loom::model(|| {
        let gauges = InFlightGauges::new(2);
        let threads: Vec<_> = (0..2)
            .map(|at| {
                let worker = gauges.worker(at).unwrap();
                thread::spawn(move || drop(worker.try_enter(1)))
            })
            .collect();
        assert!(gauges.total() <= 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(gauges.total(), 0);
    });
}

#[test]
fn a_guard_dropped_on_another_thread_leaves() {
    loom::model(|| {
        let gauges = InFlightGauges::new(1);
        let worker = gauges.worker(0).unwrap();
        let guard = worker.try_enter(2).unwrap();
        let other = thread::spawn(move || drop(guard));
        let second = worker.try_enter(2);
        assert!(second.is_some());
        other.join().unwrap();
        assert_eq!(gauges.total(), 1);
    });
}

#[test]
fn after_a_drain_that_saw_nothing_in_flight_nothing_is_served() {
    loom::model(|| {
        let gauges = InFlightGauges::new(1);
        let drain = Arc::new(Drain::new());
        let worker = gauges.worker(0).unwrap();
        let serving = {
            let drain = Arc::clone(&drain);
            thread::spawn(move || {
                let guard = worker.try_enter(1).unwrap();
                // The place is kept, so that being served can be told from having been.
                (drain.admits(), guard)
            })
        };
        drain.close();
        let seen = gauges.total();
        let (admitted, guard) = serving.join().unwrap();
        assert!(!(admitted && seen == 0), "a request slipped through the drain");
        drop(guard);
    });
}

#[test]
fn a_drain_that_saw_the_last_request_leave_sees_what_it_did() {
    loom::model(|| {
        let gauges = InFlightGauges::new(1);
        let done = Arc::new(AtomicBool::new(false));
        let guard = gauges.worker(0).unwrap().try_enter(1).unwrap();
        let serving = {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                done.store(true, Ordering::Relaxed);
                drop(guard);
            })
        };
        if gauges.total() == 0 {
            assert!(done.load(Ordering::Relaxed));
        }
        serving.join().unwrap();
    });
}

#[test]
fn of_two_that_begin_a_drain_one_is_the_first() {
    loom::model(|| {
        let drain = Arc::new(Drain::new());
        let other = {
            let drain = Arc::clone(&drain);
            thread::spawn(move || drain.begin())
        };
        let here = drain.begin();
        assert!(here != other.join().unwrap());
    });
}

#[test]
fn no_mark_is_lost_or_taken_twice() {
    loom::model(|| {
        let suspects = Arc::new(Suspects::new(2));
        let workers: Vec<_> = [(0, 5), (1, 7)]
            .into_iter()
            .map(|(peer, sent)| {
                let suspects = Arc::clone(&suspects);
                thread::spawn(move || suspects.mark(PeerId(peer), Moment::from_micros(sent)))
            })
            .collect();
        let mut taken: Vec<_> = suspects.take().collect();
        for worker in workers {
            assert!(worker.join().unwrap());
        }
        taken.extend(suspects.take());
        taken.sort_unstable();
        let expected = [(PeerId(0), Moment::from_micros(5)), (PeerId(1), Moment::from_micros(7))];
        assert_eq!(taken, expected);
    });
}

#[test]
fn of_two_marks_for_one_peer_the_latest_is_always_learnt() {
    loom::model(|| {
        let suspects = Arc::new(Suspects::new(1));
        let other = {
            let suspects = Arc::clone(&suspects);
            thread::spawn(move || suspects.mark(PeerId(0), Moment::from_micros(9)))
        };
        suspects.mark(PeerId(0), Moment::from_micros(3));
        let early = suspects.take().map(|(_, sent)| sent).max();
        other.join().unwrap();
        let late = suspects.take().map(|(_, sent)| sent).max();
        assert_eq!(early.max(late), Some(Moment::from_micros(9)));
    });
}

#[test]
fn a_breaker_lets_no_more_in_than_its_limit_and_forgets_nobody() {
    loom::model(|| {
        let breaker = Arc::new(Breaker::new());
        let inside = Arc::new(AtomicBool::new(false));
        let enter = |breaker: Arc<Breaker>, inside: Arc<AtomicBool>| {
            let Some(guard) = Breaker::enter(breaker, 1) else { return false };
            assert!(!inside.swap(true, Ordering::Relaxed), "two at once");
            inside.store(false, Ordering::Relaxed);
            drop(guard);
            true
        };
        let other = {
            let (breaker, inside) = (Arc::clone(&breaker), Arc::clone(&inside));
            thread::spawn(move || enter(breaker, inside))
        };
        let here = enter(Arc::clone(&breaker), inside);
        let there = other.join().unwrap();
        assert!(here || there, "somebody always gets in");
        assert_eq!(breaker.under_way(), 0);
    });
}

#[test]
fn of_a_full_row_of_failures_at_two_workers_one_is_the_last() {
    loom::model(|| {
        let streak = Arc::new(Streak::new());
        let other = {
            let streak = Arc::clone(&streak);
            thread::spawn(move || u32::from(streak.failed(3, 1) == Some(Row::Full)))
        };
        let full = || u32::from(streak.failed(3, 1) == Some(Row::Full));
        let here = full() + full();
        assert_eq!(here + other.join().unwrap(), 1);
    });
}

#[test]
fn no_saved_retry_is_taken_twice_and_none_is_paid_twice() {
    loom::model(|| {
        let budget = Arc::new(RetryBudget::new());
        (1..RetryBudget::RETRIES_SAVED_MAX).for_each(|_| assert!(budget.take()));
        let other = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                budget.succeeded();
                budget.take()
            })
        };
        let here = budget.take();
        assert!(here != other.join().unwrap(), "one was left, and one success pays for none");
    });
}

#[test]
fn a_pace_holds_for_two_threads() {
    loom::model(|| {
        let pace = Arc::new(Pace::new(1));
        let other = {
            let pace = Arc::clone(&pace);
            thread::spawn(move || pace.take(Moment::from_millis(5)))
        };
        let here = pace.take(Moment::from_millis(5));
        assert!(here != other.join().unwrap(), "one of both is enough");
    });
}
