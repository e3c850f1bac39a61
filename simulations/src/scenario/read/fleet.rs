//! `[fleet]`, `[regions.<name>]`, `[tenants.<id>]`: who is on the stage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use graticule_geo::{Coordinates, Label};
use graticule_gossip_core::{NodeName, RegionName};
use graticule_node_core::document::FleetDocument;
use graticule_node_core::document::reading::{
    At, Entry, Key, Node, Page, Spot, Table, assigned_country, distinct, duration, integer, key, list, name,
    number, parsed,
};
use graticule_node_core::policy::TenantId;

use super::documents::{self, TenantSpots};
use super::{named, rules, select};
use crate::fleet::{FleetPlan, RegionPlan, TenantPlan};
use crate::scenario::Rules;

/// The fleet, and every tenant's rules. What is wrong is not in them, but its names are known: whoever mistypes a
/// latitude is not told that the region is missing.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) fleet: FleetPlan,
    /// The rules of the tenants that are right.
    pub(super) rules: BTreeMap<String, Rules>,
    /// The names of regions that are wrong.
    pub(super) broken: BTreeSet<String>,
    /// The ids of all tenants.
    pub(super) tenants: BTreeSet<String>,
    /// The fleet document, if nothing is wrong with any region.
    pub(super) document: Option<Arc<FleetDocument>>,
    /// Where the regions begin.
    pub(super) spot: Spot,
}

/// Reads all of them; nothing if there is no region.
pub(super) fn read(table: &Table<'_>) -> Option<Cast> {
    let common = (FleetPlan::REQUESTS_IN_FLIGHT_MAX, Duration::ZERO);
    let (requests_in_flight_max, jitter) = table.or("fleet", common, common_to_all);
    let page = table.page();
    let mut broken = BTreeSet::new();
    let mut spots = BTreeMap::new();
    let regions = table.required("regions", |page, node| {
        Some(named(page, node, |entry| {
            spots.insert(entry.key.clone(), entry.spot);
            let region = region(page, entry);
            if region.is_none() {
                // Others may call it already what it should be called.
                broken.extend([entry.key.clone(), legal(&entry.key)]);
            }
            region
        }))
    });
    let regions: Vec<_> = regions?.value.into_values().collect();
    let entry = table.entry("regions")?;
    if !(1..=REGIONS_MAX).contains(&spots.len()) {
        page.error(entry.spot, format!("expected 1 to {REGIONS_MAX} regions"));
        return None;
    }
    let nodes: usize = regions.iter().map(|region| usize::from(region.nodes)).sum();
    if nodes > NODES_MAX {
        let message = format!("expected at most {NODES_MAX} nodes in all regions, found {nodes}");
        page.error_with(entry.spot, message, "200 take 10 GB of memory, and more take more for each");
        return None;
    }
    let fleet = FleetPlan { regions, tenants: Vec::new(), requests_in_flight_max, jitter };
    let document = if broken.is_empty() { documents::fleet(page, &fleet, &spots) } else { None };
    let (rules, tenants) = (BTreeMap::new(), BTreeSet::new());
    let mut cast = Cast { fleet, rules, broken, tenants, document, spot: entry.spot };
    let tenants = table
        .required("tenants", |page, node| Some(named(page, node, |entry| Some(tenant(page, entry, &cast)))));
    for (id, read) in tenants?.value {
        if let Some((plan, rules)) = read {
            cast.fleet.tenants.push(plan);
            cast.rules.insert(id.clone(), rules);
        }
        cast.tenants.insert(id);
    }
    Some(cast)
}

fn common_to_all(page: &Page, node: &Node) -> Option<(u32, Duration)> {
    let table = Table::open(page, node, FLEET_KEYS)?;
    let most = i64::from(FleetPlan::REQUESTS_IN_FLIGHT_MAX);
    let most = table.or("requests_in_flight_max", most, integer(1..=1_000_000));
    let jitter = table.or("jitter", Duration::ZERO, duration(Duration::ZERO..=Duration::from_secs(1)));
    Some((most.unsigned_abs() as u32, jitter))
}

