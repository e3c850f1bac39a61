//! Whether tenants can live side by side: each id once, no claim twice, no host shared where it must not be.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Diagnostic;
use super::canonical::Canonical;
use super::fleet::FleetDocument;
use super::page::{At, Page, Spot};
use super::tenant::TenantDocument;
use crate::policy::{
    Claim, ClaimConflict, Claims, Digest, HostPattern, Policy, Tenant, TenantId, TenantIndex,
};

/// A tenant as far as others are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant<'d> {
    /// The file that says so.
    pub(super) file: &'d str,
    /// Who.
    pub(super) id: &'d At<TenantId>,
    /// What it claims.
    pub(super) claims: &'d [At<Claim>],
    /// Where it says that it shares no host, if it does.
    pub(super) receives_alone: Option<Spot>,
}

/// Two tenants that cannot live side by side, by their position among those that were compared.
#[derive(Debug)]
pub(super) struct Conflict {
    /// One.
    pub(super) first: usize,
    /// The other; the same, if a document is in conflict with itself.
    pub(super) second: usize,
    /// What to tell the second's author.
    pub(super) diagnostic: Diagnostic,
}

/// Every conflict between `tenants`, which must be in the order of their ids.
pub(super) fn conflicts(tenants: &[Claimant<'_>]) -> Vec<Conflict> {
    let mut conflicts = same_ids(tenants);
    // What two documents of one tenant claim is no news after that.
    let claims =
        tenants.iter().enumerate().map(|(at, tenant)| (TenantIndex(at as u32), plain(tenant.claims)));
    if let Err(found) = Claims::build(claims) {
        let of_two = |conflict: &ClaimConflict| {
            let (first, second) = (conflict.first.0 as usize, conflict.second.0 as usize);
            first == second || tenants[first].id.value != tenants[second].id.value
        };
        conflicts.extend(found.iter().filter(|found| of_two(found)).map(|found| same_claim(tenants, found)));
    }
    conflicts.extend(shared_hosts(tenants));
    conflicts
}

fn same_ids(tenants: &[Claimant<'_>]) -> Vec<Conflict> {
    let pairs = tenants.windows(2).enumerate().filter(|(_, pair)| pair[0].id.value == pair[1].id.value);
    let conflict = |(at, pair): (usize, &[Claimant<'_>])| {
        let message = format!("a second document for the tenant `{}`", pair[1].id.value);
        let help = format!("the first is {}:{}", pair[0].file, pair[0].id.spot);
        Conflict { first: at, second: at + 1, diagnostic: pair[1].error(pair[1].id.spot, message, help) }
    };
    pairs.map(conflict).collect()
}

fn same_claim(tenants: &[Claimant<'_>], found: &ClaimConflict) -> Conflict {
    let (first, second) = (found.first.0 as usize, found.second.0 as usize);
    let spot = |tenant: usize, claim: usize| tenants[tenant].claims[claim].spot;
    let (owner, claimant) = (&tenants[first], &tenants[second]);
    let (there, here) = (spot(first, found.first_claim), spot(second, found.second_claim));
    let same = owner.claims[found.first_claim].value == claimant.claims[found.second_claim].value;
    let by = if same { "" } else { " by another header" };
    let (message, help) = if first == second {
        let message = format!("{} is claimed already{by}", found.claim);
        (message, format!("the first claim is {}:{there}", owner.file))
    } else {
        let message = format!(
            "tenant `{}` claims {}, which tenant `{}` claims already{by}",
            claimant.id.value, found.claim, owner.id.value
        );
        let remedy = if same {
            "give one of them another host, path_prefix or header value"
        } else {
            "use one header name for all tenants of this host and path"
        };
        (message, format!("the first claim is {}:{there}; {remedy}", owner.file))
    };
    Conflict { first, second, diagnostic: claimant.error(here, message, help) }
}

/// A host claimed by one tenant, its labels turned round so that names under one suffix stand together.
type Hosts<'d> = BTreeMap<String, Vec<(usize, &'d At<Claim>)>>;

/// Tenants that must not share a host, and do.
fn shared_hosts(tenants: &[Claimant<'_>]) -> Vec<Conflict> {
    let mut hosts = Hosts::new();
    for (at, tenant) in tenants.iter().enumerate() {
        for claim in tenant.claims {
            if let Some(host) = &claim.value.host {
                hosts.entry(turned(host)).or_default().push((at, claim));
            }
        }
    }
    let alone = tenants.iter().enumerate().filter_map(|(at, tenant)| Some((at, tenant.receives_alone?)));
    alone.filter_map(|(at, spot)| shared_host(tenants, &hosts, at, spot)).collect()
}

/// The first thing that keeps tenant `at` from receiving alone.
fn shared_host(tenants: &[Claimant<'_>], hosts: &Hosts<'_>, at: usize, spot: Spot) -> Option<Conflict> {
    let tenant = &tenants[at];
    let conflict = |second: usize, message: String, help: String| Conflict {
        first: second,
        second: at,
        diagnostic: tenant.error(spot, message, help),
    };
    for claim in tenant.claims {
        let Some(host) = &claim.value.host else {
            let message = "`receive = \"allowed\"` for a tenant that is not known by host".to_owned();
            return Some(conflict(at, message, format!("add `host` to the match at {}", claim.spot)));
        };
        if let Some((other, theirs)) = overlapping(hosts, host, at) {
            let message = format!(
                "`receive = \"allowed\"`, but tenant `{}` shares the host `{host}` of tenant `{}`",
                tenants[other].id.value, tenant.id.value
            );
            let help = format!("see {}:{}: give it a host of its own", tenants[other].file, theirs.spot);
            return Some(conflict(other, message, help));
        }
    }
    None
}

/// A claim of a tenant other than `at` for a host that `host` matches too.
fn overlapping<'d>(hosts: &Hosts<'d>, host: &HostPattern, at: usize) -> Option<(usize, &'d At<Claim>)> {
    let other =
        |claims: &Vec<(usize, &'d At<Claim>)>| claims.iter().find(|(tenant, _)| *tenant != at).copied();
    let name = turned(host);
    let same = hosts.get(&name).and_then(other);
    let under = || {
        let HostPattern::Wildcard(_) = host else { return None };
        hosts
            .range(name.clone()..)
            .take_while(|(key, _)| key.starts_with(&name))
            .find_map(|(_, claims)| other(claims))
    };
    let above = || {
        let ends = name.match_indices('.').map(|(dot, _)| dot + 1);
        ends.filter(|end| *end < name.len()).find_map(|end| hosts.get(&name[..end]).and_then(other))
    };
    same.or_else(under).or_else(above)
}

/// `shop.example` as `example.shop`, and `*.shop.example` as `example.shop.`, which all names under it begin with.
fn turned(host: &HostPattern) -> String {
    let labels: Vec<&str> = host.name().rsplit('.').collect();
    let wildcard = matches!(host, HostPattern::Wildcard(_));
    format!("{}{}", labels.join("."), if wildcard { "." } else { "" })
}

impl Claimant<'_> {
    fn error(&self, spot: Spot, message: String, help: String) -> Diagnostic {
        let page = Page::new(self.file);
        page.error_with(spot, message, help);
        page.into_diagnostics().remove(0)
    }
}

fn plain(claims: &[At<Claim>]) -> Vec<Claim> {
    claims.iter().map(|claim| claim.value.clone()).collect()
}

/// The policy of `tenants`, which must be in the order of their ids; `None` if they cannot live side by side.
pub(super) fn assemble(
    fleet: &FleetDocument,
    tenants: Vec<(&TenantDocument, Arc<Tenant>)>,
) -> Option<Policy> {
    let digest = digest(fleet, tenants.iter().map(|(document, _)| *document));
    let claims = tenants.iter().enumerate();
    let claims = claims.map(|(at, (document, _))| (TenantIndex(at as u32), plain(&document.claims)));
    Some(Policy {
        fleet: fleet.fleet().clone(),
        claims: Claims::build(claims).ok()?,
        tenants: tenants.into_iter().map(|(_, tenant)| tenant).collect(),
        digest,
    })
}

/// Identifies all documents together.
fn digest<'d>(fleet: &FleetDocument, tenants: impl Iterator<Item = &'d TenantDocument>) -> Digest {
    let tenant = |document: &TenantDocument| {
        Canonical::default().text(document.id().as_str()).bytes(&document.digest().0)
    };
    Canonical::of("policy/1").bytes(&fleet.digest().0).list(tenants.map(tenant)).digest()
}

#[cfg(test)]
mod tests;
