//! Why is a file no database: for the operator who has to replace it.

use std::fmt;

use super::Database;

/// What is wrong with a database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseError {
    /// Nothing in it.
    Empty,
    /// Longer than [`Database::BYTES_MAX`].
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The metadata at its end is missing or unreadable, or contradicts the length of the file.
    Metadata(String),
    /// The search tree leads out of the file, or the zeros behind it are not where its length says.
    Tree(String),
    /// A record that the search tree leads to cannot be read.
    Record(String),
    /// A database, but of something else: no record names a country.
    NoCountries {
        /// What it says it is.
        database_type: String,
    },
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::TooLong { bytes } => {
                write!(f, "the file has {bytes} bytes, more than the {} allowed", Database::BYTES_MAX)
            }
            Self::Metadata(why) => write!(f, "truncated, or no MaxMind database: {why}"),
            Self::Tree(why) => write!(f, "the search tree is broken: {why}"),
            Self::Record(why) => write!(f, "a record is broken: {why}"),
            Self::NoCountries { database_type } => write!(
                f,
                "no record names a country (`country.iso_code` or `country_code`): the file is of type `{database_type}`"
            ),
        }
    }
}

impl std::error::Error for DatabaseError {}
