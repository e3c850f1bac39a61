//! What the operator says of an address: the longest of the prefixes that contain it.
//!
//! Prefixes nest and never cross. So they are flattened once into disjoint ranges, and a lookup is one binary search,
//! however many there are and however deep.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Location, LocatorBuilder, LocatorError};

/// Overrides by prefix, for both families.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    v4: Ranges,
    v6: Ranges,
    prefixes: usize,
}

/// The first address of each range, ascending, with what is said of it; each ends where the next begins.
type Ranges = Vec<(u128, Option<Location>)>;

/// A prefix as the numbers of its first and last address.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: u128,
    last: u128,
    location: Location,
}

impl Overrides {
    pub(super) fn new(overrides: Vec<(IpNet, Location)>) -> Result<Self, LocatorError> {
        if overrides.len() > LocatorBuilder::OVERRIDES_MAX {
            return Err(LocatorError::TooManyOverrides(overrides.len()));
        }
        let prefixes = distinct(overrides)?;
        let of_family =
            |v6: bool| prefixes.iter().filter(move |(prefix, _)| v6 == matches!(prefix, IpNet::V6(_)));
        Ok(Self {
            v4: flatten(of_family(false).map(Span::new)),
            v6: flatten(of_family(true).map(Span::new)),
            prefixes: prefixes.len(),
        })
    }

    /// What the longest prefix that contains `address` (canonical) says, if there is one.
    pub(super) fn find(&self, address: IpAddr) -> Option<Location> {
        let (ranges, number) = match address {
            IpAddr::V4(address) => (&self.v4, u128::from(u32::from(address))),
            IpAddr::V6(address) => (&self.v6, u128::from(address)),
        };
        let next = ranges.partition_point(|(first, _)| *first <= number);
        ranges.get(next.checked_sub(1)?)?.1
    }

    pub(super) fn prefixes(&self) -> usize {
        self.prefixes
    }
}

impl Span {
    fn new((prefix, location): &(IpNet, Location)) -> Self {
        let (first, last) = match prefix {
            IpNet::V4(prefix) => (u32::from(prefix.network()).into(), u32::from(prefix.broadcast()).into()),
            IpNet::V6(prefix) => (u128::from(prefix.network()), u128::from(prefix.broadcast())),
        };
        Self { first, last, location: *location }
    }
}

/// Sorted so that a prefix comes after those that contain it, each once, IPv4 as IPv4, every country with coordinates.
fn distinct(overrides: Vec<(IpNet, Location)>) -> Result<Vec<(IpNet, Location)>, LocatorError> {
    let complete = |(prefix, location): (IpNet, Location)| (canonical(prefix), completed(location));
    let mut prefixes: Vec<_> = overrides.into_iter().map(complete).collect();
    prefixes.sort_by_key(|(prefix, _)| (prefix.network(), prefix.prefix_len()));
    prefixes.dedup();
    match prefixes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(LocatorError::Contradiction(pair[0].0)),
        None => Ok(prefixes),
    }
}

fn canonical(prefix: IpNet) -> IpNet {
    match prefix.trunc() {
        IpNet::V6(v6) => mapped_v4(v6).map_or(IpNet::V6(v6), IpNet::V4),
        v4 @ IpNet::V4(_) => v4,
    }
}

/// The IPv4 prefix that `::ffff:0:0/96` or a part of it is.
fn mapped_v4(prefix: Ipv6Net) -> Option<Ipv4Net> {
    let bits = prefix.prefix_len().checked_sub(MAPPED_BITS)?;
    Ipv4Net::new(prefix.addr().to_ipv4_mapped()?, bits).ok()
}

fn completed(location: Location) -> Location {
    match location {
        Location::Known { country, coordinates: None } => Location::in_country(country),
        complete => complete,
    }
}

/// Turns nested spans, outer before inner, into disjoint ranges.
fn flatten(spans: impl Iterator<Item = Span>) -> Ranges {
    let mut ranges = Ranges::new();
    let mut open: Vec<Span> = Vec::new();
    for span in spans {
        close(&mut open, &mut ranges, |outer| outer.last < span.first);
        begin(&mut ranges, span.first, Some(span.location));
        open.push(span);
    }
    close(&mut open, &mut ranges, |_| true);
    ranges
}

/// Ends the innermost spans as long as they are `over`; behind each, the one around it goes on.
fn close(open: &mut Vec<Span>, ranges: &mut Ranges, over: impl Fn(&Span) -> bool) {
    while let Some(ended) = open.pop_if(|innermost| over(innermost)) {
        // The last address of all has nothing behind it.
        if let Some(behind) = ended.last.checked_add(1) {
            begin(ranges, behind, open.last().map(|outer| outer.location));
        }
    }
}

fn begin(ranges: &mut Ranges, first: u128, location: Option<Location>) {
    ranges.pop_if(|(same, _)| *same == first);
    ranges.push((first, location));
}

const MAPPED_BITS: u8 = 96;

#[cfg(test)]
mod tests;
