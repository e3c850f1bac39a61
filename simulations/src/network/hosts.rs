//! Who is there: hosts, their addresses and places, and whether they run.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use graticule_geo::Coordinates;

/// Every host of a simulation; none is ever removed.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    hosts: Vec<Entry>,
    by_address: BTreeMap<IpAddr, HostId>,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<IpAddr>,
    coordinates: Coordinates,
    up: bool,
    life: u64,
    ports_drawn: u16,
    bytes_in_flight: usize,
}

/// A host's position in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostId(usize);

/// A host between a start and its next crash. What was opened in one life does nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) host: HostId,
    number: u64,
}

impl HostId {
    /// The same number in every run.
    pub(crate) fn number(self) -> u64 {
        self.0 as u64
    }
}

impl Hosts {
    /// Adds a host that runs. Its addresses must be new and its own: not loopback, multicast or unspecified.
    pub(crate) fn add(
        &mut self,
        name: &str,
        coordinates: Coordinates,
        addresses: &[IpAddr],
    ) -> io::Result<HostId> {
        for address in addresses {
            if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
                return Err(invalid(format!("{name}: {address} cannot be a host's own address")));
            }
            if self.by_address.contains_key(address) {
                return Err(invalid(format!("{name}: {address} belongs to another host")));
            }
        }
        let id = HostId(self.hosts.len());
        self.by_address.extend(addresses.iter().map(|address| (*address, id)));
        let addresses = addresses.to_vec();
        let entry = Entry { addresses, coordinates, up: true, life: 0, ports_drawn: 0, bytes_in_flight: 0 };
        self.hosts.push(entry);
        Ok(id)
    }

    pub(crate) fn coordinates(&self, host: HostId) -> Coordinates {
        self.hosts[host.0].coordinates
    }

    pub(crate) fn is_up(&self, host: HostId) -> bool {
        self.hosts[host.0].up
    }

    /// The life a host is in, or was in before it crashed.
    pub(crate) fn life(&self, host: HostId) -> Life {
        Life { host, number: self.hosts[host.0].life }
    }

    pub(crate) fn is_alive(&self, life: Life) -> bool {
        self.is_up(life.host) && self.life(life.host) == life
    }

    pub(crate) fn crash(&mut self, host: HostId) {
        self.hosts[host.0].up = false;
    }

    /// Begins a new life, unless the host runs.
    pub(crate) fn start(&mut self, host: HostId) {
        let entry = &mut self.hosts[host.0];
        if !entry.up {
            entry.up = true;
            entry.life += 1;
        }
    }

    /// The host that packets of `from` to this address reach.
    pub(crate) fn destination(&self, from: HostId, to: IpAddr) -> Option<HostId> {
        if to.is_loopback() { Some(from) } else { self.by_address.get(&to).copied() }
    }

    /// Whether a socket of the host may be bound to this address.
    pub(crate) fn owns(&self, host: HostId, address: IpAddr) -> bool {
        address.is_unspecified() || self.destination(host, address) == Some(host)
    }

    /// The address that packets to `to` are sent from by a socket bound to `local`; nothing if they cannot be.
    pub(crate) fn source(&self, host: HostId, local: IpAddr, to: IpAddr) -> Option<IpAddr> {
        let same_family = |address: &IpAddr| address.is_ipv4() == to.is_ipv4();
        let local = local.to_canonical();
        match (local.is_unspecified(), to.is_loopback()) {
            (true, true) => Some(to),
            (true, false) => self.hosts[host.0].addresses.iter().copied().find(same_family),
            (false, _) => {
                (same_family(&local) && (!local.is_loopback() || to.is_loopback())).then_some(local)
            }
        }
    }

    /// The next port for a socket that asked for any.
    pub(crate) fn draw_port(&mut self, host: HostId) -> u16 {
        let drawn = &mut self.hosts[host.0].ports_drawn;
        let port = PORT_DRAWN_FIRST + *drawn;
        *drawn = (*drawn + 1) % PORTS_DRAWN;
        port
    }

    /// Counts a datagram that leaves; false if the host has too many bytes on their way already.
    pub(crate) fn depart(&mut self, host: HostId, bytes: usize) -> bool {
        let in_flight = &mut self.hosts[host.0].bytes_in_flight;
        let admitted = *in_flight + bytes <= IN_FLIGHT_BYTES_MAX;
        if admitted {
            *in_flight += bytes;
        }
        admitted
    }

    /// Counts a datagram that was on its way and is no more.
    pub(crate) fn arrive(&mut self, host: HostId, bytes: usize) {
        self.hosts[host.0].bytes_in_flight -= bytes;
    }
}

