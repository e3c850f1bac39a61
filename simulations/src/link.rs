//! How does a packet fare between two hosts: latency by geography, jitter, loss, duplicates, disorder, bandwidth and
//! cuts, in each direction alone.

use std::collections::BTreeMap;
use std::time::Duration;

use graticule_geo::Coordinates;
use graticule_node_core::Moment;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::chance::{Purpose, generator};
use crate::network::{HostId, Hosts};

/// One direction between two hosts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// How long every packet takes.
    pub latency: Duration,
    /// How much longer a packet may take, evenly spread. It waits for those before it, as in a router's queue.
    pub jitter: Duration,
    /// The share of packets that get lost, 0 to 1.
    pub loss: f64,
    /// The share of datagrams that arrive twice, 0 to 1.
    pub duplicates: f64,
    /// The share of datagrams that wait until others have overtaken them, 0 to 1.
    pub reordered: f64,
    /// Bytes that get through in a second; any number without. What would have to wait too long for the others gets lost.
    pub bytes_per_second: Option<u64>,
    /// Whether every packet gets lost.
    pub cut: bool,
}

impl Link {
    /// A faultless link along the great circle at two thirds of the speed of light.
    pub fn between(from: Coordinates, to: Coordinates) -> Self {
        let latency = Duration::from_secs_f64(from.distance(to).0 / FIBRE_KM_PER_SECOND).max(LATENCY_MIN);
        Self {
            latency,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicates: 0.0,
            reordered: 0.0,
            bytes_per_second: None,
            cut: false,
        }
    }
}

/// Every direction that was used or changed so far.
#[derive(Debug)]
pub(crate) struct Links {
    seed: u64,
    paths: BTreeMap<(HostId, HostId), Path>,
}

/// One direction with its dice. Every packet draws as often, so a fault changes the fate of those it meets and not the
/// dice of the later ones.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) link: Link,
    chance: SmallRng,
    /// When everything that was sent before has left the narrowest place.
    free_at: Moment,
    /// When everything that was sent before has left the last queue.
    left_at: Moment,
}

/// How one packet fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passage {
    /// How long it takes.
    pub(crate) late: Duration,
    /// How much longer a datagram waits for others to overtake it.
    pub(crate) held: Duration,
    /// Whether a datagram arrives twice.
    pub(crate) twice: bool,
}

impl Links {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, paths: BTreeMap::new() }
    }

    /// The link in one direction, to look at or to change.
    pub(crate) fn link(&mut self, hosts: &Hosts, from: HostId, to: HostId) -> &mut Link {
        &mut self.path(hosts, from, to).link
    }

    /// How a packet of so many bytes fares that leaves now; nothing if it gets lost.
    pub(crate) fn cross(
        &mut self,
        hosts: &Hosts,
        (from, to): (HostId, HostId),
        (bytes, now): (usize, Moment),
    ) -> Option<Passage> {
        self.path(hosts, from, to).cross(bytes, now)
    }

    fn path(&mut self, hosts: &Hosts, from: HostId, to: HostId) -> &mut Path {
        let seed = self.seed;
        self.paths.entry((from, to)).or_insert_with(|| {
            let link = Link::between(hosts.coordinates(from), hosts.coordinates(to));
            Path::new(link, seed, [from.number(), to.number()])
        })
    }
}

impl Path {
    /// The direction between two hosts of these numbers.
    pub(crate) fn new(link: Link, seed: u64, hosts: [u64; 2]) -> Self {
        let chance = generator(seed, Purpose::Link, &hosts);
        Self { link, chance, free_at: Moment::default(), left_at: Moment::default() }
    }

    /// How a packet of so many bytes fares that leaves now; nothing if it gets lost.
    pub(crate) fn cross(&mut self, bytes: usize, now: Moment) -> Option<Passage> {
        let Self { link, chance, free_at, left_at } = self;
        let lost = chance.random::<f64>() < link.loss;
        let jitter = link.jitter.mul_f64(chance.random());
        let twice = chance.random::<f64>() < link.duplicates;
        let held = chance.random::<f64>() < link.reordered;
        if lost || link.cut {
            return None;
        }
        let mut queued = Duration::ZERO;
        if let Some(rate) = link.bytes_per_second {
            let begins = (*free_at).max(now);
            let leaves = begins + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            queued = leaves.since(now);
            if queued > QUEUE_TIME_MAX {
                return None;
            }
            *free_at = leaves;
        }
        // Queues delay packets and keep their order: a way that shuffled them would be out of order all the time, and every
        // transport would take that for loss.
        *left_at = (*left_at).max(now + queued + jitter);
        let held = if held { OVERTAKING_TIME } else { Duration::ZERO };
        Some(Passage { late: link.latency + left_at.since(now), held, twice })
    }
}

