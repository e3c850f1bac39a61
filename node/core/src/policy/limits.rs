//! How much one request of a tenant may be, and how long it may take.

use std::time::Duration;

/// What every request of a tenant keeps to, beside the limits of nodes and pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestLimits {
    /// The longest body, in bytes; any if there is none.
    pub body_bytes_max: Option<u64>,
    /// How long after its head a request may wait for the head of its answer, retries included; forever if there is none.
    pub request_timeout: Option<Duration>,
}
