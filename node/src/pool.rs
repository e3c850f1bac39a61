//! This region's backends: one worker's connections to them.

mod connections;
#[cfg(test)]
mod testing;

pub use connections::{Connections, PooledBody, SendFailure};
