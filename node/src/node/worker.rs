//! One worker: its own listener, its own QUIC endpoint, its own backend connections, on one thread.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::MeshAddress;
use graticule_node_core::mesh::{Backoff, worker_address};
use graticule_node_core::shared::InFlightGauges;
use ipnet::IpNet;
use quinn::Endpoint;
use rand::RngCore;
use rustls::ServerConfig;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::StartError;
use crate::gateway::{Gateway, GatewaySettings, Recorders};
use crate::identity::refusal::Refusal;
use crate::identity::{Expect, Identity, PeerIdentity};
use crate::ingress::{self, Entrance, IngressLimits};
use crate::pool::{Connections, Links};
use crate::relay::{Tunnel, Tunnels, serve_connection};
use crate::shared::{Phase, Shared};
use crate::task::{self, Task};
use crate::tunnel::{self, Backlog, Carries, Dial, Farewell, Parting};
use crate::world::{Listener, World};

/// What a worker is made of; sent to its thread.
#[derive(Debug)]
pub(super) struct WorkerSetup {
    pub(super) world: World,
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Identity,
    pub(super) http: SocketAddr,
    pub(super) https: Option<(SocketAddr, Arc<ServerConfig>)>,
    pub(super) announcing: Arc<[IpNet]>,
    pub(super) mesh: SocketAddr,
    pub(super) limits: IngressLimits,
    pub(super) settings: GatewaySettings,
    pub(super) links: Links,
    pub(super) recorders: Recorders,
}

/// Runs until `phase` says that the node ends, or is gone. Tells through `ready` where it listens.
pub(super) async fn run(
    setup: WorkerSetup,
    ready: oneshot::Sender<Result<ClientAddresses, StartError>>,
    mut phase: watch::Receiver<Phase>,
) {
    let (shared, index) = (Arc::clone(&setup.shared), setup.settings.worker);
    let Started { tasks, parting, address } = match start(setup, &phase) {
        Ok(started) => started,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(address));
    let is_well = || !tasks.iter().any(Task::has_ended);
    let ended = tokio::select! {
        ended = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))) => ended.map(|phase| *phase),
        never = shared.pulse.answer(index, is_well) => match never {},
    };
    let farewell = match ended {
        Ok(Phase::Ended(farewell)) => farewell,
        // An error means that the node is gone, which is as good a reason to stop.
        _ => Farewell::Stopped,
    };
    parting.say(farewell, tasks).await;
}

struct Started {
    tasks: Vec<Task>,
    parting: Parting,
    address: ClientAddresses,
}

/// Where clients come in: HTTP, and HTTPS if there is any.
pub(super) type ClientAddresses = (SocketAddr, Option<SocketAddr>);

fn listen(world: &World, address: SocketAddr) -> Result<(Box<dyn Listener>, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = world.net.listen(address, true).map_err(failed)?;
    let address = listener.local_address().map_err(failed)?;
    Ok((listener, address))
}

fn start(setup: WorkerSetup, phase: &watch::Receiver<Phase>) -> Result<Started, StartError> {
    let WorkerSetup {
        world,
        shared,
        identity,
        http,
        https,
        announcing,
        mesh,
        limits,
        settings,
        links,
        recorders,
    } = setup;
    let index = settings.worker;
    let (plain, http) = listen(&world, http)?;
    let mut entrances = vec![Entrance { listener: plain, announcing: Arc::clone(&announcing), tls: None }];
    let mut address = (http, None);
    if let Some((https, tls)) = https {
        let (secured, https) = listen(&world, https)?;
        entrances.push(Entrance { listener: secured, announcing, tls: Some(tls) });
        address.1 = Some(https);
    }
    let server = (identity.server_config()?, &identity.tunnel_secret());
    let endpoint = tunnel::bind(&world, mesh, server, Carries::Requests)?;
    let backlog = Backlog::new(Arc::clone(&shared.streams_cut));
    let tunnels = Rc::new(Tunnels::new(backlog.clone()));
    let backends = Connections::new(&world, links);
    let gauge = |gauges: &Arc<InFlightGauges>| {
        gauges.worker(index).ok_or_else(|| StartError::Thread(format!("no gauge of worker {index}")))
    };
    let (in_flight, open) = (gauge(&shared.in_flight)?, gauge(&shared.connections)?);
    let gateway = Gateway::new(
        Arc::clone(&shared),
        world.clone(),
        (backends, Rc::clone(&tunnels)),
        settings,
        (in_flight, recorders),
    );
    let gateway = Rc::new(gateway);
    let dialler = Rc::new(Dialler { world, shared, identity, endpoint: endpoint.clone(), index });
    let parting = Parting::new(endpoint.clone());
    let accepting = {
        let (admitting, gateway) = (Rc::clone(&dialler), Rc::clone(&gateway));
        tunnel::accept(
            endpoint,
            move |peer| admit(&admitting.shared, &admitting.world, peer),
            move |connection, _| serve_connection(connection, Rc::clone(&gateway), backlog.clone()),
        )
    };
    let flushing = gateway.is_logging().then(|| task::spawn("access log", flush(Rc::clone(&gateway))));
    let mut tasks = vec![
        task::spawn("ingress", ingress::run(entrances, limits, gateway, (open, phase.clone()))),
        task::spawn("tunnel acceptor", accepting),
        task::spawn("suspicion", refresh(Arc::clone(&dialler.shared), Rc::clone(&tunnels))),
        task::spawn("tunnel targets", retarget(dialler, tunnels)),
    ];
    tasks.extend(flushing);
    Ok(Started { tasks, parting, address })
}