/// The addresses a socket may be bound to if it is to receive what is sent to `to`, the closest match first.
pub(crate) fn bound_for(to: SocketAddr) -> [SocketAddr; 3] {
    let any_v6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), to.port());
    let any = if to.is_ipv4() { SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), to.port()) } else { any_v6 };
    [to, any, any_v6]
}

/// How a socket bound to `local` sees an address: one that takes both families sees IPv4 mapped into IPv6.
pub(crate) fn seen_by(local: SocketAddr, address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if local.is_ipv6() => v4.to_ipv6_mapped().into(),
        address => address,
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// The range of ports for sockets that ask for any (RFC 6335).
const PORT_DRAWN_FIRST: u16 = 49_152;
/// How many ports that range has.
pub(crate) const PORTS_DRAWN: u16 = 16_384;
/// Datagrams of one host that are on their way; the routers drop what comes on top.
const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn hosts() -> (Hosts, HostId, HostId) {
        let here = Coordinates::new(50.0, 8.0).unwrap();
        let mut hosts = Hosts::default();
        let first = hosts.add("first", here, &[ip("10.0.0.1"), ip("fd00::1")]).unwrap();
        let second = hosts.add("second", here, &[ip("10.0.0.2")]).unwrap();
        (hosts, first, second)
    }

    #[test]
    fn an_address_belongs_to_one_host() {
        let (mut hosts, first, second) = hosts();
        let here = hosts.coordinates(first);
        for address in ["10.0.0.2", "127.0.0.1", "::", "224.0.0.1"] {
            assert!(hosts.add("third", here, &[ip(address)]).is_err(), "{address}");
        }
        assert_eq!(hosts.destination(first, ip("10.0.0.2")), Some(second));
        assert_eq!(hosts.destination(first, ip("10.0.0.3")), None);
        assert_eq!(hosts.destination(second, ip("::1")), Some(second));
        assert!(hosts.owns(first, ip("0.0.0.0")) && hosts.owns(first, ip("127.0.0.1")));
        assert!(!hosts.owns(first, ip("10.0.0.2")));
    }

    #[test]
    fn the_source_follows_the_binding_and_the_family() {
        let (hosts, first, second) = hosts();
        let source = |host, local, to| hosts.source(host, ip(local), ip(to)).map(|ip| ip.to_string());
        assert_eq!(source(first, "::", "10.0.0.2").as_deref(), Some("10.0.0.1"));
        assert_eq!(source(first, "::", "fd00::9").as_deref(), Some("fd00::1"));
        assert_eq!(source(first, "0.0.0.0", "127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(source(first, "::ffff:10.0.0.1", "10.0.0.2").as_deref(), Some("10.0.0.1"));
        assert_eq!(source(first, "10.0.0.1", "fd00::9"), None, "other family");
        assert_eq!(source(first, "127.0.0.1", "10.0.0.2"), None, "loopback does not leave");
        assert_eq!(source(second, "::", "fd00::1"), None, "no address of that family");
    }

    #[test]
    fn a_life_ends_with_a_crash() {
        let (mut hosts, first, _) = hosts();
        let before = hosts.life(first);
        hosts.start(first);
        assert!(hosts.is_alive(before), "a host that runs is not started again");
        hosts.crash(first);
        assert!(!hosts.is_alive(before));
        hosts.start(first);
        assert!(!hosts.is_alive(before) && hosts.is_alive(hosts.life(first)));
    }

    #[test]
    fn what_is_on_its_way_is_bounded() {
        let (mut hosts, first, _) = hosts();
        assert!(hosts.depart(first, IN_FLIGHT_BYTES_MAX));
        assert!(!hosts.depart(first, 1));
        hosts.arrive(first, 1);
        assert!(hosts.depart(first, 1));
    }

    #[test]
    fn drawn_ports_stay_in_their_range() {
        let (mut hosts, first, _) = hosts();
        let drawn: Vec<_> = (0..=PORTS_DRAWN).map(|_| hosts.draw_port(first)).collect();
        assert_eq!((drawn[0], drawn[16_383], drawn[16_384]), (49_152, 65_535, 49_152));
    }
}
