//! Where is an address: overrides first, then databases in order, then the embedded default.

use std::net::IpAddr;

use crate::{Coordinates, Country, Database, Families};

mod builder;
mod overrides;
mod special;

pub use builder::{LocatorBuilder, LocatorError};
use overrides::Overrides;

/// Answers where addresses are. Immutable: a reload builds a new one, and until that has succeeded the old one answers.
///
/// The default has the embedded database alone.
#[derive(Debug)]
pub struct Locator {
    overrides: Overrides,
    databases: Vec<NamedDatabase>,
}

/// Where an address is, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Location {
    /// Nobody knows.
    Unknown,
    /// In this country.
    Known {
        /// Which.
        country: Country,
        /// Where in it: from the database, or else the country's middle.
        coordinates: Option<Coordinates>,
    },
}

/// One database that a locator asks, as the operator wants to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// The name it was given, or [`Locator::EMBEDDED_NAME`].
    pub name: &'a str,
    /// What its maker calls it, such as `GeoLite2-City`.
    pub database_type: &'a str,
    /// When it was built, in seconds since 1970.
    pub built_s: u64,
    /// Which addresses it can be asked about.
    pub families: Families,
    /// The nodes of its search tree: grows with what it knows.
    pub tree_nodes: u32,
}

#[derive(Debug)]
struct NamedDatabase {
    name: String,
    database: Database,
}

impl Locator {
    /// What [`Locator::sources`] calls the database that is part of the program.
    pub const EMBEDDED_NAME: &str = "embedded";

    /// A locator of no overrides and the embedded database, until told otherwise.
    pub fn builder() -> LocatorBuilder {
        LocatorBuilder::default()
    }

    /// Where `address` is: what the longest matching override says; else unknown if it is nobody's in public (private,
    /// loopback, documentation and the like); else what the first database says that knows it.
    /// An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
    pub fn locate(&self, address: IpAddr) -> Location {
        let address = address.to_canonical();
        if let Some(location) = self.overrides.find(address) {
            return location;
        }
        if special::is_special(address) {
            return Location::Unknown;
        }
        let mut answers = self.databases.iter().map(|named| named.database.locate(address));
        answers.find(Location::is_known).unwrap_or(Location::Unknown)
    }

    /// The databases, in the order in which they are asked.
    pub fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        self.databases.iter().map(|NamedDatabase { name, database }| Source {
            name,
            database_type: database.database_type(),
            built_s: database.built_s(),
            families: database.families(),
            tree_nodes: database.tree_nodes(),
        })
    }

    /// How many prefixes are overridden.
    pub fn overrides(&self) -> usize {
        self.overrides.prefixes()
    }
}

impl Default for Locator {
    fn default() -> Self {
        // Opening the embedded data cannot fail (a test proves it). If it did, everything would be unknown: the answer
        // on which every tenant has said what to do.
        let embedded = builder::embedded().ok();
        Self { overrides: Overrides::default(), databases: embedded.into_iter().collect() }
    }
}

impl Location {
    /// Somewhere in `country`: its middle, as far as it has one.
    pub fn in_country(country: Country) -> Self {
        Self::Known { country, coordinates: country.middle() }
    }

    /// The country, if it is known.
    pub fn country(&self) -> Option<Country> {
        match self {
            Self::Unknown => None,
            Self::Known { country, .. } => Some(*country),
        }
    }

    /// Whether anybody knows.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known { .. })
    }
}

#[cfg(test)]
mod tests;
