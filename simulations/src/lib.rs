//! The production node in a deterministic world.
//!
//! [`Simulation::run`] builds one paused runtime on a thread of its own. [`Host::world`] gives a node all that it may
//! know of the outside: sockets, clock, chance, files and names, in memory, with latency from geography. Time moves
//! only when every task waits, so an hour of waiting costs nothing, and the same seed gives the same run. What runs on a
//! host is a [`Process`], whose tasks all end together; a [`fleet::Fleet`] is a whole mesh of them.

mod chance;
pub mod cli;
mod clock;
mod disk;
mod entropy;
pub mod fleet;
pub mod generated;
mod host;
pub mod judge;
mod link;
pub mod live;
mod names;
mod net;
mod network;
pub mod outcome;
mod places;
mod process;
pub mod report;
pub mod run;
pub mod scale;
pub mod scenario;
pub mod shipped;
mod simulation;
#[cfg(test)]
mod testing;
mod words;

pub use disk::MemoryDisk;
pub use host::Host;
pub use link::Link;
pub use network::{Crossing, Departed, Recording};
pub use process::Process;
pub use simulation::Simulation;
