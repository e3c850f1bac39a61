//! Which country: an ISO 3166-1 alpha-2 code, and a set of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod middles;

/// An ISO 3166-1 alpha-2 country code, such as `DE`. Two ASCII capitals; whether it is assigned is not checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// Why a text is no country code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountryError {
    written: String,
}

impl fmt::Display for CountryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no country code: expected two capital letters (ISO 3166-1), such as `DE`",
            self.written
        )
    }
}

impl std::error::Error for CountryError {}

impl Country {
    /// The two capital letters.
    pub fn as_str(&self) -> &str {
        // Only ASCII capitals are ever stored, so this is always valid UTF-8.
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }

    /// Position among all 676 possible codes, for tables and bit sets.
    pub fn index(self) -> usize {
        index_of(self.0)
    }
}

const fn index_of(code: [u8; 2]) -> usize {
    (code[0] - b'A') as usize * 26 + (code[1] - b'A') as usize
}

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(text: &str) -> Result<Self, CountryError> {
        match text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Ok(Self([*a, *b])),
            _ => Err(CountryError { written: text.chars().take(32).collect() }),
        }
    }
}

impl TryFrom<String> for Country {
    type Error = CountryError;

    fn try_from(text: String) -> Result<Self, CountryError> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of countries; membership is one bit test.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CountrySet {
    bits: [u64; WORDS],
}

impl CountrySet {
    /// Adds one country.
    pub fn insert(&mut self, country: Country) {
        self.bits[country.index() / 64] |= 1 << (country.index() % 64);
    }

    /// Whether `country` is a member.
    pub fn contains(&self, country: Country) -> bool {
        self.bits[country.index() / 64] & (1 << (country.index() % 64)) != 0
    }

    /// Whether the set has no member.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|word| *word == 0)
    }

    /// The members, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = Country> {
        let codes = (b'A'..=b'Z').flat_map(|a| (b'A'..=b'Z').map(move |b| Country([a, b])));
        codes.filter(|country| self.contains(*country))
    }
}

impl Extend<Country> for CountrySet {
    fn extend<I: IntoIterator<Item = Country>>(&mut self, countries: I) {
        countries.into_iter().for_each(|country| self.insert(country));
    }
}

impl FromIterator<Country> for CountrySet {
    fn from_iter<I: IntoIterator<Item = Country>>(countries: I) -> Self {
        let mut set = Self::default();
        set.extend(countries);
        set
    }
}

impl fmt::Debug for CountrySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// How many codes can be written.
const CODES: usize = 26 * 26;
const WORDS: usize = CODES.div_ceil(64);

#[cfg(test)]
mod tests;
