//! Is a region in a place: the sets of countries that the fleet document names, and the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Label, Place, SetName};
use crate::{Country, CountrySet};

/// The sets of countries that places can name. Data of the fleet document: nothing is built in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceSets {
    sets: BTreeMap<SetName, CountrySet>,
}

/// A place names a set that the fleet document does not define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndefinedSet {
    /// The name that means nothing.
    pub name: SetName,
    /// Names that would have meant something, the first few in alphabetical order.
    pub defined: Vec<SetName>,
}

impl PlaceSets {
    /// The countries of a set.
    pub fn get(&self, name: &SetName) -> Result<&CountrySet, UndefinedSet> {
        self.sets.get(name).ok_or_else(|| self.undefined_set(name))
    }

    /// Every set with its name, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&SetName, &CountrySet)> {
        self.sets.iter()
    }

    /// Whether a region in `country` with `labels` is in `place`.
    ///
    /// An undefined set is an error and never "no": as part of a `deny`, "no" would widen.
    pub fn includes(
        &self,
        place: &Place,
        country: Country,
        labels: &BTreeSet<Label>,
    ) -> Result<bool, UndefinedSet> {
        match place {
            Place::Country(named) => Ok(*named == country),
            Place::Set(name) => self.get(name).map(|set| set.contains(country)),
            Place::Label(label) => Ok(labels.contains(label)),
        }
    }

    /// What `places` name but nobody defined: each name once, in alphabetical order.
    pub fn undefined<'a>(&self, places: impl IntoIterator<Item = &'a Place>) -> Vec<UndefinedSet> {
        let named = places.into_iter().filter_map(|place| match place {
            Place::Set(name) => Some(name),
            Place::Country(_) | Place::Label(_) => None,
        });
        let missing: BTreeSet<&SetName> = named.filter(|name| !self.sets.contains_key(*name)).collect();
        missing.into_iter().map(|name| self.undefined_set(name)).collect()
    }

    fn undefined_set(&self, name: &SetName) -> UndefinedSet {
        let defined = self.sets.keys().take(NAMES_SHOWN_MAX);
        UndefinedSet { name: name.to_owned(), defined: defined.cloned().collect() }
    }
}

/// Of two sets with one name the later one counts; that a document names each only once, its reader checks.
impl FromIterator<(SetName, CountrySet)> for PlaceSets {
    fn from_iter<I: IntoIterator<Item = (SetName, CountrySet)>>(sets: I) -> Self {
        Self { sets: sets.into_iter().collect() }
    }
}

impl fmt::Display for UndefinedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, defined } = self;
        write!(f, "`set:{}` is not defined in the fleet document", name.as_str())?;
        if defined.is_empty() {
            return f.write_str(", which defines no sets");
        }
        let names: Vec<&str> = defined.iter().map(SetName::as_str).collect();
        write!(f, ": it has {}", names.join(", "))
    }
}

impl std::error::Error for UndefinedSet {}

/// The sets that a new fleet document starts with, as TOML with their sources in comments: one table `[sets]` of arrays
/// of country codes. Law changes: it is copied into the document, which then says what holds.
pub const STARTER_SETS: &str = include_str!("../../data/sets.toml");

const NAMES_SHOWN_MAX: usize = 16;

#[cfg(test)]
mod tests;
