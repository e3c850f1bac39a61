//! Which backend belongs to a key? Maglev's table: even, and few keys move when backends come and go.

use std::net::SocketAddr;

/// A table from keys to members: a prime number of places, about a hundred for each unit of weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Maglev {
    places: Box<[u16]>,
}

/// A member as a table sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Its position in the pool.
    pub(super) member: u16,
    /// What it is known by.
    pub(super) address: SocketAddr,
    /// Its share, compared with others.
    pub(super) weight: u32,
    /// Whether it gets places now. The size of the table counts it in any case, so that keys stay where they are.
    pub(super) usable: bool,
}

impl Maglev {
    /// The table of these members; `None` if none is usable.
    pub(super) fn new(members: &[Placed]) -> Option<Self> {
        // Weights count in units of the smallest, so that equal ones cost nothing.
        let least = members.iter().map(|placed| placed.weight.max(1)).min()?;
        let units = |placed: &Placed| placed.weight.div_ceil(least).min(UNITS_MAX);
        let wanted = members.iter().map(units).sum::<u32>() as usize * PLACES_PER_UNIT;
        let size = SIZES.into_iter().find(|size| *size >= wanted).unwrap_or(PLACES_MAX);
        let usable = members.iter().filter(|placed| placed.usable);
        let mut walks: Vec<_> = usable.map(|placed| (Walk::new(placed, size), units(placed))).collect();
        if walks.is_empty() {
            return None;
        }
        let mut places = vec![NOBODY; size];
        let mut left = size;
        loop {
            for (walk, units) in &mut walks {
                for _ in 0..*units {
                    if left == 0 {
                        return Some(Self { places: places.into() });
                    }
                    walk.take(&mut places);
                    left -= 1;
                }
            }
        }
    }

    /// The members for `key` in the order in which they are to be asked: its own, then those of the places behind it.
    /// A member may come more than once.
    pub(super) fn members(&self, key: u64) -> impl Iterator<Item = usize> {
        let start = (mixed(key) % self.places.len() as u64) as usize;
        let (before, behind) = self.places.split_at(start);
        behind.iter().chain(before).take(PLACES_ASKED_MAX).map(|member| usize::from(*member))
    }
}

/// One member's permutation of all places.
struct Walk {
    member: u16,
    at: usize,
    skip: usize,
}

impl Walk {
    fn new(placed: &Placed, size: usize) -> Self {
        let hash = address_hash(placed.address);
        let skip = mixed(hash ^ SKIP) % (size as u64 - 1) + 1;
        Self { member: placed.member, at: (mixed(hash) % size as u64) as usize, skip: skip as usize }
    }

    /// Takes the next free place of this walk. There must be one: a step prime to the size meets every place.
    fn take(&mut self, places: &mut [u16]) {
        while places[self.at] != NOBODY {
            self.at = (self.at + self.skip) % places.len();
        }
        places[self.at] = self.member;
    }
}

/// Whether a member with so many requests may have another: no more than 1.25 times its share of all, rounded up.
///
/// `weight` of `weights` is its share, `all` the requests of all members. (Consistent hashing with bounded loads.)
pub(super) fn is_within_bound(requests: u32, all: u32, weight: u32, weights: u32) -> bool {
    let whole = u64::from(weights.max(1)) * 4;
    let bound = ((u64::from(all) + 1) * u64::from(weight) * 5).div_ceil(whole);
    u64::from(requests) < bound
}

/// What a key's bytes count as.
pub fn key_hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv)
}

fn address_hash(address: SocketAddr) -> u64 {
    let port = u64::from(address.port());
    match address {
        SocketAddr::V4(v4) => key_hash(&v4.ip().octets()) ^ port,
        SocketAddr::V6(v6) => key_hash(&v6.ip().octets()) ^ port,
    }
}

