//! What time is it? The tests' own clock, which no node sees.

use std::time::{Instant, SystemTime};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "tests are outside every node's world")]
pub fn now() -> Instant {
    Instant::now()
}

/// The clock on the wall, which certificates are checked by.
#[expect(clippy::disallowed_methods, reason = "tests are outside every node's world")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
