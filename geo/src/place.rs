//! What rules speak of: `country:DE`, `set:EU`, `label:x`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Country, CountryError};

mod sets;

pub use sets::{PlaceSets, STARTER_SETS, UndefinedSet};

/// The name of a set of countries defined in the fleet document: letters, digits, `-` and `_`, at most 63.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SetName(String);

/// A label of a region, such as `gdpr` or `sovereign`: letters, digits, `-`, `_` and `.`, at most 63.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// One place, as an operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `country:DE`.
    Country(Country),
    /// `set:EU`: every country of a set from the fleet document.
    Set(SetName),
    /// `label:x`: every region with that label.
    Label(Label),
}

/// Why a text is no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceError {
    /// No `country:`, `set:` or `label:` in front.
    Kind(String),
    /// `country:` with something that is no country code.
    Country(CountryError),
    /// A set or label name with characters that names may not have.
    Name(String),
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(text) => {
                write!(f, "`{text}` is no place: expected `country:DE`, `set:EU` or `label:x`")
            }
            Self::Country(error) => error.fmt(f),
            Self::Name(text) => {
                write!(f, "`{text}` is no name: expected 1 to 63 letters, digits, `-`, `_` or `.`")
            }
        }
    }
}

impl std::error::Error for PlaceError {}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        match text.split_once(':') {
            Some(("country", code)) => code.parse().map(Self::Country).map_err(PlaceError::Country),
            Some(("set", name)) => name.parse().map(Self::Set),
            Some(("label", name)) => name.parse().map(Self::Label),
            _ => Err(PlaceError::Kind(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Country(country) => write!(f, "country:{country}"),
            Self::Set(name) => write!(f, "set:{}", name.0),
            Self::Label(label) => write!(f, "label:{}", label.0),
        }
    }
}

impl SetName {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Label {
    /// The label as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SetName {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        checked_name(text).map(Self)
    }
}

impl FromStr for Label {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        checked_name(text).map(Self)
    }
}

impl TryFrom<String> for SetName {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, PlaceError> {
        text.parse()
    }
}

impl TryFrom<String> for Label {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, PlaceError> {
        text.parse()
    }
}

impl From<SetName> for String {
    fn from(name: SetName) -> Self {
        name.0
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

fn checked_name(text: &str) -> Result<String, PlaceError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal) {
        Ok(text.to_owned())
    } else {
        Err(PlaceError::Name(text.chars().take(80).collect()))
    }
}

const NAME_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests;
