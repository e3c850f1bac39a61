//! Chains of proxies, honest and hostile.

use proptest::prelude::*;

use super::*;
use crate::headers::{ADDRESS_LIST_BYTES_MAX, ADDRESSES_MAX};

const PROXY: &str = "10.0.0.1";
const STRANGER: &str = "198.51.100.9";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rule(header: ClientAddressHeader) -> ClientAddressRule {
    let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48"];
    ClientAddressRule { header, trusted: trusted.iter().map(|net| net.parse().unwrap()).collect() }
}

fn xff() -> ClientAddressRule {
    rule(ClientAddressHeader::XForwardedFor)
}

fn rfc() -> ClientAddressRule {
    rule(ClientAddressHeader::Forwarded)
}

fn single() -> ClientAddressRule {
    rule(ClientAddressHeader::Single(HeaderName::from_static("x-real-ip")))
}

fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn from_xff(lines: &[&str]) -> Option<IpAddr> {
    let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
    client_address(&map(&lines), ip(PROXY), &xff())
}

fn from_rfc(lines: &[&str]) -> Option<IpAddr> {
    let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
    client_address(&map(&lines), ip(PROXY), &rfc())
}

fn forwarded(lines: &[(&'static str, &str)], rule: &ClientAddressRule, peer: &str) -> HeaderMap {
    let mut headers = map(lines);
    forward_client_address(&mut headers, rule, ip(peer));
    headers
}

// --- reading ---

#[test]
fn a_stranger_is_the_client_whatever_it_says() {
    let lies =
        map(&[("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1"), ("x-real-ip", "192.0.2.1")]);
    for rule in [xff(), rfc(), single(), rule(ClientAddressHeader::None)] {
        assert_eq!(client_address(&lies, ip(STRANGER), &rule), Some(ip(STRANGER)));
    }
}

#[test]
fn without_a_header_even_a_trusted_peer_is_the_client() {
    let headers = map(&[("x-forwarded-for", "192.0.2.1")]);
    assert_eq!(client_address(&headers, ip(PROXY), &rule(ClientAddressHeader::None)), Some(ip(PROXY)));
}

#[test]
fn the_rightmost_stranger_is_the_client() {
    assert_eq!(from_xff(&["192.0.2.1"]), Some(ip("192.0.2.1")));
    assert_eq!(from_xff(&["192.0.2.1, 10.1.1.1,10.2.2.2"]), Some(ip("192.0.2.1")));
    assert_eq!(from_xff(&["203.0.113.5, 192.0.2.1, 10.1.1.1"]), Some(ip("192.0.2.1")));
    assert_eq!(from_xff(&["[2001:db8::7]:1234, 2001:db8:ffff::1"]), Some(ip("2001:db8::7")));
    assert_eq!(
        from_rfc(&["for=203.0.113.5, for=192.0.2.1;proto=https, for=10.1.1.1"]),
        Some(ip("192.0.2.1"))
    );
    assert_eq!(from_rfc(&["for=\"[2001:db8::7]:1234\""]), Some(ip("2001:db8::7")));
}

#[test]
fn lines_are_one_list_in_their_order() {
    assert_eq!(from_xff(&["203.0.113.5", "192.0.2.1", "10.1.1.1"]), Some(ip("192.0.2.1")));
    assert_eq!(from_rfc(&["for=203.0.113.5", "for=192.0.2.1, for=10.1.1.1"]), Some(ip("192.0.2.1")));
}

#[test]
fn if_all_are_trusted_the_leftmost_is_the_client() {
    assert_eq!(from_xff(&["10.3.3.3, 10.1.1.1"]), Some(ip("10.3.3.3")));
    assert_eq!(from_rfc(&["for=10.3.3.3, for=10.1.1.1"]), Some(ip("10.3.3.3")));
}

#[test]
fn a_trusted_proxy_that_says_nothing_leaves_the_client_unknown() {
    for rule in [xff(), rfc(), single()] {
        assert_eq!(client_address(&HeaderMap::new(), ip(PROXY), &rule), None);
    }
}

#[test]
fn only_the_configured_header_is_read() {
    let other = map(&[("forwarded", "for=192.0.2.1"), ("x-real-ip", "192.0.2.1")]);
    assert_eq!(client_address(&other, ip(PROXY), &xff()), None);
    let other = map(&[("x-forwarded-for", "192.0.2.1")]);
    assert_eq!(client_address(&other, ip(PROXY), &rfc()), None);
}

#[test]
fn what_is_no_address_where_one_is_expected_is_unknown() {
    for wrong in [
        "unknown",
        "_hidden",
        "192.0.2.1, unknown",
        "192.0.2.1, ",
        "192.0.2.1,, 10.1.1.1",
        ",",
        "",
        "192.0.2.1;10.1.1.1",
        "192.0.2.1, 10.0.0.1/8",
        "\"192.0.2.1\"",
        "for=192.0.2.1",
        "192.0.2.1, fe80::1%eth0",
    ] {
        assert_eq!(from_xff(&[wrong]), None, "{wrong:?}");
    }
    for wrong in [
        "for=unknown",
        "for=_hidden",
        "proto=https",
        "for=192.0.2.1, proto=https",
        "for=2001:db8::7",
        "for=\"2001:db8::7\"",
        "192.0.2.1",
        "for=192.0.2.1, for=\"[fe80::1%eth0]\"",
    ] {
        assert_eq!(from_rfc(&[wrong]), None, "{wrong:?}");
    }
}

#[test]
fn what_a_client_puts_in_front_is_not_looked_at() {
    assert_eq!(from_xff(&["<script>, 192.0.2.1"]), Some(ip("192.0.2.1")));
    assert_eq!(from_rfc(&["for=unknown, for=192.0.2.1"]), Some(ip("192.0.2.1")));
}

#[test]
fn an_open_quote_swallows_nothing() {
    assert_eq!(from_rfc(&["for=\"192.0.2.66", "for=192.0.2.1"]), None);
    assert_eq!(from_rfc(&["for=192.0.2.66;by=\", for=192.0.2.1"]), None);
    assert_eq!(from_rfc(&["for=192.0.2.66;by=\", for=\"[2001:db8::7]\""]), None);
}

#[test]
fn addresses_mapped_into_ipv6_are_their_ipv4() {
    assert_eq!(client_address(&HeaderMap::new(), ip("::ffff:198.51.100.9"), &xff()), Some(ip(STRANGER)));
    let headers = map(&[("x-forwarded-for", "::ffff:192.0.2.1, ::ffff:10.1.1.1")]);
    assert_eq!(client_address(&headers, ip("::ffff:10.0.0.1"), &xff()), Some(ip("192.0.2.1")));
}

#[test]
fn a_single_address_stands_alone() {
    let read = |lines: &[(&'static str, &str)]| client_address(&map(lines), ip(PROXY), &single());
    assert_eq!(read(&[("x-real-ip", " 192.0.2.1 ")]), Some(ip("192.0.2.1")));
    assert_eq!(read(&[("x-real-ip", "10.9.9.9")]), Some(ip("10.9.9.9")));
    assert_eq!(read(&[("x-real-ip", "192.0.2.1, 192.0.2.2")]), None);
    assert_eq!(read(&[("x-real-ip", "192.0.2.1"), ("x-real-ip", "192.0.2.1")]), None);
}

#[test]
fn limits_are_exact() {
    let list = |count: usize| vec!["10.1.1.1"; count].join(",");
    assert_eq!(from_xff(&[&list(ADDRESSES_MAX)]), Some(ip("10.1.1.1")));
    assert_eq!(from_xff(&[&list(ADDRESSES_MAX + 1)]), None);
    assert_eq!(from_xff(&[&list(ADDRESSES_MAX), "192.0.2.1"]), None);
    let padded = |bytes: usize| format!("{}192.0.2.1", " ".repeat(bytes - "192.0.2.1".len()));
    assert_eq!(from_xff(&[&padded(ADDRESS_LIST_BYTES_MAX)]), Some(ip("192.0.2.1")));
    assert_eq!(from_xff(&[&padded(ADDRESS_LIST_BYTES_MAX + 1)]), None);
    let pairs = |count: usize| vec!["for=10.1.1.1"; count].join(",");
    assert_eq!(from_rfc(&[&pairs(ADDRESSES_MAX)]), Some(ip("10.1.1.1")));
    assert_eq!(from_rfc(&[&pairs(ADDRESSES_MAX + 1)]), None);
}

// --- sending on ---

#[test]
fn a_strangers_words_are_replaced_by_its_address() {
    let said = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2"),
        ("forwarded", "for=192.0.2.1"),
        ("accept", "*/*"),
    ];
    let kept = |name, value| map(&[("accept", "*/*"), (name, value)]);
    assert_eq!(forwarded(&said, &xff(), STRANGER), kept("x-forwarded-for", STRANGER));
    assert_eq!(forwarded(&said, &rfc(), STRANGER), kept("forwarded", "for=198.51.100.9"));
    assert_eq!(forwarded(&said, &rfc(), "2001:db8::7"), kept("forwarded", "for=\"[2001:db8::7]\""));
    assert_eq!(forwarded(&said, &single(), STRANGER), kept("x-real-ip", STRANGER));
}

#[test]
fn a_trusted_list_goes_on_in_one_line_with_the_peer_appended() {
    let said = [("x-forwarded-for", "203.0.113.5"), ("x-forwarded-for", "192.0.2.1, 10.1.1.1")];
    assert_eq!(
        forwarded(&said, &xff(), PROXY),
        map(&[("x-forwarded-for", "203.0.113.5, 192.0.2.1, 10.1.1.1, 10.0.0.1")])
    );
    let said = [("forwarded", "for=192.0.2.1;proto=https")];
    let sent = forwarded(&said, &rfc(), "2001:db8:ffff::1");
    assert_eq!(sent, map(&[("forwarded", "for=192.0.2.1;proto=https, for=\"[2001:db8:ffff::1]\"")]));
}

#[test]
fn a_trusted_single_address_goes_on_as_it_is_or_not_at_all() {
    assert_eq!(
        forwarded(&[("x-real-ip", "192.0.2.1")], &single(), PROXY),
        map(&[("x-real-ip", "192.0.2.1")])
    );
    assert_eq!(forwarded(&[("x-real-ip", "rubbish")], &single(), PROXY), HeaderMap::new());
    assert_eq!(forwarded(&[("x-forwarded-for", "192.0.2.1")], &single(), PROXY), HeaderMap::new());
}

#[test]
fn a_trusted_proxy_that_cannot_be_understood_is_not_taken_for_the_client_by_the_next() {
    let long = vec!["10.1.1.1"; ADDRESSES_MAX + 1].join(",");
    for said in [vec![], vec![("x-forwarded-for", &long[..])]] {
        let sent = forwarded(&said, &xff(), PROXY);
        assert_eq!(sent, map(&[("x-forwarded-for", "unknown, 10.0.0.1")]));
        assert_eq!(client_address(&sent, ip("10.7.7.7"), &xff()), None);
    }
    for said in [vec![], vec![("forwarded", "for=\"")]] {
        let sent = forwarded(&said, &rfc(), PROXY);
        assert_eq!(sent, map(&[("forwarded", "for=unknown, for=10.0.0.1")]));
        assert_eq!(client_address(&sent, ip("10.7.7.7"), &rfc()), None);
    }
}

#[test]
fn without_a_configured_header_backends_are_told_who_connected() {
    let none = rule(ClientAddressHeader::None);
    let sent = forwarded(&[("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "192.0.2.1")], &none, PROXY);
    assert_eq!(sent, map(&[("x-forwarded-for", PROXY)]));
}

#[test]
fn every_other_header_that_says_where_a_client_is_goes() {
    for name in [
        "forwarded",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "fastly-client-ip",
        "x_forwarded_for",
        "x-forwarded_for",
        "true_client_ip",
    ] {
        for (peer, expected) in [(PROXY, "192.0.2.2, 10.0.0.1"), (STRANGER, STRANGER)] {
            let sent = forwarded(&[(name, "192.0.2.1"), ("x-forwarded-for", "192.0.2.2")], &xff(), peer);
            assert_eq!(sent, map(&[("x-forwarded-for", expected)]), "{name} from {peer}");
        }
    }
}

#[test]
fn what_was_asked_of_a_proxy_is_believed_of_trusted_ones_only() {
    for name in ["x-forwarded-host", "x-forwarded-proto", "x_forwarded_host"] {
        assert!(!forwarded(&[(name, "x")], &xff(), STRANGER).contains_key(name), "{name}");
        assert!(forwarded(&[(name, "x")], &xff(), PROXY).contains_key(name), "{name}");
    }
}

proptest! {
    #[test]
    fn whoever_reads_next_finds_the_same_client(
        front in prop::collection::vec("[ -+\\--~]{0,12}", 0..4),
        client in prop_oneof![any::<[u8; 2]>().prop_map(|[a, b]| IpAddr::from([192, 0, a, b])),
            any::<u16>().prop_map(|end| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, end]))],
        proxies in prop::collection::vec(any::<u16>(), 0..5),
    ) {
        // A client outside the trusted networks, behind proxies inside; in front of it whatever it liked to write.
        let proxies = proxies.iter().map(|proxy| IpAddr::from([10, 1, (proxy >> 8) as u8, *proxy as u8]));
        let mut list: Vec<String> = front;
        list.push(client.to_string());
        list.extend(proxies.map(|proxy| proxy.to_string()));
        let mut headers = map(&[("x-forwarded-for", &list.join(", "))]);
        prop_assert_eq!(client_address(&headers, ip(PROXY), &xff()), Some(client));
        // One more trusted hop, which is this node: who connects to the next reader.
        forward_client_address(&mut headers, &xff(), ip(PROXY));
        prop_assert_eq!(client_address(&headers, ip("10.7.7.7"), &xff()), Some(client));
        prop_assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
    }

    #[test]
    fn hostile_lines_never_panic_and_never_reach_a_backend_from_strangers(
        lines in prop::collection::vec(("(x-forwarded-for|forwarded|x-real-ip|x_real_ip|true-client-ip)", "[ -~]{0,60}"), 0..6),
        trusted in any::<bool>(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let peer = ip(if trusted { PROXY } else { STRANGER });
        for rule in [xff(), rfc(), single(), rule(ClientAddressHeader::None)] {
            let known = client_address(&headers, peer, &rule);
            let mut sent = headers.clone();
            forward_client_address(&mut sent, &rule, peer);
            prop_assert!(sent.len() <= 1);
            if trusted && rule.header != ClientAddressHeader::None {
                // The next reader knows as much, or less.
                let next = client_address(&sent, ip("10.7.7.7"), &rule);
                prop_assert!(next == known || next.is_none());
            }
            if !trusted {
                prop_assert_eq!(known, Some(peer));
                prop_assert_eq!(sent.len(), 1);
                let value = sent.values().next().unwrap().to_str().unwrap();
                prop_assert_eq!(value.strip_prefix("for=").unwrap_or(value), STRANGER);
            }
        }
    }
}
