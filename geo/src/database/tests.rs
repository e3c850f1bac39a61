//! Files of both schemas, of other things, and broken in every way that files break.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use mmdb_writer::{Value, Writer};
use proptest::prelude::*;

use super::{ATTRIBUTION, Database, DatabaseError, Families, embedded};
use crate::testing::{
    at, coded, country, file, file_v4, flat, flat_city, ip, large_file, nested, nested_city, net, registered,
};
use crate::{Country, Location};

fn open(bytes: Vec<u8>) -> Database {
    Database::open(bytes).unwrap()
}

fn error_of(bytes: impl Into<Vec<u8>>) -> DatabaseError {
    Database::open(bytes.into()).unwrap_err()
}

#[test]
fn the_flat_schema_is_read() {
    let database = open(file(&[
        ("1.1.0.0/16", flat("AU")),
        ("2.0.0.0/8", flat_city("FR", 48.85, 2.35)),
        ("2a00::/16", flat_city("DE", 50.1, 8.7)),
    ]));
    assert_eq!(database.locate(ip("1.1.2.3")), at("AU", -25.0, 134.0));
    assert_eq!(database.locate(ip("2.255.0.1")), at("FR", 48.85, 2.35));
    assert_eq!(database.locate(ip("2a00::1")), at("DE", 50.1, 8.7));
    assert_eq!(database.locate(ip("1.2.0.0")), Location::Unknown);
    assert_eq!(database.locate(ip("2a01::1")), Location::Unknown);
}

#[test]
fn the_nested_schema_is_read() {
    let database = open(file(&[
        ("1.1.0.0/16", nested("AU")),
        ("2.0.0.0/8", nested_city("FR", 48.85, 2.35)),
        ("2a00::/16", nested_city("DE", 50.1, 8.7)),
    ]));
    assert_eq!(database.locate(ip("1.1.2.3")), at("AU", -25.0, 134.0));
    assert_eq!(database.locate(ip("2.255.0.1")), at("FR", 48.85, 2.35));
    assert_eq!(database.locate(ip("2a00::1")), at("DE", 50.1, 8.7));
    assert_eq!(database.locate(ip("1.2.0.0")), Location::Unknown);
}

#[test]
fn the_registered_country_counts_only_without_another() {
    let both = Value::map([("country", coded("CH")), ("registered_country", coded("US"))]);
    let database = open(file(&[("1.0.0.0/8", both), ("2.0.0.0/8", registered("SG"))]));
    assert_eq!(database.locate(ip("1.0.0.1")).country(), Some(country("CH")));
    assert_eq!(database.locate(ip("2.0.0.1")), at("SG", 1.35, 103.8));
}

/// Some flat files also have the country's name, under the key at which the nested schema has a map.
#[test]
fn a_country_that_is_a_name_is_no_obstacle() {
    let named =
        |code: &str| Value::map([("country", Value::from("Germany")), ("country_code", Value::from(code))]);
    let database = open(file(&[("1.0.0.0/8", named("ZZ")), ("2.0.0.0/8", named("DE"))]));
    assert_eq!(database.locate(ip("2.0.0.1")).country(), Some(country("DE")));
}

#[test]
fn codes_that_are_no_country_are_unknown() {
    for code in ["ZZ", "EU", "AP", "A1", "--", "", "de", "DEU", "UK"] {
        let database = open(file(&[("1.0.0.0/8", flat(code)), ("2.0.0.0/8", flat("DE"))]));
        assert_eq!(database.locate(ip("1.0.0.1")), Location::Unknown, "{code}");
        let database = open(file(&[("1.0.0.0/8", nested(code)), ("2.0.0.0/8", nested("DE"))]));
        assert_eq!(database.locate(ip("1.0.0.1")), Location::Unknown, "{code}");
    }
}

#[test]
fn coordinates_that_are_no_point_give_way_to_the_middle() {
    for (north, east) in [(91.0, 0.0), (0.0, 181.0), (f64::NAN, 0.0), (f64::INFINITY, f64::INFINITY)] {
        let database = open(file(&[("1.0.0.0/8", flat_city("DE", north, east))]));
        assert_eq!(database.locate(ip("1.0.0.1")), at("DE", 51.0, 10.0));
    }
    let half = Value::map([("country_code", Value::from("DE")), ("latitude", Value::from(50.0))]);
    assert_eq!(open(file(&[("1.0.0.0/8", half)])).locate(ip("1.0.0.1")), at("DE", 51.0, 10.0));
}

#[test]
fn a_file_for_ipv4_knows_no_ipv6() {
    let database = open(file_v4(&[("1.0.0.0/8", flat("AU"))]));
    assert_eq!(database.families(), Families::V4);
    assert_eq!(database.locate(ip("1.2.3.4")).country(), Some(country("AU")));
    assert_eq!(database.locate(ip("2a00::1")), Location::Unknown);
    assert_eq!(database.locate(ip("::")), Location::Unknown);
}

