//! Is the machine up to it: how late its timers are, while processes share its cores with whatever else runs there.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::run::chronicle::Chronicle;

/// The longest that anything has been late.
pub(super) type Latest = Rc<Cell<Duration>>;

/// Watches for as long as the task lives, and notes when nodes may have been taken for dead because of it.
pub(super) async fn watch(latest: Latest, chronicle: Chronicle) {
    loop {
        let began = Instant::now();
        sleep(INTERVAL).await;
        let late = began.elapsed().saturating_sub(INTERVAL);
        latest.set(late.max(latest.get()));
        if late >= TOLD_FROM {
            chronicle.note("log", "-", format!("this machine was {} ms late", late.as_millis()));
        }
    }
}

const INTERVAL: Duration = Duration::from_millis(20);
/// Less than the least patience of nodes with each other.
pub(super) const TOLD_FROM: Duration = Duration::from_millis(100);
