//! The admin server: what the node knows, as JSON, for operators and other nodes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use graticule_gossip_core::{NodeName, RegionName, View};
use graticule_node_core::framing::{AdminAnswer, AdminCall};
use tokio::sync::{mpsc, oneshot, watch};

use crate::shared::{Shared, TunnelStatus};
use crate::world::{Listener, Stream};

mod answers;
mod handlers;
mod why;

/// What the admin server shows; cheap to clone.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// Snapshot, load and drain.
    pub shared: Arc<Shared>,
    /// What gossip says.
    pub view: watch::Receiver<Arc<View>>,
    /// The peers that control tunnels are kept to.
    pub tunnels: watch::Receiver<Arc<Vec<TunnelStatus>>>,
    /// Carries calls to other nodes.
    pub remote: mpsc::Sender<RemoteCall>,
    /// Who this is.
    pub node: NodeName,
    /// The region in this node's certificate.
    pub region: RegionName,
}

/// An admin call on its way to another node.
#[derive(Debug)]
pub struct RemoteCall {
    /// Which node is asked.
    pub node: NodeName,
    /// What it is asked.
    pub call: AdminCall,
    /// Where its answer goes.
    pub answer: oneshot::Sender<Result<AdminAnswer, String>>,
}

/// Serves the admin API until the future is dropped.
pub async fn run(listener: Box<dyn Listener>, state: AdminState) {
    if let Err(error) = axum::serve(Accepting(listener), router(state)).await {
        tracing::error!(%error, "the admin server ended");
    }
}

/// Answers a call that another node has passed on: reading calls about this node only.
pub fn answer_remote(state: &AdminState, call: &AdminCall) -> AdminAnswer {
    let (status, body) = why::answer_remote(state, &call.path);
    AdminAnswer { status, body: body.into() }
}

fn router(state: AdminState) -> Router {
    Router::new()
        .route("/v1/health", get(handlers::health))
        .route("/v1/ready", get(handlers::ready))
        .route("/v1/nodes", get(handlers::nodes))
        .route("/v1/regions", get(handlers::regions))
        .route("/v1/tenants", get(handlers::tenants))
        .route("/v1/pools", get(handlers::pools))
        .route("/v1/tunnels", get(handlers::tunnels))
        .route("/v1/why", get(handlers::why))
        .fallback(handlers::unknown)
        .with_state(state)
}

/// A listener of the node's world, as the server takes it.
struct Accepting(Box<dyn Listener>);

impl axum::serve::Listener for Accepting {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            match std::future::poll_fn(|cx| self.0.poll_accept(cx)).await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "the admin server cannot accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_address()
    }
}

const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
