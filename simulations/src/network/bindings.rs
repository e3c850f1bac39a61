//! Which socket has which address: the rules of bind, for UDP sockets and TCP listeners alike.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::hosts::{HostId, Hosts, PORTS_DRAWN, bound_for};

/// What is bound, by host and address.
#[derive(Debug)]
pub(crate) struct Bindings<T>(BTreeMap<(HostId, SocketAddr), T>);

impl<T> Default for Bindings<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Bindings<T> {
    /// Binds `socket` and returns its address, with a port if none was asked for.
    pub(crate) fn bind(
        &mut self,
        hosts: &mut Hosts,
        host: HostId,
        address: SocketAddr,
        socket: T,
    ) -> io::Result<SocketAddr> {
        if !hosts.owns(host, address.ip()) {
            let message = format!("{address} is not an address of this host");
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
        }
        let address = self.with_port(hosts, host, address)?;
        self.0.insert((host, address), socket);
        Ok(address)
    }

    /// What is bound to exactly this address.
    pub(crate) fn get(&mut self, host: HostId, address: SocketAddr) -> Option<&mut T> {
        self.0.get_mut(&(host, address))
    }

    /// What receives that which is sent to `to`, and the address it is bound to.
    pub(crate) fn receiver(&mut self, host: HostId, to: SocketAddr) -> Option<(SocketAddr, &mut T)> {
        let address = bound_for(to).into_iter().find(|address| self.0.contains_key(&(host, *address)))?;
        self.0.get_mut(&(host, address)).map(|socket| (address, socket))
    }

    pub(crate) fn unbind(&mut self, host: HostId, address: SocketAddr) {
        self.0.remove(&(host, address));
    }

    /// Unbinds everything of a host.
    pub(crate) fn clear(&mut self, host: HostId) {
        self.0.retain(|(bound, _), _| *bound != host);
    }

    fn with_port(&self, hosts: &mut Hosts, host: HostId, address: SocketAddr) -> io::Result<SocketAddr> {
        let tries = if address.port() == 0 { PORTS_DRAWN } else { 1 };
        for _ in 0..tries {
            let port = if address.port() == 0 { hosts.draw_port(host) } else { address.port() };
            let candidate = SocketAddr::new(address.ip(), port);
            if !self.is_taken(host, candidate) {
                return Ok(candidate);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{address} is in use")))
    }

    fn is_taken(&self, host: HostId, address: SocketAddr) -> bool {
        self.0.keys().any(|(bound, other)| *bound == host && overlap(*other, address))
    }
}

/// Whether two bindings would compete for packets. `[::]` takes both families, as on Linux.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |wide: IpAddr, narrow: IpAddr| match wide {
        IpAddr::V4(v4) => v4.is_unspecified() && narrow.is_ipv4(),
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    let (ip, other_ip) = (one.ip(), other.ip());
    one.port() == other.port() && (ip == other_ip || covers(ip, other_ip) || covers(other_ip, ip))
}

#[cfg(test)]
mod tests {
    use graticule_geo::Coordinates;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn bound(address: &str) -> (Bindings<u8>, Hosts, HostId) {
        let mut hosts = Hosts::default();
        let own = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let host = hosts.add("a", Coordinates::new(0.0, 0.0).unwrap(), &own).unwrap();
        let mut bindings = Bindings::default();
        bindings.bind(&mut hosts, host, at(address), 1).unwrap();
        (bindings, hosts, host)
    }

    #[test]
    fn an_address_is_bound_once() {
        let taken = [
            ("10.0.0.1:80", "10.0.0.1:80", true),
            ("10.0.0.1:80", "0.0.0.0:80", true),
            ("10.0.0.1:80", "[::]:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("10.0.0.1:80", "127.0.0.1:80", false),
            ("10.0.0.1:80", "10.0.0.1:81", false),
            ("0.0.0.0:80", "[fd00::1]:80", false),
        ];
        for (first, second, refused) in taken {
            let (mut bindings, mut hosts, host) = bound(first);
            let result = bindings.bind(&mut hosts, host, at(second), 2);
            assert_eq!(result.is_err(), refused, "{first} then {second}");
        }
    }

    #[test]
    fn only_own_addresses_are_bound() {
        let (mut bindings, mut hosts, host) = bound("10.0.0.1:80");
        let error = bindings.bind(&mut hosts, host, at("10.0.0.2:80"), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn port_zero_draws_a_free_port() {
        let (mut bindings, mut hosts, host) = bound("10.0.0.1:49152");
        let drawn = bindings.bind(&mut hosts, host, at("10.0.0.1:0"), 2).unwrap();
        assert_eq!(drawn, at("10.0.0.1:49153"));
    }

    #[test]
    fn the_closest_binding_receives() {
        let (mut bindings, mut hosts, host) = bound("[::]:80");
        bindings.bind(&mut hosts, host, at("10.0.0.1:81"), 2).unwrap();
        let mut receiver = |to| bindings.receiver(host, at(to)).map(|(_, socket)| *socket);
        assert_eq!(receiver("10.0.0.1:80"), Some(1));
        assert_eq!(receiver("[fd00::1]:80"), Some(1));
        assert_eq!(receiver("10.0.0.1:81"), Some(2));
        assert_eq!(receiver("127.0.0.1:81"), None);
        bindings.clear(host);
        assert_eq!(bindings.receiver(host, at("10.0.0.1:80")), None);
    }
}
