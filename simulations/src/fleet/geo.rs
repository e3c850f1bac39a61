//! Where is a client: addresses for every country, and the database that knows them.

use std::net::{IpAddr, Ipv4Addr};

use graticule_geo::Country;
use ipnet::Ipv4Net;
use mmdb_writer::{Value, Writer};

use crate::scenario::GeoFault;

/// An address of a client of the region with this number, which is in `country`, or in none.
///
/// Country `n` has the network 20.n.0.0/16 or, from 256 on, those after it: none of them is special.
pub(crate) fn address(country: Option<Country>, region: u8) -> IpAddr {
    let [_, _, high, low] = country.map_or(COUNTRIES, |country| country.index() as u32).to_be_bytes();
    Ipv4Addr::new(NETWORKS + high, low, region, 1).into()
}

/// The database of every node: every network above with its country.
pub(crate) fn database() -> Vec<u8> {
    database_of(Country::assigned())
}

/// A database that knows none of the clients: one of penguins. (One without any country is no database for a node.)
pub(crate) fn blank_database() -> Vec<u8> {
    database_of(Country::assigned().filter(|country| country.as_str() == "AQ"))
}

/// What a node finds where its database was; no file without.
pub(crate) fn found(how: Option<GeoFault>) -> Option<Vec<u8>> {
    match how {
        None => Some(database()),
        Some(GeoFault::Garbage) => Some(b"no database".to_vec()),
        Some(GeoFault::Truncated) => {
            let mut half = database();
            half.truncate(half.len() / 2);
            Some(half)
        }
        Some(GeoFault::Blank) => Some(blank_database()),
        Some(GeoFault::Missing) => None,
    }
}

fn database_of(countries: impl Iterator<Item = Country>) -> Vec<u8> {
    let mut writer = Writer::builder("Simulated-Country").build();
    for country in countries {
        let IpAddr::V4(first) = address(Some(country), 0) else { continue };
        let record = Value::map([("country_code", Value::from(country.as_str()))]);
        // No network is written twice, and the record is small: neither can fail.
        if let Ok(network) = Ipv4Net::new(first, 16) {
            let _ = writer.insert_value(network.trunc(), record);
        }
    }
    writer.to_bytes().unwrap_or_default()
}

/// The first byte of the first network.
const NETWORKS: u8 = 20;
/// As many as there are codes; the network after theirs is nobody's.
const COUNTRIES: u32 = 676;

#[cfg(test)]
mod tests {
    use graticule_geo::{Location, Locator};

    use super::*;

    fn locate(database: Vec<u8>, address: IpAddr) -> Option<Country> {
        let locator = Locator::builder().without_embedded().database("simulated", database).build().unwrap();
        match locator.locate(address) {
            Location::Known { country, .. } => Some(country),
            Location::Unknown => None,
        }
    }

    #[test]
    fn clients_are_where_the_database_finds_them() {
        for code in ["AD", "DE", "US", "ZW"] {
            let country = code.parse().unwrap();
            assert_eq!(locate(database(), address(Some(country), 7)), Some(country), "{code}");
            assert_eq!(locate(blank_database(), address(Some(country), 7)), None, "{code}");
        }
        assert_eq!(locate(database(), address(None, 7)), None);
    }
}
