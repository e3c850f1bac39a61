//! The table against well-known places: a middle has to be in its own country, or at least near its capital.

use super::MIDDLES;
use crate::testing::{country, point};
use crate::{Country, Location};

#[test]
fn the_table_is_sorted_and_every_row_is_a_point() {
    assert!(MIDDLES.windows(2).all(|rows| rows[0].0 < rows[1].0));
    for (code, north, east) in MIDDLES {
        let middle = country(str::from_utf8(&code).unwrap()).middle().unwrap();
        assert_eq!((middle.latitude(), middle.longitude()), (north, east));
    }
}

/// 249 codes assigned by ISO 3166-1, and Kosovo.
#[test]
fn every_assigned_code_is_there_and_no_other() {
    assert_eq!(Country::assigned().count(), 250);
    for code in ["ZZ", "AA", "EU", "UK", "AP", "AN", "SU", "YU", "XX", "QM"] {
        assert!(!country(code).is_assigned(), "{code}");
        assert_eq!(Location::in_country(country(code)).country(), Some(country(code)));
    }
    assert!(country("XK").is_assigned());
}

#[test]
fn well_known_middles_are_where_they_are_known_to_be() {
    for (code, north, east) in [
        ("DE", 51.0, 10.0),
        ("US", 39.8, -98.6),
        ("SG", 1.35, 103.8),
        ("AU", -25.0, 134.0),
        ("FR", 46.2, 2.2),
        ("GB", 54.0, -2.5),
        ("CH", 46.8, 8.2),
        ("BR", -10.8, -52.9),
        ("IN", 22.9, 79.6),
        ("JP", 36.6, 138.0),
        ("CA", 61.0, -98.3),
        ("RU", 61.9, 96.7),
        ("CN", 36.6, 103.8),
        ("ZA", -29.0, 25.1),
        ("MX", 23.9, -102.5),
    ] {
        let off = country(code).middle().unwrap().distance(point(north, east)).0;
        assert!(off < 400.0, "{code} is off by {off} km");
    }
}

/// Capitals of countries small enough that their middle is within 300 km: a row under a wrong code, a swapped sign or
/// swapped columns would be thousands of kilometres away.
#[test]
fn middles_of_small_countries_are_near_their_capitals() {
    for (code, north, east) in [
        ("AT", 48.2, 16.4),
        ("BE", 50.8, 4.4),
        ("BM", 32.3, -64.8),
        ("BN", 4.9, 114.9),
        ("CR", 9.9, -84.1),
        ("CV", 14.9, -23.5),
        ("CY", 35.2, 33.4),
        ("CZ", 50.1, 14.4),
        ("DK", 55.7, 12.6),
        ("EE", 59.4, 24.8),
        ("FJ", -18.1, 178.4),
        ("GU", 13.5, 144.8),
        ("HK", 22.3, 114.2),
        ("HU", 47.5, 19.0),
        ("IE", 53.3, -6.3),
        ("IL", 31.8, 35.2),
        ("IS", 64.1, -21.9),
        ("JM", 18.0, -76.8),
        ("KR", 37.6, 127.0),
        ("LK", 6.9, 79.9),
        ("LU", 49.6, 6.1),
        ("MT", 35.9, 14.5),
        ("MU", -20.2, 57.5),
        ("NL", 52.4, 4.9),
        ("PF", -17.5, -149.6),
        ("PT", 38.7, -9.1),
        ("QA", 25.3, 51.5),
        ("RE", -20.9, 55.5),
        ("RW", -1.9, 30.1),
        ("SI", 46.1, 14.5),
        ("SK", 48.1, 17.1),
        ("SV", 13.7, -89.2),
        ("TO", -21.1, -175.2),
        ("TW", 25.0, 121.6),
        ("WS", -13.8, -171.8),
    ] {
        let off = country(code).middle().unwrap().distance(point(north, east)).0;
        assert!(off < 300.0, "{code} is off by {off} km");
    }
}

/// Who is nearer decides where a request goes before anything was measured.
#[test]
fn middles_order_countries_as_the_map_does() {
    let between = |a: &str, b: &str| country(a).middle().unwrap().distance(country(b).middle().unwrap()).0;
    assert!(between("DE", "FR") < between("DE", "US"));
    assert!(between("CH", "AT") < between("CH", "GB"));
    assert!(between("SG", "MY") < between("SG", "AU"));
    assert!(between("NZ", "AU") < between("NZ", "SG"));
    assert!(between("CA", "US") < between("CA", "DE"));
    assert!(between("BR", "US") < between("BR", "SG"));
}
