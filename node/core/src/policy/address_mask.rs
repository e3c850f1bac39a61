//! How much of a client's address may be written?

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How much of clients' addresses a tenant lets logs and traces have, where they may have anything of a request. In order,
/// from the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum AddressMask {
    /// All of it.
    Full,
    /// Its network, of 24 bits (IPv4) or 48 (IPv6): a site or a street, and not a subscriber.
    #[default]
    Network,
    /// Nothing.
    Nothing,
}

impl AddressMask {
    /// Appends what may be written of `address`; nothing if nothing may.
    pub fn write(self, address: IpAddr, out: &mut String) {
        // Strings can be written to.
        let _ = match (self, address.to_canonical()) {
            (Self::Nothing, _) => Ok(()),
            (Self::Full, address) => write!(out, "{address}"),
            (Self::Network, IpAddr::V4(address)) => write!(out, "{}/24", network_v4(address)),
            (Self::Network, IpAddr::V6(address)) => write!(out, "{}/48", network_v6(address)),
        };
    }
}

fn network_v4(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & !0 << 8)
}

fn network_v6(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !0 << 80)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(mask: AddressMask, address: &str) -> String {
        let mut out = String::new();
        mask.write(address.parse().unwrap(), &mut out);
        out
    }

    #[test]
    fn a_network_tells_a_site_and_nobody_in_it() {
        assert_eq!(written(AddressMask::Network, "203.0.113.77"), "203.0.113.0/24");
        assert_eq!(written(AddressMask::Network, "2001:db8:1:2:3:4:5:6"), "2001:db8:1::/48");
        assert_eq!(written(AddressMask::Network, "::ffff:203.0.113.77"), "203.0.113.0/24", "mapped is IPv4");
        assert_eq!(written(AddressMask::Full, "203.0.113.77"), "203.0.113.77");
        assert_eq!(written(AddressMask::Nothing, "203.0.113.77"), "");
    }

    proptest! {
        #[test]
        fn addresses_of_one_network_are_written_alike(bits in any::<u32>(), host in any::<u8>()) {
            let other = bits & !0xff | u32::from(host);
            let [one, two] = [bits, other].map(|bits| Ipv4Addr::from_bits(bits).to_string());
            prop_assert_eq!(written(AddressMask::Network, &one), written(AddressMask::Network, &two));
        }
    }
}
