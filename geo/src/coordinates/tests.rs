//! Distances against published ones, and the range of what is a point.

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer};

use super::{Coordinates, EARTH_RADIUS_KM, Kilometers};
use crate::testing::point;

const FRANKFURT: (f64, f64) = (50.033, 8.570);
const NEW_YORK: (f64, f64) = (40.640, -73.779);
const SINGAPORE: (f64, f64) = (1.359, 103.989);
const SYDNEY: (f64, f64) = (-33.946, 151.177);

fn airports((north_a, east_a): (f64, f64), (north_b, east_b): (f64, f64)) -> f64 {
    point(north_a, east_a).distance(point(north_b, east_b)).0
}

/// Great-circle distances between airports as timetables have them (FRA, JFK, SIN, SYD), within 0.6 %.
#[test]
fn distances_are_the_published_ones() {
    for (from, to, published) in [
        (FRANKFURT, NEW_YORK, 6_206.0),
        (FRANKFURT, SINGAPORE, 10_273.0),
        (SINGAPORE, SYDNEY, 6_305.0),
        (NEW_YORK, SINGAPORE, 15_349.0),
    ] {
        let computed = airports(from, to);
        assert!((computed - published).abs() / published < 0.006, "{computed} km, published {published} km");
    }
}

#[test]
fn the_date_line_is_no_wall() {
    let across = point(0.0, 179.5).distance(point(0.0, -179.5)).0;
    let one_degree = EARTH_RADIUS_KM.to_radians();
    assert!((across - one_degree).abs() < 1e-6);
}

#[test]
fn a_pole_has_every_longitude() {
    assert!(point(90.0, 0.0).distance(point(90.0, 137.0)).0 < 1e-6);
}

#[test]
fn what_is_no_point_is_refused() {
    for (north, east) in [
        (90.1, 0.0),
        (-90.1, 0.0),
        (0.0, 180.1),
        (0.0, -180.1),
        (f64::NAN, 0.0),
        (0.0, f64::NAN),
        (f64::INFINITY, 0.0),
        (0.0, f64::NEG_INFINITY),
    ] {
        let error = Coordinates::new(north, east).unwrap_err();
        assert!(error.to_string().contains("is no point on the Earth"), "{error}");
    }
    for (north, east) in [(90.0, 180.0), (-90.0, -180.0), (0.0, -0.0)] {
        assert_eq!(Coordinates::new(north, east).unwrap().latitude().to_bits(), north.to_bits());
    }
}

#[test]
fn what_is_read_is_checked_too() {
    let read = |north: f64| {
        let fields = [("latitude", north), ("longitude", 8.5)];
        Coordinates::deserialize(MapDeserializer::<_, Error>::new(fields.into_iter()))
    };
    assert_eq!(read(50.0), Ok(point(50.0, 8.5)));
    assert!(read(500.0).unwrap_err().to_string().contains("500, 8.5 is no point"));
}

fn points() -> impl Strategy<Value = Coordinates> {
    (-90.0..=90.0, -180.0..=180.0).prop_map(|(north, east)| point(north, east))
}

proptest! {
    #[test]
    fn distance_is_a_metric(a in points(), b in points(), c in points()) {
        let Kilometers(there) = a.distance(b);
        let Kilometers(back) = b.distance(a);
        prop_assert!((there - back).abs() < 1e-6);
        prop_assert!((0.0..=EARTH_RADIUS_KM * std::f64::consts::PI + 1e-6).contains(&there));
        prop_assert!(a.distance(a).0 < 1e-6);
        prop_assert!(a.distance(c).0 <= there + b.distance(c).0 + 1e-3);
    }

    #[test]
    fn the_antipode_is_half_way_round(a in points()) {
        let east = if a.longitude() > 0.0 { a.longitude() - 180.0 } else { a.longitude() + 180.0 };
        let around = a.distance(point(-a.latitude(), east)).0;
        prop_assert!((around - EARTH_RADIUS_KM * std::f64::consts::PI).abs() < 0.1);
    }
}
