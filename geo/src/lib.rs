//! Where is an address, how far is it, and under which law: databases, places and distance.
//!
//! Pure: bytes in, values out. Files are read and watched by the node.

mod coordinates;
mod country;
mod database;
mod locator;
mod place;
#[cfg(test)]
mod testing;

pub use coordinates::{Coordinates, CoordinatesError, Kilometers};
pub use country::{Country, CountryError, CountrySet};
pub use database::{ATTRIBUTION, Database, DatabaseError, Families};
pub use locator::{Location, Locator, LocatorBuilder, LocatorError, Source};
pub use place::{Label, Place, PlaceError, PlaceSets, STARTER_SETS, SetName, UndefinedSet};
