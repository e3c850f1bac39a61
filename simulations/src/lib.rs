//! The production node in a deterministic world.

mod chance;
mod clock;
mod disk;
mod names;

pub use disk::MemoryDisk;
