//! What the sources say together, what a reload may and may not do, and the embedded data against the world.

use std::net::{IpAddr, Ipv6Addr};

use proptest::prelude::*;

use super::{Location, Locator, LocatorBuilder, LocatorError};
use crate::testing::{at, country, file, file_v4, flat, flat_city, ip, large_file, nested_city, net, point};
use crate::{Database, DatabaseError, Families};

fn known(code: &str) -> Location {
    Location::in_country(country(code))
}

fn bare() -> LocatorBuilder {
    Locator::builder().without_embedded()
}

#[test]
fn overrides_come_before_databases() {
    let locator = Locator::builder()
        .overriding(net("8.8.0.0/16"), known("CH"))
        .overriding(net("8.8.8.0/24"), at("DE", 52.5, 13.4))
        .overriding(net("8.8.8.8/32"), Location::Unknown)
        .overriding(net("2001:4860::/32"), known("SG"))
        .build()
        .unwrap();
    assert_eq!(locator.locate(ip("8.8.1.1")), known("CH"));
    assert_eq!(locator.locate(ip("8.8.8.1")), at("DE", 52.5, 13.4));
    assert_eq!(locator.locate(ip("8.8.8.8")), Location::Unknown);
    assert_eq!(locator.locate(ip("2001:4860:4860::8888")), known("SG"));
    assert_eq!(locator.locate(ip("8.9.0.1")), known("US"));
    assert_eq!(locator.overrides(), 4);
}

#[test]
fn private_addresses_are_somewhere_only_by_override() {
    let everywhere = file(&[("0.0.0.0/0", flat("US")), ("::/1", flat("US")), ("8000::/1", flat("US"))]);
    let builder = Locator::builder().database("everywhere", everywhere);
    let locator =
        builder.overriding(net("10.1.0.0/16"), known("DE")).overriding(net("fd00::/8"), known("CH"));
    let locator = locator.build().unwrap();
    assert_eq!(locator.locate(ip("10.1.2.3")), known("DE"));
    assert_eq!(locator.locate(ip("fd12::1")), known("CH"));
    for address in
        ["10.2.0.1", "127.0.0.1", "169.254.1.1", "203.0.113.1", "::1", "fe80::1", "2001:db8::1", "::a01:203"]
    {
        assert_eq!(locator.locate(ip(address)), Location::Unknown, "{address}");
    }
    assert_eq!(locator.locate(ip("11.0.0.1")), known("US"));
}

#[test]
fn ipv4_written_as_ipv6_is_ipv4() {
    let locator = Locator::builder().overriding(net("9.9.9.0/24"), known("CH")).build().unwrap();
    assert_eq!(locator.locate(ip("::ffff:9.9.9.9")), known("CH"));
    assert_eq!(locator.locate(ip("::ffff:8.8.8.8")), known("US"));
    assert_eq!(locator.locate(ip("::ffff:10.0.0.1")), Location::Unknown);
}

#[test]
fn the_first_database_that_knows_wins() {
    let first = file(&[("1.0.0.0/8", flat("DE")), ("2.0.0.0/8", flat("ZZ"))]);
    let second =
        file(&[("1.0.0.0/8", nested_city("FR", 1.0, 1.0)), ("2.0.0.0/8", nested_city("CH", 46.5, 6.6))]);
    let locator = Locator::builder().database("first", first).database("second", second).build().unwrap();
    assert_eq!(locator.locate(ip("1.2.3.4")), known("DE"));
    assert_eq!(locator.locate(ip("2.2.3.4")), at("CH", 46.5, 6.6));
    assert_eq!(locator.locate(ip("8.8.8.8")), known("US"));
}

#[test]
fn a_pair_of_files_answers_for_both_families() {
    let v4 = file_v4(&[("1.0.0.0/8", flat_city("AU", -33.9, 151.2))]);
    let v6 = file(&[("2a00::/16", flat_city("DE", 50.1, 8.7))]);
    for (first, second) in [(&v4, &v6), (&v6, &v4)] {
        let pair = bare().database("one", first.clone()).database("two", second.clone()).build().unwrap();
        assert_eq!(pair.locate(ip("1.2.3.4")), at("AU", -33.9, 151.2));
        assert_eq!(pair.locate(ip("2a00::1")), at("DE", 50.1, 8.7));
        assert_eq!(pair.locate(ip("8.8.8.8")), Location::Unknown);
        assert_eq!(pair.locate(ip("2001:4860:4860::8888")), Location::Unknown);
    }
}

#[test]
fn without_sources_everything_is_unknown() {
    let nothing = bare().build().unwrap();
    assert_eq!(nothing.locate(ip("8.8.8.8")), Location::Unknown);
    assert_eq!(nothing.sources().count(), 0);
}

