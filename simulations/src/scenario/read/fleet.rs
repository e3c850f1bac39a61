//! `[fleet]`, `[regions.<name>]`, `[tenants.<id>]`: who is on the stage.

use std::collections::BTreeMap;
use std::time::Duration;

use graticule_geo::Coordinates;
use graticule_gossip_core::RegionName;
use graticule_node_core::document::reading::{
    Key, Node, Page, Table, country, duration, integer, key, list, number, text,
};
use graticule_node_core::policy::TenantId;

use super::{named, rules, select};
use crate::fleet::{FleetPlan, RegionPlan, TenantPlan};
use crate::scenario::Rules;

/// The fleet, and every tenant's rules.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) fleet: FleetPlan,
    pub(super) rules: BTreeMap<String, Rules>,
}

/// Reads all of them; nothing if there is no region.
pub(super) fn read(table: &Table<'_>) -> Option<Cast> {
    let common = (FleetPlan::REQUESTS_IN_FLIGHT_MAX, Duration::ZERO);
    let (requests_in_flight_max, jitter) = table.or("fleet", common, common_to_all);
    let regions = table
        .required("regions", |page, node| Some(named(page, node, |name, node| region(page, name, node))));
    let regions: Vec<_> = regions?.value.into_values().collect();
    if let Some(entry) = table.entry("regions").filter(|_| regions.is_empty() || regions.len() > REGIONS_MAX)
    {
        table.page().error(entry.spot, format!("expected 1 to {REGIONS_MAX} regions"));
        return None;
    }
    let mut fleet = FleetPlan { regions, tenants: Vec::new(), requests_in_flight_max, jitter };
    let read =
        |page: &Page, node: &Node| Some(named(page, node, |id, node| tenant(page, (id, node), &fleet)));
    let tenants = table.required("tenants", read)?.value;
    let (plans, rules): (Vec<_>, BTreeMap<_, _>) =
        tenants.into_iter().map(|(id, (plan, rules))| (plan, (id, rules))).unzip();
    fleet.tenants = plans;
    Some(Cast { fleet, rules })
}

fn common_to_all(page: &Page, node: &Node) -> Option<(u32, Duration)> {
    let table = Table::open(page, node, FLEET_KEYS)?;
    let most = i64::from(FleetPlan::REQUESTS_IN_FLIGHT_MAX);
    let most = table.or("requests_in_flight_max", most, integer(1..=1_000_000));
    let jitter = table.or("jitter", Duration::ZERO, duration(Duration::ZERO..=Duration::from_secs(1)));
    Some((most.unsigned_abs() as u32, jitter))
}

fn region(page: &Page, name: &str, node: &Node) -> Option<RegionPlan> {
    let table = Table::open(page, node, REGION_KEYS)?;
    if let Err(error) = name.parse::<RegionName>() {
        page.error(node.spot, error.to_string());
    }
    let country = table.required("country", country);
    let latitude = table.required("latitude", number(-90.0..=90.0));
    let longitude = table.required("longitude", number(-180.0..=180.0));
    let labels = table.or("labels", Vec::new(), list(LABELS_MAX, text));
    let count = |key, most| table.or(key, 1, integer(1..=most)).unsigned_abs() as u8;
    let (nodes, backends) =
        (count("nodes", RegionPlan::NODES_MAX.into()), count("backends", RegionPlan::BACKENDS_MAX.into()));
    let backend_latency =
        table.or("backend_latency", Duration::ZERO, duration(Duration::ZERO..=Duration::from_mins(1)));
    let coordinates = Coordinates::new(latitude?.value, longitude?.value).ok()?;
    Some(RegionPlan {
        labels: labels.into_iter().map(|at| at.value).collect(),
        nodes,
        backends,
        backend_latency,
        ..RegionPlan::new(name, country?.value, coordinates)
    })
}

fn tenant(page: &Page, (id, node): (&str, &Node), fleet: &FleetPlan) -> Option<(TenantPlan, Rules)> {
    let table = Table::open(page, node, TENANT_KEYS)?;
    if let Err(error) = id.parse::<TenantId>() {
        page.error(node.spot, error.to_string());
    }
    let pools = table.required("pools", select::regions(fleet));
    let rules = table.required("residency", |page, node| rules::read(page, node, fleet));
    let response_timeout =
        table.optional("response_timeout", duration(Duration::from_millis(1)..=Duration::from_mins(10)));
    let rules = rules?.value;
    let plan = TenantPlan {
        id: id.to_owned(),
        residency: rules.document(),
        pools: pools?.value,
        response_timeout: response_timeout.map(|at| at.value),
    };
    Some((plan, rules))
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

/// Each region has a network of its own, numbered in one byte of its addresses.
const REGIONS_MAX: usize = 64;
const LABELS_MAX: usize = 16;
