//! The regions of a fleet document: where each one is, under which law, and what else rules can call it.

use std::collections::BTreeSet;

use graticule_geo::{Coordinates, Country, Label};
use graticule_gossip_core::RegionName;

use super::FleetDocument;
use crate::RegionSet;
use crate::document::canonical::Canonical;
use crate::document::page::Page;
use crate::document::table::{Key, Table, entries, key, name};
use crate::document::tree::Entry;
use crate::document::value::{country, distinct, list, number, parsed};
use crate::policy::Region;

/// A region as far as it is right.
#[derive(Debug)]
pub(super) struct Draft {
    /// Its name.
    pub(super) name: RegionName,
    country: Option<Country>,
    coordinates: Option<Coordinates>,
    /// Its labels.
    pub(super) labels: BTreeSet<Label>,
}

/// Reads the regions of a fleet document; they are in the order of their names.
pub(super) fn read(page: &Page, table: &Table<'_>) -> Vec<Draft> {
    let written = table.required("regions", entries).map_or(&[][..], |at| at.value);
    if let (Some(entry), []) = (table.entry("regions"), written) {
        page.error_with(entry.spot, "a fleet has at least one region", "add a table `[regions.eu-central]`");
    }
    if let Some(over) = written.get(RegionSet::REGIONS_MAX) {
        page.error(over.spot, format!("more than {} regions", RegionSet::REGIONS_MAX));
    }
    written.iter().take(RegionSet::REGIONS_MAX).filter_map(|entry| region(page, entry)).collect()
}

fn region(page: &Page, entry: &Entry) -> Option<Draft> {
    let name = name(page, entry);
    let table = Table::open(page, &entry.node, KEYS)?;
    let country = table.required("country", country).map(|at| at.value);
    let latitude = table.required("latitude", number(-90.0..=90.0));
    let longitude = table.required("longitude", number(-180.0..=180.0));
    let coordinates = latitude
        .zip(longitude)
        .and_then(|(latitude, longitude)| Coordinates::new(latitude.value, longitude.value).ok());
    let labels = table.or("labels", Vec::new(), list(FleetDocument::LABELS_MAX, parsed));
    let labels = distinct(page, labels, Label::as_str);
    Some(Draft { name: name?, country, coordinates, labels })
}

impl Draft {
    /// The region, if all of it is right.
    pub(super) fn complete(self) -> Option<Region> {
        let Self { name, country, coordinates, labels } = self;
        Some(Region { name, country: country?, coordinates: coordinates?, labels })
    }
}

/// What a region means, in bytes.
pub(super) fn canonical(region: &Region) -> Canonical {
    Canonical::default()
        .text(region.name.as_str())
        .text(region.country.as_str())
        .number(region.coordinates.latitude().to_bits())
        .number(region.coordinates.longitude().to_bits())
        .set(region.labels.iter().map(|label| Canonical::default().text(label.as_str())))
}

const KEYS: &[Key] = &[
    key("country", "\"DE\""),
    key("latitude", "50.1"),
    key("longitude", "8.7"),
    key("labels", "[\"sovereign\"]"),
];
