//! What the node knows, in the admin API's words.

use std::collections::BTreeSet;

use graticule_node_api as api;
use graticule_node_core::mesh::{self, Cost, PeerId};
use graticule_node_core::policy::{Pool, PoolIndex, Receive, Tenant, TenantId, TenantIndex};
use graticule_node_core::pool::{Condition, Fault, Member, PoolState};
use graticule_node_core::{Moment, Snapshot};

use super::AdminState;
use crate::shared::Reloadable;

pub(super) fn health(state: &AdminState) -> api::Health {
    api::Health {
        node: state.node.clone(),
        region: state.region.clone(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(super) fn ready(state: &AdminState) -> api::Ready {
    let mut reasons = Vec::new();
    if state.shared.drain.is_draining() {
        reasons.push("draining".to_owned());
    }
    if *state.shared.joining.borrow() {
        reasons.push("joining".to_owned());
    }
    api::Ready { ready: reasons.is_empty(), reasons }
}

pub(super) fn nodes(state: &AdminState) -> Vec<api::Node> {
    let view = state.view.borrow().clone();
    let node = |member: &graticule_gossip_core::Member| {
        let said = &member.announcement;
        api::Node {
            name: said.node.clone(),
            region: said.region.clone(),
            state: member.state().label().to_owned(),
            alive: member.alive,
            this: said.node == state.node,
            draining: said.draining,
            generation: said.generation.0,
            http: (said.node == state.node).then_some(state.http),
            https: state.https.filter(|_| said.node == state.node),
            mesh: said.mesh.base,
            workers: said.mesh.workers,
            software: said.software.clone(),
            fleet_version: said.fleet_version,
            policy_digest: said.policy_digest.clone(),
        }
    };
    view.members.values().map(node).collect()
}

pub(super) fn regions(state: &AdminState) -> Vec<api::Region> {
    let snapshot = state.shared.snapshot();
    let Some(here) = snapshot.policy.fleet.region(snapshot.here.region) else { return Vec::new() };
    let known = snapshot.policy.fleet.regions.iter().zip(&snapshot.mesh.regions).enumerate();
    known
        .map(|(at, (region, seen))| api::Region {
            name: region.name.clone(),
            country: region.country.to_string(),
            labels: region.labels.iter().map(|label| label.as_str().to_owned()).collect(),
            latitude: region.coordinates.latitude(),
            longitude: region.coordinates.longitude(),
            distance_km: here.coordinates.distance(region.coordinates).0,
            cost_ms: cost_ms(seen.cost),
            load: seen.load,
            this: at == snapshot.here.region.position(),
            peers_usable: seen.peers.iter().filter(|peer| peer.condition == mesh::Condition::Usable).count(),
            peers: seen.peers.len(),
        })
        .collect()
}

pub(super) fn reloads(state: &AdminState) -> Vec<api::Reload> {
    let (now, mut refused) = (state.clock.now(), state.shared.reloads.refused());
    let ids = |ids: Vec<TenantId>| ids.iter().map(ToString::to_string).collect();
    let reload = |what: Reloadable| {
        let (since, refusal) = refused.remove(&what).unzip();
        let refusal = refusal.unwrap_or_default();
        api::Reload {
            what: what.label().to_owned(),
            successful: since.is_none(),
            refused_for_ms: since.map(|since| now.since(since).as_millis() as u64),
            errors: refusal.errors,
            kept: ids(refusal.kept),
            absent: ids(refusal.absent),
        }
    };
    Reloadable::ALL.map(reload).into()
}

pub(super) fn tenants(state: &AdminState) -> Vec<api::Tenant> {
    let (snapshot, refused) = (state.shared.snapshot(), state.shared.reloads.refused());
    let kept = refused.get(&Reloadable::Documents).map_or(&[][..], |(_, refusal)| &refusal.kept);
    let kept: BTreeSet<_> = kept.iter().collect();
    let fleet = &snapshot.policy.fleet;
    let names = |regions: graticule_node_core::RegionSet| {
        regions.iter().filter_map(|region| Some(fleet.region(region)?.name.clone())).collect::<Vec<_>>()
    };
    let tenant = |tenant: &std::sync::Arc<graticule_node_core::policy::Tenant>| api::Tenant {
        id: tenant.id.to_string(),
        version: tenant.version.0,
        kept: kept.contains(&tenant.id),
        claims: tenant.claims.iter().map(ToString::to_string).collect(),
        tiers: tenant.residency.permission.tiers.iter().map(|tier| names(*tier)).collect(),
        receive: match tenant.residency.receive {
            Receive::Any => "any".to_owned(),
            Receive::Allowed => "allowed".to_owned(),
        },
        pools: names(tenant.pool_regions),
    };
    snapshot.policy.tenants.iter().map(tenant).collect()
}

pub(super) fn pools(snapshot: &Snapshot, now: Moment) -> Vec<api::Pool> {
    let tenants = snapshot.policy.tenants.iter().enumerate();
    let pools = tenants.flat_map(|(at, tenant)| {
        tenant.pool_indexes().filter_map(move |index| {
            let document = tenant.pool_at(snapshot.here.region, index)?;
            let state = snapshot.pools.pool(TenantIndex(at as u32), index)?;
            Some(pool(tenant, index, (document, state), now))
        })
    });
    pools.collect()
}

fn pool(tenant: &Tenant, index: PoolIndex, (document, state): (&Pool, &PoolState), now: Moment) -> api::Pool {
    let backend = |(at, member): (usize, &Member)| api::PoolBackend {
        address: member.address,
        weight: member.weight,
        healthy: state.is_usable(at),
        condition: match member.condition {
            Condition::Usable => "usable",
            Condition::Failed => "failed",
            Condition::Unchecked => "unchecked",
            Condition::Ejected(_) => "ejected",
        }
        .to_owned(),
        ejected_for_ms: match member.condition {
            Condition::Ejected(until) => Some(until.since(now).as_millis() as u64),
            Condition::Usable | Condition::Failed | Condition::Unchecked => None,
        },
        failures: member.streak.failures(),
        last_failure: Fault::from_number(member.streak.last()).map(|fault| fault.to_string()),
    };
    api::Pool {
        tenant: tenant.id.to_string(),
        name: tenant.pool_name(index).map(ToString::to_string),
        panic: state.is_panic(),
        requests: state.counts().requests.under_way(),
        requests_max: document.limits.requests_max,
        connecting: state.counts().connecting.under_way(),
        connecting_max: document.limits.connecting_max,
        backends: state.members().iter().enumerate().map(backend).collect(),
    }
}

pub(super) fn tunnels(state: &AdminState) -> Vec<api::Tunnel> {
    let snapshot = state.shared.snapshot();
    let known = state.tunnels.borrow().clone();
    known
        .iter()
        .map(|tunnel| api::Tunnel {
            node: tunnel.node.clone(),
            region: tunnel.region.clone(),
            address: tunnel.address,
            condition: condition(&snapshot, tunnel.id).to_owned(),
            reason: tunnel.reason.clone(),
            rtt_ms: tunnel.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
            load: tunnel.load,
        })
        .collect()
}

/// A routing cost in milliseconds.
pub(super) fn cost_ms(cost: Cost) -> f64 {
    f64::from(cost.0) / 1_000.0
}

fn condition(snapshot: &Snapshot, peer: PeerId) -> &'static str {
    let peers = snapshot.mesh.regions.iter().flat_map(|region| &region.peers);
    let found = peers.into_iter().find(|known| known.id == peer).map(|known| known.condition);
    match found {
        Some(mesh::Condition::Usable) => "usable",
        Some(mesh::Condition::Suspect) => "suspect",
        Some(mesh::Condition::Draining) => "draining",
        Some(mesh::Condition::Unreachable) | None => "unreachable",
    }
}
