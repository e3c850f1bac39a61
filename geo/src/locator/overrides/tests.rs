//! Flattened overrides against the definition: of the prefixes that contain an address, the longest.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::{Location, LocatorBuilder, LocatorError, Overrides};
use crate::testing::{at, country, ip, net};

fn overrides(written: &[(&str, Location)]) -> Overrides {
    Overrides::new(written.iter().map(|(prefix, location)| (net(prefix), *location)).collect()).unwrap()
}

fn known(code: &str) -> Location {
    Location::in_country(country(code))
}

#[test]
fn the_longest_prefix_wins_in_any_order() {
    let mut written = vec![
        ("10.0.0.0/8", known("DE")),
        ("10.1.0.0/16", known("CH")),
        ("10.1.2.0/24", Location::Unknown),
        ("10.1.2.3/32", known("FR")),
        ("0.0.0.0/0", known("US")),
    ];
    for _ in 0..written.len() {
        written.rotate_left(1);
        let overrides = overrides(&written);
        for (address, location) in [
            ("10.1.2.3", known("FR")),
            ("10.1.2.4", Location::Unknown),
            ("10.1.3.0", known("CH")),
            ("10.2.0.0", known("DE")),
            ("11.0.0.0", known("US")),
            ("255.255.255.255", known("US")),
        ] {
            assert_eq!(overrides.find(ip(address)), Some(location), "{address}");
        }
        assert_eq!(overrides.find(ip("2a00::1")), None);
        assert_eq!(overrides.prefixes(), 5);
    }
}

#[test]
fn the_whole_space_of_one_family_is_not_the_other() {
    let overrides = overrides(&[("::/0", known("DE"))]);
    assert_eq!(overrides.find(ip("::")), Some(known("DE")));
    assert_eq!(overrides.find(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")), Some(known("DE")));
    assert_eq!(overrides.find(ip("10.0.0.1")), None);
}

#[test]
fn an_ipv4_prefix_may_be_written_as_ipv6() {
    let overrides = overrides(&[("::ffff:10.0.0.0/104", known("DE")), ("::ffff:0:0/96", known("US"))]);
    assert_eq!(overrides.find(ip("10.9.9.9")), Some(known("DE")));
    assert_eq!(overrides.find(ip("11.9.9.9")), Some(known("US")));
}

#[test]
fn bits_behind_the_prefix_do_not_matter() {
    let overrides = overrides(&[("10.1.2.3/8", known("DE"))]);
    assert_eq!(overrides.find(ip("10.200.0.0")), Some(known("DE")));
}

#[test]
fn missing_coordinates_are_the_middle_and_given_ones_stay() {
    let berlin = at("DE", 52.5, 13.4);
    let bare = Location::Known { country: country("DE"), coordinates: None };
    let overrides = overrides(&[("10.0.0.0/8", bare), ("11.0.0.0/8", berlin)]);
    assert_eq!(overrides.find(ip("10.0.0.1")), Some(at("DE", 51.0, 10.0)));
    assert_eq!(overrides.find(ip("11.0.0.1")), Some(berlin));
}

#[test]
fn saying_a_thing_twice_is_no_contradiction() {
    assert_eq!(overrides(&[("10.0.0.0/8", known("DE")), ("10.0.0.0/8", known("DE"))]).prefixes(), 1);
    let written = vec![(net("10.0.0.0/8"), known("DE")), (net("10.9.0.0/8"), known("CH"))];
    assert_eq!(Overrides::new(written).unwrap_err(), LocatorError::Contradiction(net("10.0.0.0/8")));
}

#[test]
fn there_is_a_limit() {
    let prefix = |number: u32| IpNet::new(IpAddr::V4(number.into()), 32).unwrap();
    let most = LocatorBuilder::OVERRIDES_MAX as u32;
    let written = |count: u32| (0..count).map(|number| (prefix(number), known("DE"))).collect();
    assert_eq!(Overrides::new(written(most)).unwrap().prefixes(), LocatorBuilder::OVERRIDES_MAX);
    assert_eq!(
        Overrides::new(written(most + 1)).unwrap_err(),
        LocatorError::TooManyOverrides(LocatorBuilder::OVERRIDES_MAX + 1)
    );
}

/// Few bits vary, so that prefixes nest and touch.
fn prefixes() -> impl Strategy<Value = IpNet> {
    let v4 =
        (0..=255_u32, 0..=32_u8).prop_map(|(low, bits)| IpNet::new(IpAddr::V4(spread_v4(low).into()), bits));
    let v6 = (0..=255_u128, 0..=128_u8)
        .prop_map(|(low, bits)| IpNet::new(IpAddr::V6(spread_v6(low).into()), bits));
    prop_oneof![v4, v6].prop_map(|prefix| prefix.unwrap().trunc())
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..=255_u32, 0..3_u32).prop_map(|(low, off)| IpAddr::V4(spread_v4(low).wrapping_add(off).into())),
        (0..=255_u128, 0..3_u128).prop_map(|(low, off)| IpAddr::V6(spread_v6(low).wrapping_add(off).into())),
    ]
}

/// Four bits at each end.
fn spread_v4(low: u32) -> u32 {
    (low >> 4) << 28 | (low & 15)
}

fn spread_v6(low: u128) -> u128 {
    (low >> 4) << 124 | (low & 15)
}

proptest! {
    #[test]
    fn flattening_keeps_the_longest_match(
        written in prop::collection::btree_map(prefixes(), 0..250_usize, 0..40),
        asked in prop::collection::vec(addresses(), 50),
    ) {
        let countries: Vec<crate::Country> = crate::Country::assigned().collect();
        let said = |index: usize| Location::in_country(countries[index]);
        let overrides = Overrides::new(written.iter().map(|(prefix, index)| (*prefix, said(*index))).collect()).unwrap();
        for address in asked {
            let longest = written
                .iter()
                .filter(|(prefix, _)| prefix.contains(&address))
                .max_by_key(|(prefix, _)| prefix.prefix_len());
            prop_assert_eq!(overrides.find(address.to_canonical()), longest.map(|(_, index)| said(*index)), "{}", address);
        }
    }
}
