//! Microbenchmarks.

fn main() {}
