//! Does gossip keep a fleet's view of itself, whoever dies, returns, floods or lies?

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod hostile;
mod mesh;
