//! Which ports of this machine can a node have?

/// The first of `count` consecutive ports of loopback that are free, and stay so while a node is down.
pub fn consecutive(count: u16) -> u16 {
    graticule::demo::ports::lasting(count).expect("free ports")
}
