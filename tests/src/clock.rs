//! What time is it? The tests' own clock, which no node sees.

use std::time::Instant;

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "tests are outside every node's world")]
pub fn now() -> Instant {
    Instant::now()
}
