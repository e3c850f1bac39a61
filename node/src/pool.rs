//! This region's backends: one worker's connections to them, and the checks of their health.

pub mod checks;
mod connections;
#[cfg(test)]
mod testing;

pub use connections::{Connections, PooledBody, SendFailure};