fn region(page: &Page, entry: &Entry) -> Option<RegionPlan> {
    let table = Table::open(page, &entry.node, REGION_KEYS)?;
    let region = region_name(page, entry);
    let country = table.required("country", assigned_country);
    let latitude = table.required("latitude", number(-90.0..=90.0));
    let longitude = table.required("longitude", number(-180.0..=180.0));
    let labels: Vec<At<Label>> = table.or("labels", Vec::new(), list(LABELS_MAX, parsed));
    let labels = distinct(page, labels, Label::as_str);
    let count = |key, most| table.or(key, 1, integer(1..=most)).unsigned_abs() as u8;
    let (nodes, backends) =
        (count("nodes", RegionPlan::NODES_MAX.into()), count("backends", RegionPlan::BACKENDS_MAX.into()));
    let backend_latency =
        table.or("backend_latency", Duration::ZERO, duration(Duration::ZERO..=Duration::from_mins(1)));
    let region = region.filter(|name| nodes_can_be_called(page, entry.spot, (name, nodes)));
    let coordinates = Coordinates::new(latitude?.value, longitude?.value).ok()?;
    Some(RegionPlan {
        labels: labels.iter().map(|label| label.as_str().to_owned()).collect(),
        nodes,
        backends,
        backend_latency,
        ..RegionPlan::new(region?.as_str(), country?.value, coordinates)
    })
}

/// A region's name.
fn region_name(page: &Page, entry: &Entry) -> Option<RegionName> {
    let name = entry.key.parse::<RegionName>();
    if let Err(error) = &name {
        let alike = legal(&entry.key);
        let help = alike.parse::<RegionName>().is_ok().then(|| format!("write `{alike}`"));
        page.error_perhaps_with(entry.spot, error.to_string(), help);
    }
    name.ok()
}

/// A name as names of regions are written.
fn legal(name: &str) -> String {
    name.to_ascii_lowercase().replace(|sign: char| !sign.is_ascii_alphanumeric(), "-")
}

/// Whether nodes can have the names that are made of their region's.
fn nodes_can_be_called(page: &Page, spot: Spot, (name, nodes): (&RegionName, u8)) -> bool {
    let longest = format!("{name}-{nodes}");
    let legal = longest.parse::<NodeName>().is_ok();
    if !legal {
        let message = format!("no node can be called `{longest}`: names have at most 63 characters");
        page.error_with(spot, message, "give the region a shorter name");
    }
    legal
}

fn tenant(page: &Page, entry: &Entry, cast: &Cast) -> Option<(TenantPlan, Rules)> {
    let table = Table::open(page, &entry.node, TENANT_KEYS)?;
    let id: Option<TenantId> = name(page, entry);
    let pools = table.required("pools", select::regions(cast));
    let rules = table.required("residency", |page, node| rules::read(page, node, cast));
    let response_timeout =
        table.optional("response_timeout", duration(Duration::from_millis(1)..=Duration::from_mins(10)));
    let rules = rules?;
    let plan = TenantPlan {
        id: id?.as_str().to_owned(),
        residency: rules.value.document(),
        pools: pools?.value,
        response_timeout: response_timeout.map(|at| at.value),
    };
    let spots = TenantSpots { whole: entry.spot, residency: rules.spot };
    cast.check_tenant(page, (&plan, &plan.residency), spots);
    Some((plan, rules.value))
}

impl Cast {
    /// Reports what nodes would refuse of a tenant's document with this residency.
    pub(super) fn check_tenant(
        &self,
        page: &Page,
        (tenant, residency): (&TenantPlan, &str),
        spots: TenantSpots,
    ) {
        if let Some(fleet) = &self.document {
            documents::tenant(page, fleet, (self.fleet.tenant_document(tenant, 1, residency), spots));
        }
    }
}

const FLEET_KEYS: &[Key] = &[key("requests_in_flight_max", "10000"), key("jitter", "\"2ms\"")];
const REGION_KEYS: &[Key] = &[
    key("country", "\"DE\""),
    key("latitude", "50.1"),
    key("longitude", "8.7"),
    key("labels", "[\"europe\"]"),
    key("nodes", "3"),
    key("backends", "1"),
    key("backend_latency", "\"20ms\""),
];
const TENANT_KEYS: &[Key] = &[
    key("pools", "[\"region:eu-central\"]"),
    key("residency", "{ allow = [\"set:EU\"] }"),
    key("response_timeout", "\"5s\""),
];

/// In all regions together: as many as `graticule-sim scale` can be asked for.
const NODES_MAX: usize = 2_000;
/// Each region has a network of its own, numbered in one byte of its addresses.
const REGIONS_MAX: usize = 64;
const LABELS_MAX: usize = 16;
