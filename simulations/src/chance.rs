//! Where do random numbers come from: every generator is derived from the run's seed and what it is for.

use std::sync::atomic::{AtomicU64, Ordering};

use graticule::world::Chance;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

/// One host's generators: each is another one, in the order they are asked for.
#[derive(Debug)]
pub(crate) struct SeededChance {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededChance {
    /// The generators of a host.
    pub(crate) fn new(seed: u64, host: u64) -> Self {
        Self { seed: derive(seed, &[Purpose::Host as u64, host]), drawn: AtomicU64::new(0) }
    }
}

impl Chance for SeededChance {
    fn generator(&self) -> Box<dyn RngCore + Send> {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        Box::new(SmallRng::seed_from_u64(derive(self.seed, &[number])))
    }
}

/// What a generator is for; two purposes never share one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// What a node draws.
    Host = 1,
    /// Jitter and loss of one direction between two hosts.
    Link = 2,
    /// When a host's boot clock started.
    Clock = 3,
    /// When requests of a load come.
    Load = 4,
    /// Which requests backends fail.
    Backend = 5,
    /// Which faults are made up.
    Fault = 6,
}

/// A generator that depends on the seed and `path` alone.
pub(crate) fn generator(seed: u64, purpose: Purpose, path: &[u64]) -> SmallRng {
    SmallRng::seed_from_u64(derive(derive(seed, &[purpose as u64]), path))
}

/// A new seed from a seed and a path of numbers (`SplitMix64` finaliser at each step).
fn derive(seed: u64, path: &[u64]) -> u64 {
    path.iter().fold(mix(seed), |seed, step| mix(seed ^ mix(*step)))
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn drawn(seed: u64, host: u64) -> Vec<u64> {
        let chance = SeededChance::new(seed, host);
        (0..4).map(|_| chance.generator().next_u64()).collect()
    }

    #[test]
    fn the_same_seed_and_host_draw_the_same() {
        assert_eq!(drawn(7, 1), drawn(7, 1));
    }

    #[test]
    fn seeds_hosts_and_generators_differ() {
        let all: BTreeSet<u64> =
            [drawn(7, 1), drawn(7, 2), drawn(8, 1), drawn(8, 2)].into_iter().flatten().collect();
        assert_eq!(all.len(), 16, "sixteen generators, sixteen first numbers");
    }

    #[test]
    fn purposes_and_the_order_of_a_path_matter() {
        let first = |purpose, path: &[u64]| generator(7, purpose, path).next_u64();
        assert_ne!(first(Purpose::Link, &[1, 2]), first(Purpose::Link, &[2, 1]));
        assert_ne!(first(Purpose::Link, &[1]), first(Purpose::Clock, &[1]));
    }
}
