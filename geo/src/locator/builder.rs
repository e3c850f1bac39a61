//! What a locator is made of, and what is wrong with it if it cannot be made.

use std::borrow::Cow;
use std::fmt;

use ipnet::IpNet;

use super::{Location, Locator, NamedDatabase, Overrides};
use crate::{Database, DatabaseError};

/// The sources of a locator, in order. Building is all or nothing.
#[derive(Debug, Default)]
pub struct LocatorBuilder {
    overrides: Vec<(IpNet, Location)>,
    databases: Vec<(String, Cow<'static, [u8]>)>,
    without_embedded: bool,
}

/// Which source of a locator is at fault, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocatorError {
    /// A database cannot be used.
    Database {
        /// The name it was given.
        name: String,
        /// What is wrong with it.
        error: DatabaseError,
    },
    /// More than [`LocatorBuilder::DATABASES_MAX`] databases.
    TooManyDatabases(usize),
    /// More than [`LocatorBuilder::OVERRIDES_MAX`] overrides.
    TooManyOverrides(usize),
    /// Two overrides say different things of one prefix.
    Contradiction(IpNet),
}

impl LocatorBuilder {
    /// The most databases, the embedded one not counted.
    pub const DATABASES_MAX: usize = 16;

    /// The most overrides.
    pub const OVERRIDES_MAX: usize = 100_000;

    /// Says where every address of `prefix` is, whatever the databases say; of several prefixes the longest wins.
    /// Without coordinates the country's middle is taken. A prefix of IPv4 addresses written as IPv6 is the IPv4 prefix.
    pub fn overriding(mut self, prefix: IpNet, location: Location) -> Self {
        self.overrides.push((prefix, location));
        self
    }

    /// Asks this database after all those before it. `name` is for errors and for [`Locator::sources`].
    pub fn database(mut self, name: impl Into<String>, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        self.databases.push((name.into(), bytes.into()));
        self
    }

    /// Does not ask the embedded database at the end.
    pub fn without_embedded(mut self) -> Self {
        self.without_embedded = true;
        self
    }

    /// Opens and checks everything (see [`Database::open`] for how long that takes). The error names the first source
    /// at fault; nothing else happened then, so that whoever reloads keeps the locator it has.
    pub fn build(self) -> Result<Locator, LocatorError> {
        if self.databases.len() > Self::DATABASES_MAX {
            return Err(LocatorError::TooManyDatabases(self.databases.len()));
        }
        let overrides = Overrides::new(self.overrides)?;
        let opened = self.databases.into_iter().map(|(name, bytes)| named(name, Database::open(bytes)));
        let default = (!self.without_embedded).then(embedded);
        Ok(Locator { overrides, databases: opened.chain(default).collect::<Result<_, _>>()? })
    }
}

pub(super) fn embedded() -> Result<NamedDatabase, LocatorError> {
    named(Locator::EMBEDDED_NAME.to_owned(), Database::embedded())
}

fn named(name: String, opened: Result<Database, DatabaseError>) -> Result<NamedDatabase, LocatorError> {
    match opened {
        Ok(database) => Ok(NamedDatabase { name, database }),
        Err(error) => Err(LocatorError::Database { name, error }),
    }
}

impl fmt::Display for LocatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { name, error } => write!(f, "geo database `{name}`: {error}"),
            Self::TooManyDatabases(count) => {
                write!(f, "{count} geo databases, at most {} allowed", LocatorBuilder::DATABASES_MAX)
            }
            Self::TooManyOverrides(count) => {
                write!(f, "{count} geo overrides, at most {} allowed", LocatorBuilder::OVERRIDES_MAX)
            }
            Self::Contradiction(prefix) => write!(f, "two geo overrides say different things of {prefix}"),
        }
    }
}

impl std::error::Error for LocatorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database { error, .. } => Some(error),
            Self::TooManyDatabases(_) | Self::TooManyOverrides(_) | Self::Contradiction(_) => None,
        }
    }
}