/// Spreads what is close: the finalizer of `SplitMix64`.
fn mixed(key: u64) -> u64 {
    let key = (key ^ key >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ key >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ key >> 31
}

/// Primes just below powers of two: a pool can change within one without moving its keys.
const SIZES: [usize; 10] = [251, 509, 1_021, 2_039, 4_093, 8_191, 16_381, 32_749, 65_521, PLACES_MAX];
/// 256 KiB for each pool that asks for so much.
const PLACES_MAX: usize = 131_071;
/// Keeps the shares of equal members within a few per cent of each other.
const PLACES_PER_UNIT: usize = 100;
/// How many units the heaviest member can count for.
const UNITS_MAX: u32 = 100;
/// Places that one request looks at for a member within its bound.
const PLACES_ASKED_MAX: usize = 1_024;
const NOBODY: u16 = u16::MAX;
/// Makes the step of a walk independent of its start.
const SKIP: u64 = 0x5851_f42d_4c95_7f2d;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn members(weights: &[u32]) -> Vec<Placed> {
        let address = |at: usize| SocketAddr::from(([10, 0, (at >> 8) as u8, at as u8], 80));
        let placed = |(at, weight): (usize, &u32)| Placed {
            member: at as u16,
            address: address(at),
            weight: *weight,
            usable: true,
        };
        weights.iter().enumerate().map(placed).collect()
    }

    fn without(members: &[Placed], gone: usize) -> Vec<Placed> {
        let kept = |placed: &Placed| Placed { usable: usize::from(placed.member) != gone, ..*placed };
        members.iter().map(kept).collect()
    }

    fn of(table: &Maglev, key: u64) -> usize {
        table.members(key).next().unwrap()
    }

    #[test]
    fn nobody_is_no_table() {
        assert_eq!(Maglev::new(&[]), None);
        assert_eq!(Maglev::new(&without(&members(&[1]), 0)), None);
    }

    #[test]
    fn as_many_backends_as_a_pool_can_have_all_get_places() {
        let distinct = |table: &Maglev| table.places.iter().collect::<BTreeSet<_>>().len();
        let table = Maglev::new(&members(&[1; 1_024])).unwrap();
        assert_eq!(distinct(&table), 1_024);
        let table = Maglev::new(&members(&[[1].as_slice(), &[1_000; 1_023]].concat())).unwrap();
        assert_eq!(table.places.len(), PLACES_MAX);
    }

    #[test]
    fn sizes_are_prime() {
        for size in SIZES {
            assert!((2..size).take_while(|by| by * by <= size).all(|by| size % by != 0), "{size}");
        }
    }

    #[test]
    fn a_bound_is_a_quarter_above_the_share() {
        assert!(is_within_bound(0, 0, 1, 10));
        assert!(is_within_bound(12, 99, 1, 10));
        assert!(!is_within_bound(13, 99, 1, 10));
        assert!(is_within_bound(24, 99, 2, 10));
        assert!(!is_within_bound(25, 99, 2, 10));
    }

    proptest! {
        #[test]
        fn places_follow_the_weights(weights in prop::collection::vec(1u32..6, 1..20)) {
            let table = Maglev::new(&members(&weights)).unwrap();
            let least = weights.iter().min().unwrap();
            let units: u32 = weights.iter().map(|weight| weight.div_ceil(*least)).sum();
            for (at, weight) in weights.iter().enumerate() {
                let got = table.places.iter().filter(|member| usize::from(**member) == at).count() as f64;
                let share = f64::from(weight.div_ceil(*least)) / f64::from(units);
                prop_assert!((got / table.places.len() as f64 - share).abs() < 0.02);
            }
        }

        #[test]
        fn few_keys_move_when_a_backend_goes_beside_its_own(count in 2usize..30, gone: prop::sample::Index) {
            let all = members(&vec![1; count]);
            let gone = gone.index(count);
            let (before, after) = (Maglev::new(&all).unwrap(), Maglev::new(&without(&all, gone)).unwrap());
            let keys = 2_000u64;
            let ends = (0..keys).map(|key| (of(&before, key), of(&after, key)));
            let moved = ends.filter(|(old, new)| *old != gone && old != new).count();
            prop_assert!(moved <= keys as usize / 10, "{moved} of {keys}");
        }

        #[test]
        fn somebody_is_always_within_the_bound(requests in prop::collection::vec(0u32..50, 1..20)) {
            let all: u32 = requests.iter().sum();
            let count = requests.len() as u32;
            prop_assert!(requests.iter().any(|one| is_within_bound(*one, all, 1, count)));
        }
    }
}
