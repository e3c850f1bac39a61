//! How does a packet fare between two hosts: latency by geography, jitter, loss and cuts, in each direction alone.

use std::collections::BTreeMap;
use std::time::Duration;

use graticule_geo::Coordinates;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::chance::{Purpose, generator};
use crate::network::{HostId, Hosts};

/// One direction between two hosts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// How long every packet takes.
    pub latency: Duration,
    /// How much longer a packet may take, evenly spread. Datagrams may overtake each other; TCP stays in order.
    pub jitter: Duration,
    /// The share of packets that get lost, 0 to 1.
    pub loss: f64,
    /// Whether every packet gets lost.
    pub cut: bool,
}

impl Link {
    /// A faultless link along the great circle at two thirds of the speed of light.
    pub fn between(from: Coordinates, to: Coordinates) -> Self {
        let latency = Duration::from_secs_f64(from.distance(to).0 / FIBRE_KM_PER_SECOND).max(LATENCY_MIN);
        Self { latency, jitter: Duration::ZERO, loss: 0.0, cut: false }
    }
}

/// Every direction that was used or changed so far.
#[derive(Debug)]
pub(crate) struct Links {
    seed: u64,
    paths: BTreeMap<(HostId, HostId), Path>,
}

#[derive(Debug)]
struct Path {
    link: Link,
    chance: SmallRng,
}

impl Links {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, paths: BTreeMap::new() }
    }

    /// The link in one direction, to look at or to change.
    pub(crate) fn link(&mut self, hosts: &Hosts, from: HostId, to: HostId) -> &mut Link {
        &mut self.path(hosts, from, to).link
    }

    /// How long one packet takes; nothing if it gets lost.
    ///
    /// Every packet draws twice, so a fault changes the fate of those it meets and not the dice of the later ones.
    pub(crate) fn cross(&mut self, hosts: &Hosts, from: HostId, to: HostId) -> Option<Duration> {
        let Path { link, chance } = self.path(hosts, from, to);
        let lost = chance.random::<f64>() < link.loss;
        let late = link.jitter.mul_f64(chance.random());
        (!lost && !link.cut).then_some(link.latency + late)
    }

    fn path(&mut self, hosts: &Hosts, from: HostId, to: HostId) -> &mut Path {
        let seed = self.seed;
        self.paths.entry((from, to)).or_insert_with(|| Path {
            link: Link::between(hosts.coordinates(from), hosts.coordinates(to)),
            chance: generator(seed, Purpose::Link, &[from.number(), to.number()]),
        })
    }
}

/// Two thirds of the speed of light in vacuum.
const FIBRE_KM_PER_SECOND: f64 = 299_792.458 * 2.0 / 3.0;
/// Between neighbours, and within a host: time must pass, or a loop over the network would never end.
const LATENCY_MIN: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn point(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).unwrap()
    }

    #[test]
    fn a_quarter_of_the_globe_takes_fifty_milliseconds() {
        // From the definition of the metre: 10,000 km from pole to equator; light in fibre needs 50.03 ms.
        let latency = Link::between(point(90.0, 0.0), point(0.0, 0.0)).latency.as_secs_f64();
        assert!((0.0497..0.0504).contains(&latency), "{latency}");
    }

    #[test]
    fn neighbours_are_not_at_once() {
        let link = Link::between(point(50.0, 8.0), point(50.0, 8.0));
        assert!(link.latency > Duration::ZERO && link.latency < Duration::from_millis(1));
    }

    #[test]
    fn loss_and_jitter_keep_to_their_numbers() {
        let mut hosts = Hosts::default();
        let from = hosts.add("a", point(0.0, 0.0), &[]).unwrap();
        let to = hosts.add("b", point(0.0, 0.0), &[]).unwrap();
        let mut links = Links::new(1);
        let shape = Link {
            latency: Duration::from_millis(5),
            jitter: Duration::from_millis(10),
            loss: 0.2,
            cut: false,
        };
        *links.link(&hosts, from, to) = shape;
        let crossings: Vec<_> = (0..10_000).filter_map(|_| links.cross(&hosts, from, to)).collect();
        assert!((7_800..8_200).contains(&crossings.len()), "{} of 10,000 arrived", crossings.len());
        let in_range = Duration::from_millis(5)..=Duration::from_millis(15);
        assert!(crossings.iter().all(|late| in_range.contains(late)));
        let mean = crossings.iter().sum::<Duration>() / crossings.len() as u32;
        assert!((9_800..10_200).contains(&mean.as_micros()), "{mean:?}");
    }

    #[test]
    fn a_cut_is_of_one_direction() {
        let mut hosts = Hosts::default();
        let from = hosts.add("a", point(0.0, 0.0), &[]).unwrap();
        let to = hosts.add("b", point(0.0, 1.0), &[]).unwrap();
        let mut links = Links::new(1);
        links.link(&hosts, from, to).cut = true;
        assert_eq!(links.cross(&hosts, from, to), None);
        assert!(links.cross(&hosts, to, from).is_some());
    }
}