fn admit(shared: &Shared, world: &World, peer: &PeerIdentity) -> Result<(), Refusal> {
    let snapshot = shared.snapshot();
    tunnel::admit(&snapshot.policy.fleet, &snapshot.here.node, peer, world.clock.wall())
}

/// Hands lines of the access log over that have waited for others for long enough.
async fn flush(gateway: Rc<Gateway>) {
    loop {
        tokio::time::sleep(FLUSH_INTERVAL).await;
        gateway.flush();
    }
}

/// Tells the tunnels who is suspect and who is reachable, with every snapshot.
async fn refresh(shared: Arc<Shared>, tunnels: Rc<Tunnels>) {
    let mut published = shared.published();
    while published.changed().await.is_ok() {
        tunnels.refresh(&shared.snapshot());
    }
}

/// Keeps a tunnel to every target.
async fn retarget(dialler: Rc<Dialler>, tunnels: Rc<Tunnels>) {
    let mut targets = dialler.shared.targets();
    loop {
        let wanted = Arc::clone(&targets.borrow_and_update());
        tunnels.retarget(&wanted, |tunnel| task::spawn("tunnel", Rc::clone(&dialler).keep(tunnel)));
        if targets.changed().await.is_err() {
            return;
        }
    }
}

#[derive(Debug)]
struct Dialler {
    world: World,
    shared: Arc<Shared>,
    identity: Identity,
    endpoint: Endpoint,
    index: usize,
}

impl Dialler {
    /// Dials one peer, again and again with growing pauses, for as long as it is wanted.
    async fn keep(self: Rc<Self>, tunnel: Rc<Tunnel>) {
        let mut backoff = Backoff::default();
        let mut chance = self.world.chance.generator();
        loop {
            let admit = |peer: &_| admit(&self.shared, &self.world, peer);
            let dial = || tunnel::dial(&self.endpoint, &self.identity, self.target(&tunnel), admit);
            let expected_rtt = tunnel.target.expected_rtt;
            match tunnel::dial_afresh(dial, || tunnel.reachable_again(), expected_rtt).await {
                Ok((connection, peer)) => {
                    let begun = self.world.clock.now();
                    tunnel.set_connection(Some(connection.clone()));
                    let reason = tunnel::until_closed(&connection, &peer, admit).await;
                    tunnel.set_connection(None);
                    backoff.ended(self.world.clock.now().since(begun));
                    let node = &tunnel.target.node;
                    tracing::debug!(%node, worker = self.index, reason, "a worker's tunnel ended");
                }
                Err(error) => {
                    let node = &tunnel.target.node;
                    tracing::debug!(%node, worker = self.index, %error, "cannot dial a worker");
                }
            }
            let _ = timeout(backoff.next(chance.next_u32()), tunnel.reachable_again()).await;
        }
    }

    fn target(&self, tunnel: &Tunnel) -> Dial {
        let target = &tunnel.target;
        let own = self.shared.snapshot().here.node.clone();
        let mesh = MeshAddress { base: target.base, workers: target.workers };
        let address = worker_address(&own, self.index as u16, mesh).unwrap_or(target.base);
        let expect = Expect::node(target.node.clone(), target.region.clone());
        Dial { address, expect, expected_rtt: target.expected_rtt, carries: Carries::Requests }
    }
}

/// How long a worker may take to bind its sockets.
pub(super) const START_DEADLINE: Duration = Duration::from_secs(10);
/// How long a line of the access log waits for others.
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);
