//! What a tenant's document means in a fleet: places become regions and countries.
//!
//! Total, and on the safe side: what the fleet does not know permits nothing. So a document that was right in an
//! earlier fleet keeps a lawful meaning in a later one.

use graticule_geo::{CountrySet, Label, Place, SetName};
use graticule_gossip_core::RegionName;

use super::fleet::{FleetDocument, FleetNames};
use super::page::{At, Page, Spot, listed};
use super::tenant::{
    ByRegion, ClientRule, ContentRules, PermissionRules, Reach, Rules, TenantDocument, Unknown,
};
use crate::policy::{
    ContentRule, NamedPools, Permission, Pool, PoolIndex, PoolName, PoolShare, Receive, Residency, Route,
    Split, Tenant, UnknownLocation,
};
use crate::{RegionIndex, RegionSet};

/// Reports every region, set and label of `document` that the fleet does not know.
pub(super) fn check_names(document: &TenantDocument, names: &FleetNames, page: &Page) {
    let routes = document.routes.iter().map(|route| &route.rules);
    for rules in routes.chain([&document.residency]) {
        rules.places().for_each(|place| check_place(place, names, page));
        if let Some(home) = &rules.home {
            check_region(&home.value, names, page, home.spot);
        }
    }
    let further = document.named_pools.values().flat_map(|at| &at.value);
    document
        .pools
        .iter()
        .chain(further)
        .for_each(|(region, pool)| check_region(region, names, page, pool.spot));
}

fn check_region(region: &RegionName, names: &FleetNames, page: &Page, spot: Spot) {
    if !names.regions.contains(region) {
        page.unknown(spot, "region", region.as_str(), names.regions.iter().map(RegionName::as_str));
    }
}

fn check_place(place: &At<Place>, names: &FleetNames, page: &Page) {
    match &place.value {
        Place::Set(set) if !names.sets.contains(set) => {
            page.unknown(place.spot, "set", set.as_str(), names.sets.iter().map(SetName::as_str));
        }
        Place::Label(label) if !names.labels.contains(label) => {
            let known = names.labels.iter().map(Label::as_str);
            page.unknown(place.spot, "label", label.as_str(), known);
        }
        Place::Country(_) | Place::Set(_) | Place::Label(_) => {}
    }
}

/// What `document` means in `fleet`; reports what cannot be meant.
pub(super) fn resolve(document: &TenantDocument, fleet: &FleetDocument, page: &Page) -> Tenant {
    let mut routes: Vec<Route> = document
        .routes
        .iter()
        .map(|route| Route {
            path_prefix: route.path_prefix.value.clone(),
            residency: residency(&route.rules, fleet, page),
        })
        .collect();
    routes.sort_by(|a, b| {
        let key = |route: &Route| std::cmp::Reverse(route.path_prefix.as_str().len());
        (key(a), &a.path_prefix).cmp(&(key(b), &b.path_prefix))
    });
    let pools = pools(&document.pools, fleet);
    let named: Vec<NamedPools> = document
        .named_pools
        .iter()
        .map(|(name, at)| {
            let pools = self::pools(&at.value, fleet);
            NamedPools {
                name: name.clone(),
                regions: pools.iter().map(|(region, _)| *region).collect(),
                pools,
            }
        })
        .collect();
    let tenant = Tenant {
        claims: document.claims.iter().map(|claim| claim.value.clone()).collect(),
        id: document.id.value.clone(),
        version: document.version(),
        residency: residency(&document.residency, fleet, page),
        routes,
        pool_regions: pools.iter().map(|(region, _)| *region).collect(),
        pools,
        content: document.content.iter().map(|rule| content_rule(rule, &named)).collect(),
        named,
        expose_region: document.expose_region,
        redirect_http: document.redirect_http,
        informational: document.informational,
        limits: document.limits,
        addresses: document.addresses,
    };
    // Rules that are wrong say nothing about which pools are needed.
    if !page.has_errors() {
        check_pools(document, &tenant, fleet, page);
    }
    tenant
}

fn pools(written: &ByRegion, fleet: &FleetDocument) -> Vec<(RegionIndex, Pool)> {
    let known = |(region, at): (&RegionName, &At<Pool>)| {
        Some((fleet.fleet().region_by_name(region)?, at.value.clone()))
    };
    written.iter().filter_map(known).collect()
}

fn content_rule(rule: &ContentRules, named: &[NamedPools]) -> ContentRule {
    let index = |name: &Option<PoolName>| match name {
        None => Some(PoolIndex::UNNAMED),
        // There are fewer names than an index can tell apart.
        Some(name) => named.iter().position(|known| known.name == *name).map(|at| PoolIndex(at as u8 + 1)),
    };
    let share =
        |(name, weight): &(Option<PoolName>, u32)| Some(PoolShare { pool: index(name)?, weight: *weight });
    ContentRule {
        path_prefix: rule.path_prefix.clone(),
        methods: rule.methods.clone(),
        header: rule.header.clone(),
        query: rule.query.clone(),
        split: Split::new(rule.shares.iter().filter_map(share)),
    }
}

