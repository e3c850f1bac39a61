//! When alarms are due, and what they leave behind.

use tokio::time::Instant;

use super::*;

/// Runs a test in virtual time.
fn run<F: Future>(test: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime =
        builder.enable_time().start_paused(true).build_local(tokio::runtime::LocalOptions::default());
    runtime.unwrap().block_on(test)
}

#[test]
fn an_alarm_is_never_early_and_less_than_two_ticks_late() {
    run(async {
        let ticker = Ticker::default();
        for (milliseconds, pause) in [(100, 0), (100, 99), (250, 50), (1_000, 30), (60_000, 10)] {
            let alarm = ticker.alarm();
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let (span, begun) = (Duration::from_millis(milliseconds), Instant::now());
            alarm.set(Ticks::at_least(span));
            alarm.due().await;
            let late = begun.elapsed().checked_sub(span).expect("it is not early");
            assert!(late <= 2 * TICK, "{span:?}: {late:?} late");
        }
    });
}

#[test]
fn what_is_set_last_counts() {
    run(async {
        let alarm = Ticker::default().alarm();
        alarm.set(Ticks::at_least(TICK));
        alarm.set(Ticks::at_least(20 * TICK));
        let begun = Instant::now();
        alarm.due().await;
        assert!(begun.elapsed() >= 20 * TICK);
        alarm.set(Ticks::at_least(TICK));
        tokio::time::sleep(5 * TICK).await;
        alarm.clear();
        assert!(
            tokio::time::timeout(100 * TICK, alarm.due()).await.is_err(),
            "it was cleared after it was due"
        );
    });
}

#[test]
fn the_clock_stops_when_nobody_needs_it_and_places_are_used_again() {
    run(async {
        let ticker = Ticker::default();
        for _ in 0..10 {
            let alarms: Vec<_> = (0..3).map(|_| ticker.alarm()).collect();
            assert!(ticker.0.running.get());
            drop(alarms);
            tokio::time::sleep(2 * TICK).await;
            assert!(!ticker.0.running.get());
        }
        assert_eq!(ticker.0.slots.borrow().slots.len(), 3);
    });
}

#[test]
fn a_new_alarm_knows_nothing_of_the_one_before_it() {
    run(async {
        let ticker = Ticker::default();
        let (kept, first) = (ticker.alarm(), ticker.alarm());
        first.set(Ticks::at_least(TICK));
        tokio::time::sleep(5 * TICK).await;
        drop(first);
        let second = ticker.alarm();
        assert!(tokio::time::timeout(10 * TICK, second.due()).await.is_err());
        kept.set(Ticks::at_least(TICK));
        kept.due().await;
    });
}
