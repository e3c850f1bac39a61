//! How a test runs: alone, on one thread, and never for longer than it says.

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::now;

/// Runs a test of processes: no other of the same binary runs meanwhile, and it fails after `limit`.
pub fn story(limit: Duration, test: impl Future<Output = ()>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("a runtime for the test");
    let ended = runtime.block_on(async { tokio::time::timeout(limit, test).await });
    assert!(ended.is_ok(), "the test is not done after {} s", limit.as_secs());
}

/// Asks until the answer is `Ok`, and fails with the last `Err` when `limit` has passed.
pub async fn eventually<T, E: Debug>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let begun = now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(last) if now() - begun > limit => {
                panic!("not so after {:.1} s: {what}; last: {last:?}", limit.as_secs_f64())
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Stories load the machine: two at once would measure each other.
static ALONE: Mutex<()> = Mutex::new(());
const PAUSE: Duration = Duration::from_millis(50);