/// Two thirds of the speed of light in vacuum.
const FIBRE_KM_PER_SECOND: f64 = 299_792.458 * 2.0 / 3.0;
/// Between neighbours, and within a host: time must pass, or a loop over the network would never end.
const LATENCY_MIN: Duration = Duration::from_micros(50);
/// The longest that a packet waits before a narrow link: as much as its router stores.
const QUEUE_TIME_MAX: Duration = Duration::from_millis(250);
/// How long a datagram is held back for others to overtake it.
const OVERTAKING_TIME: Duration = Duration::from_millis(20);

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

    /// How each of many packets of 1,000 bytes fares, with a pause before each.
    fn passages(change: impl FnOnce(&mut Link), (packets, pause): (usize, Duration)) -> Vec<Option<Passage>> {
        let mut hosts = Hosts::default();
        let from = hosts.add("a", point(0.0, 0.0), &[]).unwrap();
        let to = hosts.add("b", point(0.0, 0.0), &[]).unwrap();
        let mut links = Links::new(1);
        let link = links.link(&hosts, from, to);
        link.latency = 5 * MS;
        change(link);
        let mut now = Moment::default();
        let crossed = (0..packets).map(|_| {
            now = now + pause;
            links.cross(&hosts, (from, to), (1_000, now))
        });
        crossed.collect()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn loss_and_jitter_keep_to_their_numbers() {
        let passages = passages(|link| (link.jitter, link.loss) = (10 * MS, 0.2), (10_000, 20 * MS));
        let late: Vec<_> = passages.into_iter().flatten().map(|passage| passage.late).collect();
        assert!((7_800..8_200).contains(&late.len()), "{} of 10,000 arrived", late.len());
        assert!(late.iter().all(|late| (5 * MS..=15 * MS).contains(late)));
        let mean = late.iter().sum::<Duration>() / late.len() as u32;
        assert!((9_800..10_200).contains(&mean.as_micros()), "{mean:?}");
    }

    #[test]
    fn jitter_lets_no_packet_overtake_another() {
        let passages = passages(|link| link.jitter = 10 * MS, (1_000, MS));
        let arrivals =
            (1..).zip(passages.into_iter().flatten()).map(|(sent, passage)| sent * MS + passage.late);
        let arrivals: Vec<_> = arrivals.collect();
        assert!(arrivals.is_sorted() && arrivals.len() == 1_000);
        let pauses = arrivals.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        assert!(pauses.clone().any(|pause| pause > 2 * MS) && pauses.clone().any(|pause| pause.is_zero()));
    }

    #[test]
    fn duplicates_and_disorder_keep_to_their_numbers() {
        let passages =
            passages(|link| (link.duplicates, link.reordered) = (0.1, 0.3), (10_000, Duration::ZERO));
        let passages: Vec<_> = passages.into_iter().flatten().collect();
        let twice = passages.iter().filter(|passage| passage.twice).count();
        let held = passages.iter().filter(|passage| !passage.held.is_zero()).count();
        assert!((900..1_100).contains(&twice) && (2_800..3_200).contains(&held), "{twice} and {held}");
    }

    #[test]
    fn a_narrow_link_makes_packets_wait_for_each_other_and_drops_what_is_too_much() {
        // 1,000 bytes at 100,000 bytes/s take 10 ms: after a quarter of a second the store is full.
        let passages = passages(|link| link.bytes_per_second = Some(100_000), (40, Duration::ZERO));
        let late: Vec<_> = passages.into_iter().flatten().map(|passage| passage.late.as_millis()).collect();
        assert_eq!(late, (1..=25).map(|nth| 5 + 10 * nth).collect::<Vec<_>>());
    }

    #[test]
    fn a_cut_is_of_one_direction() {
        let mut hosts = Hosts::default();
        let from = hosts.add("a", point(0.0, 0.0), &[]).unwrap();
        let to = hosts.add("b", point(0.0, 1.0), &[]).unwrap();
        let mut links = Links::new(1);
        links.link(&hosts, from, to).cut = true;
        let now = (1, Moment::default());
        assert_eq!(links.cross(&hosts, (from, to), now), None);
        assert!(links.cross(&hosts, (to, from), now).is_some());
    }
}
