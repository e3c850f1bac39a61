//! Random numbers of the machine.

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use super::Chance;

/// Generators seeded by the operating system.
#[derive(Debug)]
pub(super) struct SystemChance;

impl Chance for SystemChance {
    fn generator(&self) -> Box<dyn RngCore + Send> {
        Box::new(SmallRng::from_os_rng())
    }
}
