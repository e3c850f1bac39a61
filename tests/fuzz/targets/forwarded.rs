//! Can anybody who is not trusted say where a client is, or make a later reader believe more than this node knew?
#![no_main]

use std::net::IpAddr;

use graticule_node_core::headers::{
    ClientAddressHeader, ClientAddressRule, client_address, forward_client_address, strip_hop_by_hop,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

// The first byte says rule and peer; then lines, each one byte for the header and its value.
fuzz_target!(|input: &[u8]| {
    let Some((first, lines)) = input.split_first() else { return };
    let rule = rule(*first);
    let trusted = first & 4 != 0;
    let peer = if trusted { IpAddr::from([10, 0, 0, 1]) } else { IpAddr::from([198, 51, 100, 9]) };
    let mut headers = headers(lines);
    if first & 8 != 0 {
        let nominated = headers.contains_key("x-forwarded-for");
        strip_hop_by_hop(&mut headers, false);
        assert_eq!(headers.contains_key("x-forwarded-for"), nominated);
    }
    let client = client_address(&headers, peer, &rule);
    let mut sent = headers.clone();
    forward_client_address(&mut sent, &rule, peer);

    let about_clients = sent.keys().filter(|name| NAMES[..ADDRESS_NAMES].contains(&name.as_str())).count();
    assert!(
        about_clients <= 1
            && sent.iter().filter(|(name, _)| NAMES[..ADDRESS_NAMES].contains(&name.as_str())).count() <= 1
    );
    if !trusted {
        assert_eq!((client, about_clients), (Some(peer), 1));
        assert!(sent.values().any(|value| value.as_bytes().ends_with(b"198.51.100.9")));
    } else if rule.header != ClientAddressHeader::None {
        let next = client_address(&sent, IpAddr::from([10, 7, 7, 7]), &rule);
        assert!(next == client || next.is_none(), "{next:?} after {client:?}");
    }
});

fn rule(choice: u8) -> ClientAddressRule {
    let header = match choice & 3 {
        0 => ClientAddressHeader::XForwardedFor,
        1 => ClientAddressHeader::Forwarded,
        2 => ClientAddressHeader::Single(HeaderName::from_static("x-real-ip")),
        _ => ClientAddressHeader::None,
    };
    ClientAddressRule { header, trusted: ["10.0.0.0/8"].iter().filter_map(|net| net.parse().ok()).collect() }
}

fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(100) {
        let Some((name, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}

const NAMES: [&str; 10] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x_forwarded_for",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-ip",
    "fastly-client-ip",
    "connection",
    "x-forwarded-host",
];
/// How many of them say where a client is.
const ADDRESS_NAMES: usize = 8;
