//! The fleet document: which mesh, which regions, which sets of countries, which nodes are revoked.

use std::collections::BTreeSet;
use std::sync::Arc;

use graticule_geo::{Country, CountrySet, Label, Place, PlaceSets, SetName};
use graticule_gossip_core::{NodeName, RegionName};

use super::Source;
use super::canonical::Canonical;
use super::page::{Page, Spot};
use super::table::{Key, Table, entries, key, name};
use super::text::Text;
use super::tree::{Entry, parse};
use super::value::{country, distinct, integer, list, parsed};
use crate::policy::{Digest, DocumentVersion, Fleet, Region};
use crate::{RegionIndex, RegionSet};

mod region;

/// A fleet document that is right in itself.
#[derive(Debug, Clone)]
pub struct FleetDocument {
    fleet: Fleet,
    sets: PlaceSets,
    digest: Digest,
}

/// What reading a fleet document gave.
#[derive(Debug, Default)]
pub(super) struct FleetReading {
    /// The document, if nothing is wrong with it.
    pub(super) document: Option<Arc<FleetDocument>>,
    /// Where its version was written.
    pub(super) version: Option<Spot>,
    /// What tenants' documents can name, unless too little of the text could be read to tell.
    pub(super) names: Option<FleetNames>,
}

/// What tenants' documents can name. Also known of a fleet document with errors, to check the others against.
#[derive(Debug, Default)]
pub(super) struct FleetNames {
    /// Regions.
    pub(super) regions: BTreeSet<RegionName>,
    /// Sets of countries.
    pub(super) sets: BTreeSet<SetName>,
    /// Labels that a region has.
    pub(super) labels: BTreeSet<Label>,
}

/// Reads a fleet document.
pub(super) fn read(source: &Source, page: &Page) -> FleetReading {
    let tree = Text::of(source, page).and_then(|text| parse(&text, page));
    let Some(table) = tree.as_ref().and_then(|tree| Table::open(page, tree, KEYS)) else {
        return FleetReading::default();
    };
    let version = table.required("version", integer(1..=i64::MAX));
    let mesh = table.required("mesh", parsed);
    let regions = region::read(page, &table);
    let sets = sets(page, &table);
    let revoked = table.or("revoked", Vec::new(), list(FleetDocument::REVOKED_MAX, parsed));
    let revoked = distinct(page, revoked, NodeName::as_str);

    let written = regions.iter().map(|region| (&region.name, &region.labels));
    let names = (!page.is_broken()).then(|| FleetNames::of(written, sets.iter().map(|(name, _)| name)));
    let complete = regions.into_iter().map(region::Draft::complete).collect::<Option<Vec<Region>>>();
    let version_spot = version.as_ref().map(|version| version.spot);
    let document = version.zip(mesh).zip(complete).map(|((version, mesh), regions)| {
        let version = DocumentVersion(version.value.unsigned_abs());
        FleetDocument::new(Fleet { version, mesh: mesh.value, regions, revoked }, sets)
    });
    let document = document.filter(|_| !page.has_errors()).map(Arc::new);
    FleetReading { document, version: version_spot, names }
}

fn sets(page: &Page, table: &Table<'_>) -> PlaceSets {
    let written = table.or("sets", &[][..], entries);
    if let Some(over) = written.get(FleetDocument::SETS_MAX) {
        page.error(over.spot, format!("more than {} sets", FleetDocument::SETS_MAX));
    }
    let set = |entry: &Entry| {
        let name = name(page, entry);
        let countries = list(COUNTRIES_MAX, country)(page, &entry.node)?;
        if countries.is_empty() {
            page.warn(
                entry.spot,
                format!("`set:{}` has no country", entry.key),
                "add countries, or remove it",
            );
        }
        let countries: CountrySet = distinct(page, countries, Country::as_str).into_iter().collect();
        Some((name?, countries))
    };
    written.iter().take(FleetDocument::SETS_MAX).filter_map(set).collect()
}

impl FleetDocument {
    /// How many sets of countries there can be.
    pub const SETS_MAX: usize = 256;

    /// How many nodes can be revoked.
    pub const REVOKED_MAX: usize = 10_000;

    /// How many labels a region can have.
    pub const LABELS_MAX: usize = 32;

    fn new(fleet: Fleet, sets: PlaceSets) -> Self {
        let digest = canonical(&fleet, &sets).digest();
        Self { fleet, sets, digest }
    }

    /// What decisions use of it.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Identifies its contents.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What tenants' documents can name.
    pub(super) fn names(&self) -> FleetNames {
        let regions = self.fleet.regions.iter().map(|region| (&region.name, &region.labels));
        FleetNames::of(regions, self.sets.iter().map(|(name, _)| name))
    }

    /// The regions in `place`; `None` if nobody defined the set or has the label.
    pub(super) fn regions_in(&self, place: &Place) -> Option<RegionSet> {
        if let Place::Set(name) = place {
            self.sets.get(name).ok()?;
        }
        let includes =
            |region: &Region| self.sets.includes(place, region.country, &region.labels) == Ok(true);
        let regions = self.regions_where(includes);
        let is_label = matches!(place, Place::Label(_));
        (!(is_label && regions.is_empty())).then_some(regions)
    }

    /// The countries in `place`; `None` if nobody defined the set, or if it speaks of regions.
    pub(super) fn countries_in(&self, place: &Place) -> Option<Vec<Country>> {
        match place {
            Place::Country(country) => Some(vec![*country]),
            Place::Set(name) => self.sets.get(name).ok().map(|countries| countries.iter().collect()),
            Place::Label(_) => None,
        }
    }

    /// The regions of which something holds.
    pub(super) fn regions_where(&self, holds: impl Fn(&Region) -> bool) -> RegionSet {
        let regions = self.fleet.regions.iter().enumerate().filter(|(_, region)| holds(region));
        regions.filter_map(|(at, _)| RegionIndex::new(at)).collect()
    }
}

impl FleetNames {
    fn of<'f>(
        regions: impl Iterator<Item = (&'f RegionName, &'f BTreeSet<Label>)> + Clone,
        sets: impl Iterator<Item = &'f SetName>,
    ) -> Self {
        Self {
            regions: regions.clone().map(|(name, _)| name.clone()).collect(),
            sets: sets.cloned().collect(),
            labels: regions.flat_map(|(_, labels)| labels.iter().cloned()).collect(),
        }
    }
}

fn canonical(fleet: &Fleet, sets: &PlaceSets) -> Canonical {
    let text = |text: &str| Canonical::default().text(text);
    let set = |(name, countries): (&SetName, &CountrySet)| {
        text(name.as_str()).set(countries.iter().map(|country| text(country.as_str())))
    };
    Canonical::of("fleet/1")
        .number(fleet.version.0)
        .text(fleet.mesh.as_str())
        .set(fleet.regions.iter().map(region::canonical))
        .set(sets.iter().map(set))
        .set(fleet.revoked.iter().map(|node| text(node.as_str())))
}

const KEYS: &[Key] = &[
    key("version", "1"),
    key("mesh", "\"example\""),
    key("regions", "{ eu-central = { country = \"DE\", latitude = 50.1, longitude = 8.7 } }"),
    key("sets", "{ EU = [\"AT\", \"BE\"] }"),
    key("revoked", "[\"eu-central-1\"]"),
];

/// Every code there can be.
const COUNTRIES_MAX: usize = 676;

#[cfg(test)]
mod tests;
