//! A decision that is not carried out: what this node, or another, would do with a request.

use std::net::IpAddr;

use axum::extract::Query;
use graticule_gossip_core::{NodeName, RegionName};
use graticule_node_api::{Candidate, Problem, Why, WhyQuery};
use graticule_node_core::decide::{ClientCountry, Decided, Decision, explain};
use graticule_node_core::framing::{ADMIN_PATH_BYTES_MAX, AdminCall};
use graticule_node_core::policy::TenantId;
use graticule_node_core::{RegionIndex, Snapshot, path as paths};

use super::{AdminState, problem, remote};

/// Answers here, or asks the edge that is named.
pub(super) async fn answer(
    state: &AdminState,
    query: WhyQuery,
    (raw, token): (&str, Option<&str>),
) -> Result<Why, Problem> {
    match &query.edge {
        Some(edge) if *edge != state.node => ask(state, edge.clone(), (raw, token)).await,
        _ => here(state, &query),
    }
}

/// Answers a call that came from another node; never asks a third.
pub(super) fn answer_remote(state: &AdminState, path: &str) -> (u16, Vec<u8>) {
    let answered = path
        .parse::<http::Uri>()
        .ok()
        .filter(|uri| uri.path() == PATH)
        .and_then(|uri| Query::<WhyQuery>::try_from_uri(&uri).ok())
        .map_or_else(|| Err(bad_query("not a call that nodes pass on")), |Query(query)| here(state, &query));
    match answered {
        Ok(why) => (200, serde_json::to_vec(&why).unwrap_or_default()),
        Err(problem) => (problem.status, serde_json::to_vec(&problem).unwrap_or_default()),
    }
}

/// A query that cannot be understood.
pub(super) fn bad_query(what: &str) -> Problem {
    let detail = format!("{what}; expected tenant=ID and, if wanted, ip=ADDRESS, edge=NODE, path=/PATH");
    problem(400, "bad-query", "Bad query", detail)
}

async fn ask(state: &AdminState, edge: NodeName, (raw, token): (&str, Option<&str>)) -> Result<Why, Problem> {
    let unreachable = |detail: String| problem(502, "edge-unreachable", "The edge cannot be asked", detail);
    let call = AdminCall { path: format!("{PATH}?{raw}"), token: token.map(str::to_owned) };
    let bytes = call.path.len() + token.map_or(0, |token| token.len() + 1);
    if bytes > ADMIN_PATH_BYTES_MAX {
        return Err(bad_query(&format!(
            "the query is too long to be passed on to `{edge}`: {bytes} bytes with the token, of {ADMIN_PATH_BYTES_MAX}; \
             shorten `path`, or ask that node itself"
        )));
    }
    let answered = remote::ask(state, &edge, call).await.map_err(unreachable)?;
    if answered.status == 200 {
        return serde_json::from_slice(&answered.body).map_err(|error| unreachable(error.to_string()));
    }
    Err(serde_json::from_slice(&answered.body)
        .unwrap_or_else(|_| unreachable(format!("`{edge}` answered with status {}", answered.status))))
}

fn here(state: &AdminState, query: &WhyQuery) -> Result<Why, Problem> {
    let snapshot = state.shared.snapshot();
    let unknown = |detail: String| problem(404, "unknown-tenant", "Unknown tenant", detail);
    let id = query.tenant.parse::<TenantId>().map_err(|error| unknown(error.to_string()))?;
    let tenant =
        snapshot.policy.tenant_by_id(&id).ok_or_else(|| unknown(format!("no document has id `{id}`")))?;
    let path = query.path.clone().unwrap_or_else(|| "/".to_owned());
    let matched = paths::form(path.split('?').next().unwrap_or_default()).map_err(|_| {
        bad_query("a path begins with `/`, and one with dot segments or malformed escapes is refused")
    })?;
    let client: Option<IpAddr> = query.ip;
    let query_of = |path: &str| path.split_once('?').map_or(String::new(), |(_, query)| query.to_owned());
    let decided = explain(&snapshot, tenant, (&matched, &query_of(&path)), client);
    Ok(describe((&snapshot, &state.region), &decided, id.as_str(), path))
}

fn describe((snapshot, own): (&Snapshot, &RegionName), decided: &Decided, tenant: &str, path: String) -> Why {
    let fleet = &snapshot.policy.fleet;
    let name = |region: RegionIndex| fleet.region(region).map_or(own, |region| &region.name).clone();
    let here = name(snapshot.here.region);
    let (region, reason) = match decided.decision {
        Decision::Local { .. } => (Some(here.clone()), None),
        Decision::Relay { region, .. } => (Some(name(region)), None),
        // Asked for as if it came through TLS.
        Decision::Redirect { .. } => (None, None),
        Decision::Refuse(reason) => (None, Some(reason.row())),
    };
    let candidate = |candidate: &graticule_node_core::decide::Candidate| Candidate {
        region: name(candidate.region),
        tier: candidate.tier,
        cost_ms: super::answers::cost_ms(candidate.cost),
        verdict: candidate.verdict.label().to_owned(),
    };
    Why {
        edge: snapshot.here.node.clone(),
        edge_region: here,
        tenant: tenant.to_owned(),
        path,
        client_country: match decided.rationale.client {
            ClientCountry::NotAsked => "not-asked".to_owned(),
            ClientCountry::Unknown => "unknown".to_owned(),
            ClientCountry::Known(country) => country.to_string(),
        },
        decision: decided.decision.label().to_owned(),
        region,
        reason: reason.map(|row| row.label.to_owned()),
        status: reason.map(|row| row.status),
        record_here: decided.rationale.record_here,
        candidates: decided.rationale.candidates.iter().map(candidate).collect(),
    }
}

const PATH: &str = "/v1/why";
