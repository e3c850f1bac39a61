//! With which code a stream is given up: for `reset` of its sender and `stop` of its receiver.

/// Nobody waits for this any more: the client has gone, or the answer was complete without the rest of the body.
pub const CANCELLED: u32 = 1;
/// A fault of the node that gave up.
pub const INTERNAL: u32 = 2;
/// Something is over its limit.
pub const LIMIT: u32 = 3;
/// Something did not come in time.
pub const TIMEOUT: u32 = 4;
/// The backend broke off in the middle of its answer.
pub const UPSTREAM_FAILED: u32 = 5;
/// The client broke off in the middle of its request.
pub const DOWNSTREAM_FAILED: u32 = 6;
/// The peer broke the rules of framing.
pub const PROTOCOL: u32 = 7;
/// The node is stopping.
pub const STOPPING: u32 = 8;