/// Warns of regions that are permitted but have no pool, and of pools that no rule permits.
fn check_pools(document: &TenantDocument, tenant: &Tenant, fleet: &FleetDocument, page: &Page) {
    let all_rules = tenant.routes.iter().map(|route| &route.residency).chain([&tenant.residency]);
    let permitted = all_rules.map(Residency::reach).fold(RegionSet::EMPTY, RegionSet::union);
    let bare = permitted.difference(tenant.pool_regions);
    if !bare.is_empty() {
        let regions = fleet.fleet().regions.iter().enumerate();
        let named = regions.filter(|(at, _)| RegionIndex::new(*at).is_some_and(|index| bare.contains(index)));
        let message = format!("no pool in {}", listed(named.map(|(_, region)| region.name.as_str())));
        page.warn(
            document.residency.spot,
            message,
            "the rules permit these regions: add pools, or `deny` them",
        );
    }
    let named = document.named_pools.values().flat_map(|at| &at.value);
    for (name, pool) in document.pools.iter().chain(named) {
        if fleet.fleet().region_by_name(name).is_some_and(|index| !permitted.contains(index)) {
            let message = format!("no rule permits `{name}`, so this pool is never used");
            page.warn(pool.spot, message, "permit the region, or remove the pool");
        }
    }
}

fn residency(rules: &Rules, fleet: &FleetDocument, page: &Page) -> Residency {
    let denied = &rules.everybody.deny;
    let permission = permission(&rules.everybody, &[], fleet);
    let client = |rule: &ClientRule| {
        let countries = countries(&rule.when, fleet);
        Some((countries?, self::permission(&rule.permission, denied, fleet)))
    };
    let by_client: Option<Vec<(CountrySet, Permission)>> = rules.by_client.iter().map(client).collect();
    // A rule whose clients cannot be told may have been there to forbid: then nothing is permitted to anybody.
    let (permission, by_client) = match by_client {
        Some(by_client) => (permission, by_client),
        None => (Permission::new([]), Vec::new()),
    };
    let residency = Residency {
        unknown: unknown(rules, &permission, fleet, page),
        receive: if rules.receives_alone.is_some() { Receive::Allowed } else { Receive::Any },
        permission,
        by_client,
    };
    check_reach(rules, &residency, page);
    residency
}

fn check_reach(rules: &Rules, residency: &Residency, page: &Page) {
    if residency.reach().is_empty() {
        page.error_with(
            rules.everybody.spot,
            "these rules permit no region of the fleet",
            "permit a country, set or label that a region is in, and do not deny all of them",
        );
        return;
    }
    let clients = rules.by_client.iter().map(|rule| &rule.permission);
    let written = std::iter::once(&rules.everybody).chain(clients);
    let meant =
        std::iter::once(&residency.permission).chain(residency.by_client.iter().map(|(_, meant)| meant));
    for (written, meant) in written.zip(meant) {
        // An empty list says on purpose that such clients are not served.
        if meant.all.is_empty() && !written.allow.is_nowhere() {
            let help = "write `allow = []` if such clients are not to be served";
            page.warn(written.spot, "this permits no region of the fleet", help);
        }
    }
}

fn unknown(rules: &Rules, permission: &Permission, fleet: &FleetDocument, page: &Page) -> UnknownLocation {
    let Some(home) = &rules.home else { return UnknownLocation::Refuse };
    let index = fleet.fleet().region_by_name(&home.value);
    match index.filter(|index| permission.all.contains(*index)) {
        Some(index) if rules.unknown == Unknown::Home => UnknownLocation::Home(index),
        Some(_) => UnknownLocation::Refuse,
        None => {
            let message = format!("the home region `{}` is not permitted by these rules", home.value);
            page.error_with(home.spot, message, "choose a region that `allow` or `fallback` permits");
            UnknownLocation::Refuse
        }
    }
}

/// The tiers of `rules`, without what they deny and without what is `denied` around them.
fn permission(rules: &PermissionRules, denied: &[At<Place>], fleet: &FleetDocument) -> Permission {
    let deny = regions(rules.deny.iter().chain(denied), fleet);
    let tiers = std::iter::once(&rules.allow).chain(&rules.fallback).map(|reach| match reach {
        Reach::Anywhere => Some(fleet.regions_where(|_| true)),
        Reach::Places(places) => regions(places, fleet),
    });
    match (tiers.collect::<Option<Vec<RegionSet>>>(), deny) {
        (Some(tiers), Some(deny)) => Permission::new(tiers.into_iter().map(|tier| tier.difference(deny))),
        _ => Permission::new([]),
    }
}

/// The regions in any of `places`; `None` if the fleet does not know one of them.
fn regions<'p>(places: impl IntoIterator<Item = &'p At<Place>>, fleet: &FleetDocument) -> Option<RegionSet> {
    let mut sets = places.into_iter().map(|place| fleet.regions_in(&place.value));
    sets.try_fold(RegionSet::EMPTY, |all, set| Some(all.union(set?)))
}

/// The countries in any of `places`; `None` if the fleet does not know one of them.
fn countries(places: &[At<Place>], fleet: &FleetDocument) -> Option<CountrySet> {
    let sets = places.iter().map(|place| fleet.countries_in(&place.value));
    sets.collect::<Option<Vec<_>>>().map(|sets| sets.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
