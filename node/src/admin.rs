//! The admin server: what the node knows, as JSON, for operators and other nodes.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::routing::{MethodRouter, get, post};
use graticule_gossip_core::{NodeName, RegionName, View};
use graticule_node_api::{Problem, Route};
use graticule_node_core::framing::{AdminAnswer, AdminCall};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, oneshot, watch};

use crate::shared::{Departure, Shared, TunnelStatus};
use crate::task;
use crate::world::{Clock, Listener, Stream, Taking};

mod access;
mod answers;
mod drain;
mod events;
mod handlers;
mod metrics_page;
mod places;
mod remote;
mod why;

pub use access::Access;
pub use events::Subscribers;
pub use metrics_page::MetricsPage;
use places::{Answer, Place, Places, Taken};

/// What the admin server shows; cheap to clone.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// Snapshot, load and drain.
    pub shared: Arc<Shared>,
    /// Where the node is told to leave.
    pub departure: Arc<Departure>,
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
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where clients come in.
    pub http: SocketAddr,
    /// Where those come in that want TLS.
    pub https: Option<SocketAddr>,
    /// Writes the page for Prometheus.
    pub metrics: MetricsPage,
    /// Whom it answers.
    pub access: Arc<Access>,
    /// Those who listen to events.
    pub subscribers: Arc<Subscribers>,
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
    serve(listener, state, LIMITS).await;
}

/// What those who ask may take of the node.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections open at once. For a further one, the one goes that has waited longest without asking anything; if all
    /// are answered, it waits.
    connections_max: usize,
    /// Of them from one address. For a further one, one of its own goes; if all are answered, it is closed.
    per_address_max: usize,
    /// From the beginning of a connection, or its last answer, to the end of the next request's head.
    head_timeout: Duration,
    /// How long somebody may take nothing of an answer.
    take_timeout: Duration,
}

async fn serve(listener: Box<dyn Listener>, state: AdminState, limits: Limits) {
    let places = Places::new(limits.connections_max, limits.per_address_max);
    let service = TowerToHyperService::new(router(state));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
    loop {
        let (stream, peer) = accept(&*listener).await;
        let place = match places.take(peer.ip().to_canonical()).await {
            Taken::Free(place) => place,
            Taken::Instead(place) => {
                // Whoever asks at once is heard before others have taken every place after this one.
                tokio::time::sleep(DISMISSAL_PAUSE).await;
                place
            }
            Taken::Refused => continue,
        };
        let stream = TokioIo::new(Taking::new(stream, limits.take_timeout));
        task::spawn_detached("admin connection", converse(server.clone(), stream, service.clone(), place));
    }
}

/// Answers on one connection until it ends, or has to make room for another one.
async fn converse(
    server: http1::Builder,
    stream: TokioIo<Taking>,
    service: TowerToHyperService<Router>,
    place: Place,
) {
    let place = Rc::new(place);
    let answering = Rc::clone(&place);
    let counted = service_fn(move |request| {
        let (answering, answer) = (answering.answering(), service.call(request));
        async move { answer.await.map(|answer| answer.map(|body| Answer::new(body, answering))) }
    });
    let connection = server.serve_connection(stream, counted);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "an admin connection ended");
        },
        () = place.gone() => tracing::debug!("an admin connection that asked nothing made room for another one"),
    }
}

async fn accept(listener: &dyn Listener) -> (Stream, SocketAddr) {
    loop {
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok(arrival) => return (arrival.stream, arrival.peer),
            Err(error) => {
                tracing::warn!(%error, "the admin server cannot accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers a call that another node has passed on: about this node only.
pub fn answer_remote(state: &AdminState, call: &AdminCall) -> AdminAnswer {
    remote::answer(state, call)
}

fn router(state: AdminState) -> Router {
    let add = |router: Router<AdminState>, route: Route| router.route(route.path(), handler(route));
    let router = Route::ALL.into_iter().fold(Router::new(), add);
    let guard = axum::middleware::from_fn_with_state(state.clone(), access::guard);
    router.fallback(handlers::unknown).layer(guard).with_state(state)
}

/// Who answers.
fn handler(route: Route) -> MethodRouter<AdminState> {
    match route {
        Route::Health => get(handlers::health),
        Route::Ready => get(handlers::ready),
        Route::Nodes => get(handlers::nodes),
        Route::Regions => get(handlers::regions),
        Route::Tenants => get(handlers::tenants),
        Route::Pools => get(handlers::pools),
        Route::Tunnels => get(handlers::tunnels),
        Route::Reloads => get(handlers::reloads),
        Route::Why => get(handlers::why),
        Route::Events => get(handlers::events),
        Route::Drain | Route::Undrain => post(handlers::drain),
        Route::Metrics => get(handlers::metrics),
        Route::OpenApi => get(handlers::openapi),
    }
}

/// What is wrong with a query, in words about the query.
fn unreadable(query: &QueryRejection) -> String {
    query.source().map_or_else(|| "the query cannot be read".to_owned(), ToString::to_string)
}

fn problem(status: u16, kind: &str, title: &str, detail: String) -> Problem {
    Problem { r#type: format!("urn:graticule:admin:{kind}"), title: title.to_owned(), status, detail }
}

const LIMITS: Limits = Limits {
    connections_max: 64,
    per_address_max: 32,
    head_timeout: Duration::from_secs(10),
    take_timeout: Duration::from_secs(10),
};
/// After a connection had to go: so long times the places of an address is what each has to ask something.
const DISMISSAL_PAUSE: Duration = Duration::from_millis(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