#[test]
fn a_file_with_ipv6_alone_knows_no_ipv4() {
    let database = open(file(&[("2a00::/16", flat("DE"))]));
    assert_eq!(database.families(), Families::V6);
    assert_eq!(database.locate(ip("42.0.0.1")), Location::Unknown);
    assert_eq!(database.locate(ip("2a00::1")).country(), Some(country("DE")));
}

#[test]
fn a_file_says_what_it_is() {
    let built = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut writer = Writer::builder("GeoLite2-Country").build_epoch(built).build();
    writer.insert_value(net("1.0.0.0/8"), nested("AU")).unwrap();
    let database = open(writer.to_bytes().unwrap());
    assert_eq!(database.database_type(), "GeoLite2-Country");
    assert_eq!(database.built_s(), 1_700_000_000);
    // A path of 104 bits; the writer adds the usual other ways into the IPv4 part.
    assert!((104..400).contains(&database.tree_nodes()));
}

#[test]
fn what_is_no_database_is_refused_by_name() {
    assert_eq!(error_of([]), DatabaseError::Empty);
    for garbage in [vec![0; 1 << 16], vec![0xff; 1 << 16], b"<html>404</html>".to_vec(), MARKER.to_vec()] {
        let error = error_of(garbage);
        assert!(matches!(error, DatabaseError::Metadata(_)), "{error:?}");
        assert!(error.to_string().starts_with("truncated, or no MaxMind database: "), "{error}");
    }
}

#[test]
fn a_database_of_something_else_is_refused_by_its_type() {
    let asn = Value::map([("autonomous_system_number", Value::from(64_512_u32))]);
    let mut writer = Writer::builder("GeoLite2-ASN").build();
    writer.insert_value(net("1.0.0.0/8"), asn).unwrap();
    let error = error_of(writer.to_bytes().unwrap());
    assert_eq!(error, DatabaseError::NoCountries { database_type: "GeoLite2-ASN".to_owned() });
    assert!(error.to_string().ends_with("the file is of type `GeoLite2-ASN`"));
    assert!(matches!(error_of(file(&[])), DatabaseError::NoCountries { .. }));
    let endless = Writer::new("x".repeat(1 << 20)).to_bytes().unwrap();
    assert!(error_of(endless).to_string().len() < 300);
}

#[test]
fn a_record_of_the_wrong_shape_is_refused() {
    let shapes = [
        Value::from("DE"),
        Value::map([("country_code", Value::from(49_u32))]),
        Value::map([("country_code", Value::from("DE")), ("latitude", Value::from("fifty"))]),
    ];
    for shape in shapes {
        let error = error_of(file(&[("1.0.0.0/8", flat("AU")), ("2.0.0.0/8", shape)]));
        assert!(matches!(error, DatabaseError::Record(_)), "{error:?}");
    }
}

#[test]
fn every_truncation_of_a_small_file_is_noticed() {
    let whole = file(&[("1.1.0.0/16", flat("AU")), ("2a00::/16", nested_city("DE", 50.1, 8.7))]);
    for length in 0..whole.len() {
        let error = error_of(&whole[..length]);
        assert!(!error.to_string().is_empty(), "{length} of {} bytes", whole.len());
    }
}

#[test]
fn a_hole_of_zeros_is_noticed() {
    let whole = large_file();
    let data = whole.len() - 2_000;
    for start in [0, 10_000, data / 2, data - 4_096, data] {
        let mut holed = whole.clone();
        holed[start..start + 1_024].fill(0);
        let error = error_of(holed);
        assert!(matches!(error, DatabaseError::Tree(_) | DatabaseError::Record(_)), "{start}: {error:?}");
    }
}

/// A chain of nodes whose two branches both lead to the next one has 2^n paths.
#[test]
fn a_tree_whose_branches_meet_again_is_refused_soon() {
    let mut bytes = file(&[("2a00::1/128", flat("DE"))]);
    let nodes = open(bytes.clone()).tree_nodes();
    for node in 0..nodes.min(120) {
        let next = &(node + 1).to_be_bytes()[1..];
        let at = node as usize * 6;
        bytes[at..at + 3].copy_from_slice(next);
        bytes[at + 3..at + 6].copy_from_slice(next);
    }
    assert!(matches!(error_of(bytes), DatabaseError::Tree(_)));
}

#[test]
fn a_tree_that_bites_its_tail_is_refused() {
    let mut bytes = large_file();
    bytes[0..6].fill(0);
    assert!(matches!(error_of(bytes), DatabaseError::Tree(_)));
}

