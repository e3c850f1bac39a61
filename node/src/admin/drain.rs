//! Leaving and staying: told to this node, to another, or to all of a region.

use axum::extract::Query;
use axum::http::Uri;
use graticule_gossip_core::NodeName;
use graticule_node_api::{DrainQuery, Drained, Problem};
use graticule_node_core::framing::AdminCall;
use graticule_node_core::leaving::LeavingInput;

use super::{AdminState, remote};

/// What a call of this path tells a node.
pub(super) fn input(path: &str) -> Option<LeavingInput> {
    match path {
        DRAIN => Some(LeavingInput::Drain),
        UNDRAIN => Some(LeavingInput::Undrain),
        _ => None,
    }
}

/// Tells everybody who is meant, one after the other, so that the answer is in the order of their names.
pub(super) async fn answer(
    state: &AdminState,
    uri: &Uri,
    token: Option<&str>,
) -> Result<Vec<Drained>, Problem> {
    let input = input(uri.path()).ok_or_else(|| bad_query("no such call"))?;
    let query = Query::<DrainQuery>::try_from_uri(uri);
    let Query(query) = query.map_err(|rejection| bad_query(&super::unreadable(&rejection)))?;
    let mut told = Vec::new();
    for node in meant(state, query)? {
        told.push(if node == state.node {
            here(state, input)
        } else {
            there(state, node, (uri.path(), token)).await
        });
    }
    Ok(told)
}

/// This node's own answer, also to a call that another node has passed on.
pub(super) fn here(state: &AdminState, input: LeavingInput) -> Drained {
    let error = state.departure.tell(input).err().map(|error| error.to_string());
    Drained { node: state.node.clone(), stage: Some(state.departure.stage().label().to_owned()), error }
}

async fn there(state: &AdminState, node: NodeName, (path, token): (&str, Option<&str>)) -> Drained {
    let call = AdminCall { path: path.to_owned(), token: token.map(str::to_owned) };
    let reply = remote::ask(state, &node, call).await;
    let drained = reply.and_then(|answer| match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|error| error.to_string()),
        status => Err(serde_json::from_slice::<Problem>(&answer.body).map_or_else(
            |_| format!("`{node}` answered with status {status}"),
            |problem| format!("`{node}`: {}", problem.detail),
        )),
    });
    drained.unwrap_or_else(|error| Drained { node, stage: None, error: Some(error) })
}

/// The nodes that are meant; of a region, those that gossip holds for alive.
fn meant(state: &AdminState, query: DrainQuery) -> Result<Vec<NodeName>, Problem> {
    let region = match (query.node, query.region) {
        (None, None) => return Ok(vec![state.node.clone()]),
        (Some(node), None) => return known(state, node).map(|node| vec![node]),
        (None, Some(region)) => region,
        (Some(_), Some(_)) => return Err(bad_query("`node` and `region` are both given")),
    };
    let view = state.view.borrow();
    let members = view.members.values().filter(|member| member.alive && member.announcement.region == region);
    let nodes: Vec<_> = members.map(|member| member.announcement.node.clone()).collect();
    if nodes.is_empty() {
        let detail = format!(
            "this node knows no live node of region `{region}`; `graticule status` shows those it knows"
        );
        return Err(super::problem(404, "unknown-region", "Unknown region", detail));
    }
    Ok(nodes)
}

/// A node that gossip knows, alive or not.
fn known(state: &AdminState, node: NodeName) -> Result<NodeName, Problem> {
    if node == state.node || state.view.borrow().member(&node).is_some() {
        return Ok(node);
    }
    let detail = format!("this node knows no node `{node}`; `graticule status` shows those it knows");
    Err(super::problem(404, "unknown-node", "Unknown node", detail))
}

fn bad_query(what: &str) -> Problem {
    let detail =
        format!("{what}; expected node=NODE, or region=REGION, or nothing for the node that answers");
    super::problem(400, "bad-query", "Bad query", detail)
}

const DRAIN: &str = "/v1/drain";
const UNDRAIN: &str = "/v1/undrain";

#[cfg(test)]
mod tests;
