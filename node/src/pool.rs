//! This region's backends: one worker's connections to them, and what is known of them all.

pub mod checks;
mod connections;
mod executor;
#[cfg(test)]
pub(crate) mod testing;
mod transport;
mod trust;

pub use connections::{Asked, Connections, Links, Outgoing, PooledBody, SendFailure, Sent, Trail, Visit};
pub use trust::Trust;