#[test]
fn the_embedded_file_passes_the_check() {
    let checked = Database::open(embedded::BYTES).unwrap();
    let unchecked = Database::embedded().unwrap();
    assert_eq!(checked.schema, unchecked.schema);
    assert_eq!(unchecked.families(), Families::V6);
    let (june, july) = (1_780_272_000, 1_782_864_000);
    assert!((june..july).contains(&unchecked.built_s()), "the attribution names the wrong month");
}

/// What DB-IP's terms ask for.
#[test]
fn the_attribution_names_author_link_and_license() {
    let license = include_str!("../../data/LICENSE-DBIP.txt");
    for needed in ["DB-IP", "https://db-ip.com", "https://creativecommons.org/licenses/by/4.0/", "June 2026"]
    {
        assert!(ATTRIBUTION.contains(needed) && license.contains(needed), "{needed}");
    }
}

#[test]
fn every_country_of_the_embedded_file_has_a_middle() {
    let found: std::collections::BTreeSet<String> = codes(embedded::BYTES);
    let known: Vec<&String> = found.iter().filter(|code| *code != "ZZ").collect();
    assert!(known.len() > 230, "only {} countries", known.len());
    for code in known {
        assert!(country(code).is_assigned(), "{code}");
    }
}

/// Every distinct `country_code` of a flat file, read without the code under test.
fn codes(bytes: &[u8]) -> std::collections::BTreeSet<String> {
    let reader = maxminddb::Reader::from_source(bytes).unwrap();
    let mut offsets = std::collections::BTreeSet::new();
    let mut codes = std::collections::BTreeSet::new();
    for network in reader.networks(maxminddb::WithinOptions::default()).unwrap() {
        let network = network.unwrap();
        if offsets.insert(network.offset()) {
            let code: Option<String> = network.decode_path(&maxminddb::path!["country_code"]).unwrap();
            codes.extend(code);
        }
    }
    codes
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into()))
    ]
}

/// Whatever has been opened answers, and with nothing but assigned countries.
fn answers(bytes: Vec<u8>, addresses: &[IpAddr]) {
    if let Ok(database) = Database::open(bytes) {
        let known = addresses.iter().filter_map(|address| database.locate(*address).country());
        assert!(known.into_iter().all(Country::is_assigned));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_truncation_of_a_large_file_is_noticed(cut in any::<prop::sample::Index>()) {
        let whole = large_file();
        let length = cut.index(whole.len());
        prop_assert!(Database::open(whole[..length].to_vec()).is_err(), "{} of {} bytes", length, whole.len());
    }

    #[test]
    fn a_file_without_its_beginning_is_refused(cut in any::<prop::sample::Index>()) {
        let whole = large_file();
        let missing = 1 + cut.index(whole.len() - 1);
        prop_assert!(Database::open(whole[missing..].to_vec()).is_err(), "without {} of {} bytes", missing, whole.len());
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..4_096)) {
        prop_assert!(Database::open(bytes).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_files_are_refused_or_answer(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        asked in prop::collection::vec(addresses(), 16),
    ) {
        let mut bytes = file(&[
            ("1.1.0.0/16", flat_city("AU", -33.9, 151.2)),
            ("2.0.0.0/8", nested_city("FR", 48.85, 2.35)),
            ("128.0.0.0/1", flat("US")),
            ("2000::/3", nested("DE")),
        ]);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        answers(bytes, &asked);
    }

    /// Good metadata over a tree and data of noise.
    #[test]
    fn noise_under_good_metadata_is_refused_or_answers(
        noise in prop::collection::vec(any::<u8>(), 3_000),
        asked in prop::collection::vec(addresses(), 16),
    ) {
        let mut bytes = file(&[("1.1.0.0/16", flat("AU")), ("2000::/3", nested("DE"))]);
        let metadata = bytes.windows(MARKER.len()).rposition(|window| window == MARKER).unwrap();
        let noisy = metadata.min(noise.len());
        bytes[..noisy].copy_from_slice(&noise[..noisy]);
        answers(bytes, &asked);
    }

    #[test]
    fn what_was_written_is_found(networks in prop::collection::btree_map(any::<u16>(), 0..250_usize, 1..40)) {
        let countries: Vec<Country> = Country::assigned().collect();
        let prefix = |high: u16| ipnet::IpNet::new(IpAddr::V4((u32::from(high) << 16).into()), 16).unwrap();
        let mut writer = Writer::new("Test");
        for (high, index) in &networks {
            writer.insert_value(prefix(*high), flat(countries[*index].as_str())).unwrap();
        }
        let database = open(writer.to_bytes().unwrap());
        for (high, index) in &networks {
            let inside = (u32::from(*high) << 16) | 0x1234;
            prop_assert_eq!(database.locate(IpAddr::V4(inside.into())), Location::in_country(countries[*index]));
        }
    }
}

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