#[test]
fn sources_are_described_in_order() {
    let locator =
        Locator::builder().database("v4.mmdb", file_v4(&[("1.0.0.0/8", flat("AU"))])).build().unwrap();
    let sources: Vec<_> = locator.sources().collect();
    assert_eq!(
        sources.iter().map(|source| source.name).collect::<Vec<_>>(),
        ["v4.mmdb", Locator::EMBEDDED_NAME]
    );
    assert_eq!((sources[0].database_type, sources[0].families), ("Test-City", Families::V4));
    assert_eq!((sources[1].database_type, sources[1].families), ("country ipvAll", Families::V6));
    assert!(sources[1].tree_nodes > 1_000_000 && sources[0].tree_nodes < 100);
}

#[test]
fn a_locator_shows_itself_without_its_data() {
    let shown = format!("{:?}", Locator::default());
    assert!(shown.contains("country ipvAll") && shown.len() < 2_000, "{} bytes", shown.len());
}

#[test]
fn errors_name_the_source() {
    let whole = large_file();
    let error = bare().database("good", whole.clone()).database("cut.mmdb", whole[..5_000].to_vec()).build();
    let error = error.unwrap_err();
    assert!(
        matches!(&error, LocatorError::Database { name, error: DatabaseError::Metadata(_) } if name == "cut.mmdb")
    );
    assert!(
        error.to_string().starts_with("geo database `cut.mmdb`: truncated, or no MaxMind database: "),
        "{error}"
    );

    let twice =
        bare().overriding(net("10.0.0.0/8"), known("DE")).overriding(net("10.0.0.0/8"), Location::Unknown);
    assert_eq!(
        twice.build().unwrap_err().to_string(),
        "two geo overrides say different things of 10.0.0.0/8"
    );
}

#[test]
fn there_are_limits() {
    let with = |count: usize| {
        let small = file(&[("1.0.0.0/8", flat("AU"))]);
        (0..count).fold(bare(), |builder, number| builder.database(number.to_string(), small.clone()))
    };
    assert_eq!(with(16).build().unwrap().sources().count(), LocatorBuilder::DATABASES_MAX);
    assert_eq!(with(17).build().unwrap_err(), LocatorError::TooManyDatabases(17));
}

/// What a node does when files change: it publishes the new locator if there is one, and keeps the old one if not.
struct Published {
    current: Locator,
}

impl Published {
    fn reload(&mut self, file: Vec<u8>) -> Result<(), LocatorError> {
        self.current =
            bare().overriding(net("10.0.0.0/8"), known("CH")).database("city.mmdb", file).build()?;
        Ok(())
    }

    fn first() -> Self {
        let mut published = Self { current: bare().build().unwrap() };
        published.reload(large_file()).unwrap();
        published
    }

    fn answers(&self) -> [Location; 3] {
        ["1.0.0.1", "1.0.16.1", "10.0.0.1"].map(|address| self.current.locate(ip(address)))
    }
}

/// The answers of [`large_file`], block by block in alphabetical order.
fn first_answers() -> [Location; 3] {
    [at("AD", 0.0, 7.5), at("AE", 1.0, 7.5), known("CH")]
}

#[test]
fn a_reload_changes_everything_or_nothing() {
    let mut published = Published::first();
    assert_eq!(published.answers(), first_answers());

    let asn = mmdb_writer::Value::map([("autonomous_system_number", mmdb_writer::Value::from(1_u32))]);
    let swapped = file(&[("1.0.0.0/8", asn)]);
    let headless = large_file().split_off(512);
    for broken in [vec![], vec![0; 100_000], b"not found".to_vec(), swapped, headless] {
        let error = published.reload(broken).unwrap_err();
        assert!(error.to_string().starts_with("geo database `city.mmdb`: "), "{error}");
        assert_eq!(published.answers(), first_answers());
    }

    published.reload(file(&[("1.0.0.0/8", flat_city("JP", 35.7, 139.7))])).unwrap();
    assert_eq!(published.answers(), [at("JP", 35.7, 139.7), at("JP", 35.7, 139.7), known("CH")]);
}

