//! The addresses that a header lists, from the client's end to ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::GetAll;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::{ADDRESS_LIST_BYTES_MAX, ADDRESSES_MAX, forwarded};

/// What stands in a list: `None` for something that is no address.
pub(super) type Addresses = SmallVec<[Option<IpAddr>; 8]>;

/// What `X-Forwarded-For` lists over all its lines; `None` if there is none, or it is over a limit.
pub(super) fn x_forwarded_for(headers: &HeaderMap, name: &HeaderName) -> Option<Addresses> {
    let mut addresses = Addresses::new();
    for line in lines(headers, name)? {
        for element in line.as_bytes().split(|byte| *byte == b',') {
            addresses.push(loose_address(element.trim_ascii()));
            within_limit(&addresses)?;
        }
    }
    (!addresses.is_empty()).then_some(addresses)
}

/// Whether `X-Forwarded-For` lists anything, and not more than [`x_forwarded_for`] reads.
pub(super) fn is_within_limits(lines: &GetAll<'_, HeaderValue>) -> bool {
    let elements = |line: &HeaderValue| line.as_bytes().split(|byte| *byte == b',').count();
    let elements = lines.iter().map(elements).sum();
    are_short(lines) && (1..=ADDRESSES_MAX).contains(&elements)
}

/// What `Forwarded` lists over all its lines; `None` if there is none, it is over a limit, or not of its form.
pub(super) fn forwarded(headers: &HeaderMap, name: &HeaderName) -> Option<Addresses> {
    let mut addresses = Addresses::new();
    for line in lines(headers, name)? {
        for element in forwarded::parse(line.as_bytes())? {
            addresses.push(element.and_then(|node| strict_address(&node)));
            within_limit(&addresses)?;
        }
    }
    (!addresses.is_empty()).then_some(addresses)
}

/// The one address of a header that carries nothing else.
pub(super) fn single(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => loose_address(line.as_bytes().trim_ascii()),
        _ => None,
    }
}

/// The lines of a header, if they are not too long together.
fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<impl Iterator<Item = &'a HeaderValue>> {
    let all = headers.get_all(name);
    are_short(&all).then(|| all.into_iter())
}

fn are_short(lines: &GetAll<'_, HeaderValue>) -> bool {
    lines.iter().map(HeaderValue::len).sum::<usize>() <= ADDRESS_LIST_BYTES_MAX
}

fn within_limit(addresses: &Addresses) -> Option<()> {
    (addresses.len() <= ADDRESSES_MAX).then_some(())
}

/// An address as people write it in `X-Forwarded-For`: with or without port, IPv6 with or without brackets.
fn loose_address(text: &[u8]) -> Option<IpAddr> {
    let is_v6 = text.iter().filter(|byte| **byte == b':').nth(1).is_some();
    if is_v6 { bare_v6(text).or_else(|| strict_address(text)) } else { strict_address(text) }
}

/// An address as RFC 7239 wants it: IPv6 in brackets, a port allowed.
fn strict_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return if is_port_suffix(port) { bare_v6(address.as_bytes()) } else { None };
    }
    let (address, port) = text.split_at(text.find(':').unwrap_or(text.len()));
    let address: Ipv4Addr = address.parse().ok()?;
    is_port_suffix(port).then_some(IpAddr::V4(address))
}

/// An IPv6 address (a zone is none), as IPv4 if it is one mapped into IPv6.
fn bare_v6(text: &[u8]) -> Option<IpAddr> {
    let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(IpAddr::V6(address).to_canonical())
}

/// Nothing, or `:` and a number of a port, or `:_` and a name that hides one.
fn is_port_suffix(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    match port.strip_prefix('_') {
        Some(hidden) => !hidden.is_empty() && hidden.bytes().all(is_hidden_byte),
        None => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}

fn is_hidden_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read_with_ports_and_brackets() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:1", "192.0.2.1"),
            ("192.0.2.1:65535", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[::ffff:192.0.2.1]", "192.0.2.1"),
            ("192.0.2.1:_hidden", "192.0.2.1"),
        ] {
            assert_eq!(strict_address(text.as_bytes()), Some(ip(expected)), "{text}");
            assert_eq!(loose_address(text.as_bytes()), Some(ip(expected)), "{text}");
        }
    }

    #[test]
    fn bare_ipv6_is_loose() {
        for (text, expected) in [("2001:db8::1", "2001:db8::1"), ("::ffff:192.0.2.1", "192.0.2.1")] {
            assert_eq!(loose_address(text.as_bytes()), Some(ip(expected)));
            assert_eq!(strict_address(text.as_bytes()), None);
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            "unknown",
            "_hidden",
            "localhost",
            "192.0.2",
            "192.0.2.1.5",
            "192.0.2.256",
            "192.0.02.1",
            "0x7f.0.0.1",
            "3221225985",
            "192.0.2.1:",
            "192.0.2.1:65536",
            "192.0.2.1:+1",
            "192.0.2.1:1:1",
            "192.0.2.1 ",
            "192.0.2.1%1",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "[2001:db8::1]:",
            "[192.0.2.1]",
            "[[::1]]",
            "[fe80::1%eth0]",
            "fe80::1%eth0",
            "fe80::1%1",
            "[fe80::1%1]:80",
            "192.0.2.1/32",
            "[]",
            ":80",
            "192.0.2.1:_",
            "192.0.2.1:_a b",
            "\u{0661}92.0.2.1",
        ] {
            assert_eq!(loose_address(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(loose_address(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn every_address_survives_its_writing(bits in any::<u128>(), v4 in any::<u32>(), port in any::<u16>()) {
            let six = IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical();
            let written = Ipv6Addr::from_bits(bits);
            prop_assert_eq!(loose_address(written.to_string().as_bytes()), Some(six));
            prop_assert_eq!(strict_address(format!("[{written}]:{port}").as_bytes()), Some(six));
            let four = Ipv4Addr::from_bits(v4);
            prop_assert_eq!(strict_address(format!("{four}:{port}").as_bytes()), Some(IpAddr::V4(four)));
        }

        #[test]
        fn no_text_makes_it_panic(text in prop_oneof!["[0-9a-f:.\\[\\]_%]{0,30}", ".{0,30}"]) {
            let strict = strict_address(text.as_bytes());
            prop_assert!(strict.is_none() || loose_address(text.as_bytes()) == strict);
        }
    }
}
