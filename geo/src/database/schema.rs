//! Which fields of a record say where an address is.

use maxminddb::{LookupResult, MaxMindDbError};
use serde::Deserialize;

use crate::{Coordinates, Country, Location};

/// The shape of a file's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// `country_code`, `latitude`, `longitude` at the top.
    Flat,
    /// `country.iso_code`, `registered_country.iso_code`, `location.latitude` and `.longitude`.
    Nested,
}

impl Schema {
    /// The place that a record names; unknown if there is no record, or it names no assigned country.
    /// Coordinates that are no point on the Earth give way to the country's middle.
    pub(super) fn read<S: AsRef<[u8]>>(
        self,
        found: &LookupResult<'_, S>,
    ) -> Result<Location, MaxMindDbError> {
        let located = match self {
            Self::Flat => found.decode::<Flat<'_>>()?.and_then(Flat::location),
            Self::Nested => found.decode::<Nested<'_>>()?.and_then(Nested::location),
        };
        Ok(located.unwrap_or(Location::Unknown))
    }

    /// The schema in which a record names a country, if it does in one. An error only if it cannot be read at all.
    pub(super) fn of<S: AsRef<[u8]>>(found: &LookupResult<'_, S>) -> Result<Option<Self>, MaxMindDbError> {
        if Self::Flat.read(found)?.is_known() {
            return Ok(Some(Self::Flat));
        }
        // Some flat files have a `country` that is a name: not readable as nested, and not broken.
        let nested = Self::Nested.read(found).unwrap_or(Location::Unknown);
        Ok(nested.is_known().then_some(Self::Nested))
    }
}

#[derive(Deserialize)]
struct Flat<'a> {
    #[serde(borrow)]
    country_code: Option<&'a str>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

#[derive(Deserialize)]
struct Nested<'a> {
    #[serde(borrow)]
    country: Option<Coded<'a>>,
    #[serde(borrow)]
    registered_country: Option<Coded<'a>>,
    location: Option<Point>,
}

#[derive(Deserialize)]
struct Coded<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Point {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl Flat<'_> {
    fn location(self) -> Option<Location> {
        Some(location(assigned(self.country_code)?, self.latitude, self.longitude))
    }
}

impl Nested<'_> {
    fn location(self) -> Option<Location> {
        let code = |country: Option<Coded<'_>>| country.and_then(|country| assigned(country.iso_code));
        let country = code(self.country).or_else(|| code(self.registered_country))?;
        let point = self.location.unwrap_or(Point { latitude: None, longitude: None });
        Some(location(country, point.latitude, point.longitude))
    }
}

fn assigned(code: Option<&str>) -> Option<Country> {
    code?.parse().ok().filter(|country: &Country| country.is_assigned())
}

fn location(country: Country, latitude: Option<f64>, longitude: Option<f64>) -> Location {
    let point = latitude.zip(longitude).and_then(|(north, east)| Coordinates::new(north, east).ok());
    Location::Known { country, coordinates: point.or(country.middle()) }
}
