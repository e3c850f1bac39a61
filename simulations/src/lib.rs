//! The production node in a deterministic world.
//!
//! [`Simulation::run`] builds one paused runtime on a thread of its own. [`Host::world`] gives a node all that it may
//! know of the outside: sockets, clock, chance, files and names, in memory, with latency from geography. Time moves
//! only when every task waits, so an hour of waiting costs nothing, and the same seed gives the same run.

mod chance;
mod clock;
mod disk;
mod host;
mod link;
mod names;
mod net;
mod network;
mod simulation;
#[cfg(test)]
mod testing;

pub use disk::MemoryDisk;
pub use host::Host;
pub use link::Link;
pub use network::{Crossing, Recording};
pub use simulation::Simulation;
