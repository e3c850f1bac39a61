//! Databases made for tests, of both schemas, and short ways to write what tests speak of.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net};
use mmdb_writer::{IpVersion, Value, Writer};

use crate::{Coordinates, Country, Location};

/// A record of the flat schema, without coordinates.
pub(crate) fn flat(code: &str) -> Value {
    Value::map([("country_code", Value::from(code))])
}

/// A record of the flat schema, as city files have it.
pub(crate) fn flat_city(code: &str, north: f64, east: f64) -> Value {
    Value::map([
        ("city", Value::from("Somewhere")),
        ("country_code", Value::from(code)),
        ("latitude", Value::from(north)),
        ("longitude", Value::from(east)),
        ("timezone", Value::from("")),
    ])
}

/// A record of the nested schema, without coordinates.
pub(crate) fn nested(code: &str) -> Value {
    Value::map([("country", coded(code)), ("continent", Value::map([("code", Value::from("EU"))]))])
}

/// A record of the nested schema, as `GeoLite2-City` has it, with names that are to be skipped.
pub(crate) fn nested_city(code: &str, north: f64, east: f64) -> Value {
    Value::map([
        ("city", Value::map([("names", Value::map([("en", Value::from("Somewhere"))]))])),
        ("country", coded(code)),
        ("location", Value::map([("latitude", Value::from(north)), ("longitude", Value::from(east))])),
        ("registered_country", coded("US")),
        ("subdivisions", Value::array([coded("BY")])),
    ])
}

/// A record of the nested schema that says only to whom the addresses were given.
pub(crate) fn registered(code: &str) -> Value {
    Value::map([("registered_country", coded(code))])
}

pub(crate) fn coded(code: &str) -> Value {
    Value::map([
        ("geoname_id", Value::from(2_921_044_u32)),
        ("iso_code", Value::from(code)),
        ("names", Value::map([("de", Value::from("Irgendwo")), ("en", Value::from("Somewhere"))])),
    ])
}

/// A file for both families.
pub(crate) fn file(networks: &[(&str, Value)]) -> Vec<u8> {
    file_of(IpVersion::V6, networks)
}

/// A file for IPv4 alone.
pub(crate) fn file_v4(networks: &[(&str, Value)]) -> Vec<u8> {
    file_of(IpVersion::V4, networks)
}

fn file_of(version: IpVersion, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut writer = Writer::builder("Test-City").ip_version(version).build();
    for (prefix, value) in networks {
        writer.insert_value(net(prefix), value.clone()).unwrap();
    }
    writer.to_bytes().unwrap()
}

/// A file like a real one, of some thousands of networks, so that tree, data and metadata are all longer than a page.
/// Block `n` of 4,096 addresses from 1.0.0.0 has the `n`-th country, at latitude `n`.
pub(crate) fn large_file() -> Vec<u8> {
    static LARGE: LazyLock<Vec<u8>> = LazyLock::new(make_large_file);
    LARGE.to_vec()
}

fn make_large_file() -> Vec<u8> {
    let mut writer = Writer::builder("Test-City").build();
    for (block, country) in (0..4_000_u32).zip(Country::assigned().cycle()) {
        let first = Ipv4Addr::from(0x0100_0000 + block * 4_096);
        let record = flat_city(country.as_str(), f64::from(block % 90), 7.5);
        writer.insert_value(Ipv4Net::new(first, 24).unwrap(), record).unwrap();
    }
    writer.to_bytes().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn country(code: &str) -> Country {
    code.parse().unwrap()
}

pub(crate) fn point(north: f64, east: f64) -> Coordinates {
    Coordinates::new(north, east).unwrap()
}

/// Known to be in a country, at a point.
pub(crate) fn at(code: &str, north: f64, east: f64) -> Location {
    Location::Known { country: country(code), coordinates: Some(point(north, east)) }
}
