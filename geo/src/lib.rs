//! Where is an address, how far is it, and under which law: databases, places and distance.
//!
//! Pure: bytes in, values out. Files are read and watched by the node.

mod coordinates;
mod country;
mod locator;
mod place;

pub use coordinates::{Coordinates, CoordinatesError, Kilometers};
pub use country::{Country, CountryError, CountrySet};
pub use locator::{Location, Locator};
pub use place::{Label, Place, PlaceError, SetName};
