//! The command `graticule`.

fn main() {}
