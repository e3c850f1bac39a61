//! How far: points on the Earth and the great-circle distance between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A distance in kilometres along the surface of the Earth.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Kilometers(pub f64);

/// A point on the Earth in degrees (WGS 84): latitude -90 to 90, longitude -180 to 180.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Coordinates {
    latitude: f64,
    longitude: f64,
}

/// Two numbers that somebody wrote, not yet known to be a point.
#[derive(Deserialize)]
struct Written {
    latitude: f64,
    longitude: f64,
}

impl TryFrom<Written> for Coordinates {
    type Error = CoordinatesError;

    fn try_from(written: Written) -> Result<Self, CoordinatesError> {
        Self::new(written.latitude, written.longitude)
    }
}

/// A latitude or longitude out of range, or not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoordinatesError {
    latitude: f64,
    longitude: f64,
}

impl fmt::Display for CoordinatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} is no point on the Earth: expected latitude -90 to 90 and longitude -180 to 180",
            self.latitude, self.longitude
        )
    }
}

impl std::error::Error for CoordinatesError {}

impl Coordinates {
    /// A point, if both numbers are in range.
    pub const fn new(latitude: f64, longitude: f64) -> Result<Self, CoordinatesError> {
        // `abs` of something that is not a number is at most nothing.
        if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 {
            Ok(Self { latitude, longitude })
        } else {
            Err(CoordinatesError { latitude, longitude })
        }
    }

    /// Degrees north.
    pub const fn latitude(self) -> f64 {
        self.latitude
    }

    /// Degrees east.
    pub const fn longitude(self) -> f64 {
        self.longitude
    }

    /// Great-circle distance by the haversine formula on a sphere of the Earth's mean radius (error below 0.6 %).
    pub fn distance(self, other: Self) -> Kilometers {
        let (lat_a, lat_b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_lat = ((lat_b - lat_a) / 2.0).sin();
        let half_lon = ((other.longitude - self.longitude).to_radians() / 2.0).sin();
        let chord = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lon * half_lon;
        Kilometers(2.0 * EARTH_RADIUS_KM * chord.clamp(0.0, 1.0).sqrt().asin())
    }
}

/// Mean radius of the Earth (IUGG).
const EARTH_RADIUS_KM: f64 = 6_371.008_8;

#[cfg(test)]
mod tests;
