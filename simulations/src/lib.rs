//! The production node in a deterministic world.
