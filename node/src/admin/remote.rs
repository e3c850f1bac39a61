//! Calls that other nodes answer, and those that this node answers for them.

use graticule_gossip_core::NodeName;
use graticule_node_core::config::AdminRole;
use graticule_node_core::framing::{AdminAnswer, AdminCall};
use tokio::sync::oneshot;

use super::{AdminState, RemoteCall, drain, why};

/// Passes `call` on to `node` and waits for its answer; an error says why there is none.
pub(super) async fn ask(state: &AdminState, node: &NodeName, call: AdminCall) -> Result<AdminAnswer, String> {
    let (answer, answered) = oneshot::channel();
    let sent = state.remote.try_send(RemoteCall { node: node.clone(), call, answer });
    sent.map_err(|_| "too many calls to other nodes are under way; try again".to_owned())?;
    answered.await.map_err(|_| format!("the call to `{node}` was dropped"))?
}

/// Answers a call that came from another node; never asks a third.
pub(super) fn answer(state: &AdminState, call: &AdminCall) -> AdminAnswer {
    let path = call.path.split('?').next().unwrap_or_default();
    let input = drain::input(path);
    let role = if input.is_some() { AdminRole::Operator } else { AdminRole::Viewer };
    // Who passes a call on is a member of the mesh, and no operator for that.
    if let Err(problem) = state.access.check(call.token.as_deref(), role) {
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        return AdminAnswer { status: problem.status, body: body.into() };
    }
    let (status, body) = match input {
        Some(input) => (200, serde_json::to_vec(&drain::here(state, input)).unwrap_or_default()),
        None => why::answer_remote(state, &call.path),
    };
    AdminAnswer { status, body: body.into() }
}