/// Addresses whose country is known from elsewhere: universities and research networks, which do not move.
#[test]
fn the_embedded_data_knows_well_known_addresses() {
    let locator = Locator::default();
    for (address, code, whose) in [
        ("8.8.8.8", "US", "Google"),
        ("193.0.6.139", "NL", "RIPE NCC"),
        ("134.76.10.46", "DE", "GWDG, Goettingen"),
        ("129.20.128.1", "FR", "Rennes"),
        ("129.132.19.216", "CH", "ETH Zurich"),
        ("131.111.150.25", "GB", "Cambridge"),
        ("18.9.22.69", "US", "MIT"),
        ("171.64.64.64", "US", "Stanford"),
        ("143.107.254.11", "BR", "Sao Paulo"),
        ("137.132.21.27", "SG", "NUS"),
        ("150.203.22.1", "AU", "ANU"),
        ("130.69.96.1", "JP", "Tokyo"),
        ("14.139.34.1", "IN", "NKN"),
        ("137.158.154.1", "ZA", "Cape Town"),
        ("142.150.190.1", "CA", "Toronto"),
        ("2001:67c:2e8:22::c100:68b", "NL", "RIPE NCC"),
        ("2001:638:607::1", "DE", "DFN"),
        ("2001:620:8::1", "CH", "SWITCH"),
        ("2001:630:212::1", "GB", "Janet"),
        ("2001:200:0:8002:203:47ff:fea5:3085", "JP", "WIDE"),
        ("2607:f140::1", "US", "Berkeley"),
    ] {
        assert_eq!(locator.locate(ip(address)), known(code), "{address} of {whose}");
    }
    // All of a prefix, not only its first address.
    for block in 0..8_u8 {
        let address = IpAddr::from([193, 0, block, 77]);
        assert_eq!(locator.locate(address).country(), Some(country("NL")), "{address}");
    }
}

/// Services that answer from everywhere under one address have a country all the same: some country.
#[test]
fn the_embedded_data_has_an_opinion_on_anycast() {
    let locator = Locator::default();
    for address in ["1.1.1.1", "9.9.9.9", "2001:4860:4860::8888", "2606:4700:4700::1111"] {
        assert!(locator.locate(ip(address)).is_known(), "{address}");
    }
}

#[test]
fn the_default_is_the_embedded_database_alone() {
    let locator = Locator::default();
    let embedded = Database::embedded().unwrap();
    let sources: Vec<_> = locator.sources().collect();
    assert_eq!(sources.len(), 1);
    assert_eq!((sources[0].name, sources[0].built_s), (Locator::EMBEDDED_NAME, embedded.built_s()));
    assert_eq!(locator.overrides(), 0);
}

#[test]
fn the_embedded_data_covers_the_public_space() {
    let locator = Locator::default();
    let public =
        (0..=255_u32).flat_map(|a| (0..=255_u32).map(move |b| IpAddr::V4((a << 24 | b << 16 | 1).into())));
    let public: Vec<IpAddr> = public.filter(|address| !super::special::is_special(*address)).collect();
    let known = public.iter().filter(|address| locator.locate(**address).is_known()).count();
    let share = known as f64 / public.len() as f64;
    assert!(share > 0.95, "{known} of {} samples known", public.len());
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    let public_v6 = any::<u128>().prop_map(|bits| Ipv6Addr::from(bits >> 3 | 0x2 << 124));
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
        public_v6.prop_map(IpAddr::V6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn the_whole_space_is_answered(asked in prop::collection::vec(addresses(), 5_000)) {
        let locator = Locator::default();
        for address in asked {
            if let Location::Known { country, coordinates } = locator.locate(address) {
                prop_assert!(country.is_assigned());
                prop_assert_eq!(coordinates, country.middle());
            }
        }
    }

    #[test]
    fn a_truncated_file_keeps_the_old_locator(cuts in prop::collection::vec(any::<prop::sample::Index>(), 10)) {
        let mut published = Published::first();
        let next = file(&[("1.0.0.0/8", nested_city("JP", 35.7, 139.7)), ("2000::/3", nested_city("BR", -15.8, -47.9))]);
        for cut in cuts {
            prop_assert!(published.reload(next[..cut.index(next.len())].to_vec()).is_err());
            prop_assert_eq!(published.answers(), first_answers());
        }
        published.reload(next).unwrap();
        prop_assert_eq!(published.current.locate(ip("2a00::1")), at("BR", -15.8, -47.9));
    }

    #[test]
    fn garbage_keeps_the_old_locator(garbage in prop::collection::vec(any::<u8>(), 0..10_000)) {
        let mut published = Published::first();
        prop_assert!(published.reload(garbage).is_err());
        prop_assert_eq!(published.answers(), first_answers());
    }
}

#[test]
fn a_locator_may_be_shared_by_workers() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&Locator::default());
}

#[test]
fn a_location_says_what_it_knows() {
    assert_eq!(Location::Unknown.country(), None);
    assert!(!Location::Unknown.is_known());
    assert_eq!(
        known("SG"),
        Location::Known { country: country("SG"), coordinates: Some(point(1.35, 103.8)) }
    );
}
