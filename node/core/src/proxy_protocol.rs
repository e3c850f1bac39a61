//! Who does a load balancer say is connecting? The PROXY protocol, versions 1 and 2.

use std::fmt;
use std::net::IpAddr;

use ppp::{HeaderResult, v1, v2};

/// Why bytes are no PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaderError {
    /// They begin in another way.
    Missing,
    /// It is longer than [`PROXY_HEADER_BYTES_MAX`].
    TooLong,
    /// It breaks the protocol.
    Malformed,
}

/// How much of a header is to be read before more can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// So many bytes in all.
    Bytes(usize),
    /// One more byte, until the line ends.
    Line,
    /// Nothing: it is all there.
    Nothing,
}

/// What is to be read after `header`, of which nothing may be read that is not its own: what follows is not the header's.
pub fn wanted(header: &[u8]) -> Result<Wanted, ProxyHeaderError> {
    if header.len() < BEGINNING_BYTES {
        return Ok(Wanted::Bytes(BEGINNING_BYTES));
    }
    if header.starts_with(V2_SIGNATURE) {
        let Some(length) = header.get(V2_FIXED_BYTES - 2..V2_FIXED_BYTES) else {
            return Ok(Wanted::Bytes(V2_FIXED_BYTES));
        };
        let whole = V2_FIXED_BYTES + usize::from(length[0]) * 256 + usize::from(length[1]);
        return match whole {
            _ if whole > PROXY_HEADER_BYTES_MAX => Err(ProxyHeaderError::TooLong),
            _ if header.len() < whole => Ok(Wanted::Bytes(whole)),
            _ => Ok(Wanted::Nothing),
        };
    }
    match header {
        _ if !header.starts_with(V1_SIGNATURE) => Err(ProxyHeaderError::Missing),
        _ if header.ends_with(b"\n") => Ok(Wanted::Nothing),
        _ if header.len() >= V1_BYTES_MAX => Err(ProxyHeaderError::TooLong),
        _ => Ok(Wanted::Line),
    }
}

/// Who a whole header says is connecting; `None` for the load balancer itself, as when it checks health.
pub fn source(header: &[u8]) -> Result<Option<IpAddr>, ProxyHeaderError> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Tcp6(addresses) => Some(canonical(addresses.source_address.into())),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
            (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => {
                Some(canonical(addresses.source_address.into()))
            }
            _ => None,
        }),
        _ => Err(ProxyHeaderError::Malformed),
    }
}

fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no PROXY header, which `proxy_protocol` expects from this network",
            Self::TooLong => "a PROXY header over its limit",
            Self::Malformed => "a malformed PROXY header",
        })
    }
}

impl std::error::Error for ProxyHeaderError {}

/// The longest header that is read: 16 bytes, addresses, and what load balancers add.
pub const PROXY_HEADER_BYTES_MAX: usize = 4_096;
/// The longest header of version 1, by its specification.
const V1_BYTES_MAX: usize = 107;
const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED_BYTES: usize = 16;
/// Enough to tell the version; every header has as many.
const BEGINNING_BYTES: usize = V2_SIGNATURE.len();

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads as a connection is read; what was taken of `bytes`, and what it says.
    fn read(bytes: &[u8]) -> Result<(usize, Option<IpAddr>), ProxyHeaderError> {
        let mut taken = 0;
        loop {
            let next = match wanted(&bytes[..taken])? {
                Wanted::Nothing => return source(&bytes[..taken]).map(|source| (taken, source)),
                Wanted::Bytes(all) => all,
                Wanted::Line => taken + 1,
            };
            if next > bytes.len() {
                return Err(ProxyHeaderError::Missing);
            }
            taken = next;
        }
    }

    fn version_2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u16).to_be_bytes();
        [V2_SIGNATURE, &[0x20 | command, family], &length, payload].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

    #[test]
    fn both_versions_say_who_connects_and_take_no_byte_too_many() {
        let ipv6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[1, 1, 0, 80]].concat();
        let cases: [(Vec<u8>, Option<&str>); 7] = [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n".to_vec(), Some("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 4660 80\r\n".to_vec(), Some("2001:db8::1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (version_2(1, 0x11, &IPV4), Some("192.0.2.7")),
            (version_2(1, 0x11, &[&IPV4[..], &[4, 0, 1, 0]].concat()), Some("192.0.2.7")),
            (version_2(1, 0x21, &ipv6), Some("2001:db8::1")),
            (version_2(0, 0, &[]), None),
        ];
        for (header, expected) in cases {
            let bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(read(&bytes), Ok((header.len(), expected)), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200], b"\r\n".to_vec()].concat();
        for (bytes, expected) in [
            (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), ProxyHeaderError::Missing),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 x 80\r\n".to_vec(), ProxyHeaderError::Malformed),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\n".to_vec(), ProxyHeaderError::Malformed),
            (long, ProxyHeaderError::TooLong),
            (version_2(1, 0x11, &[0; 5_000]), ProxyHeaderError::TooLong),
            (version_2(1, 0x11, &IPV4[..8]), ProxyHeaderError::Malformed),
            (version_2(7, 0x11, &IPV4), ProxyHeaderError::Malformed),
        ] {
            assert_eq!(read(&bytes), Err(expected), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_past_its_limit(
            front in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", V2_SIGNATURE]),
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [front, &rest].concat();
            if let Ok((taken, _)) = read(&bytes) {
                prop_assert!(taken <= PROXY_HEADER_BYTES_MAX);
            }
        }
    }
}
