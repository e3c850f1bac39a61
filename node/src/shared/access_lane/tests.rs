//! Lines on their way to a writer that may be slow.

use std::time::Duration;

use graticule_node_core::outcome::{Outcome, Protocol, Role};
use tokio::sync::mpsc::channel;

use super::*;

const OUTCOME: Outcome = Outcome {
    role: Role::Edge,
    status: Some(200),
    reason: None,
    attempts: 1,
    bytes_up: 0,
    bytes_down: 0,
    complete: true,
    total: Duration::ZERO,
};

fn entry(node: &str) -> Entry<'_> {
    Entry {
        ended_us: 0,
        node,
        outcome: &OUTCOME,
        protocol: Protocol::Http11,
        tenant: None,
        regions: [None, None],
        decision: "local",
        backend: None,
        accepted: None,
        first_byte: None,
        personal: None,
    }
}

#[test]
fn lines_wait_for_a_batch_and_leave_together() {
    let (sender, mut receiver) = channel(1);
    let lane = AccessLane::new(sender, Arc::default());
    lane.write(&entry("a"));
    lane.write(&entry("b"));
    assert!(receiver.try_recv().is_err(), "two lines wake nobody");
    lane.flush();
    let Ok(LogMessage::Lines { text, count }) = receiver.try_recv() else { panic!("no lines") };
    assert_eq!((count, text.lines().count()), (2, 2));
    lane.flush();
    assert!(receiver.try_recv().is_err(), "nothing is no batch");
}

#[test]
fn a_full_batch_leaves_by_itself_and_a_full_queue_is_counted() {
    let (sender, mut receiver) = channel(1);
    let drops = Arc::new(AtomicU64::new(0));
    let lane = AccessLane::new(sender, Arc::clone(&drops));
    let mut written = 0;
    while drops.load(Ordering::Relaxed) == 0 {
        lane.write(&entry("node"));
        written += 1;
        assert!(written < 10_000, "nothing is ever dropped");
    }
    let Ok(LogMessage::Lines { text, count }) = receiver.try_recv() else { panic!("no lines") };
    assert!(text.len() >= BATCH_BYTES && text.ends_with('\n'));
    assert_eq!(u64::from(count) + drops.load(Ordering::Relaxed), written, "each line is written or counted");
}

#[test]
fn what_a_worker_still_has_at_its_end_is_written() {
    let (sender, mut receiver) = channel(1);
    let lane = AccessLane::new(sender, Arc::default());
    lane.write(&entry("a"));
    drop(lane);
    assert!(matches!(receiver.try_recv(), Ok(LogMessage::Lines { count: 1, .. })));
}
