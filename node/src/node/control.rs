//! The control runtime's tasks: mesh, gossip, health, admin and reloads.

use std::rc::Rc;
use std::sync::Arc;

use graticule_gossip::{Carrier, Codec, Gossip, GossipConfig, Inbound, Outbound, Timing};
use graticule_gossip_core::{Generation, MeshAddress};
use graticule_node_core::config::NodeConfig;
use graticule_node_core::document;
use graticule_node_core::mesh::PeerId;
use graticule_node_core::policy::TenantId;
use quinn::Endpoint;
use tokio::sync::{mpsc, watch};

use super::announce::{self, announcement};
use super::{StartError, reload, start};
use crate::admin::{self, AdminState, RemoteCall};
use crate::documents::Documents;
use crate::identity::Identity;
use crate::mesh::{self, AdminHandler, Mesh, MeshParts, MeshSettings, Seed, Tracking};
use crate::pool::checks::{self, CheckedPolicy};
use crate::shared::Shared;
use crate::task::{self, Task};
use crate::world::{Listener, World};

/// What the control side is made of.
pub(super) struct ControlSetup {
    pub(super) world: World,
    pub(super) config: Rc<NodeConfig>,
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Identity,
    pub(super) documents: (Documents, document::Documents),
    pub(super) endpoint: Endpoint,
    pub(super) admin: Box<dyn Listener>,
    pub(super) generation: Generation,
    pub(super) codec: Box<dyn Codec>,
    pub(super) refusals: mpsc::Receiver<(PeerId, TenantId)>,
}

/// Starts everything that the control runtime does.
pub(super) async fn start(setup: ControlSetup) -> Result<Vec<Task>, StartError> {
    let ControlSetup { world, config, shared, identity, documents, endpoint, admin, .. } = setup;
    let own = identity.own();
    let workers = start::workers(&config);
    let snapshot = shared.snapshot();
    let report = announce::report(&snapshot, false);
    let tracking = Tracking::new(world.clone(), &own.region, &snapshot.policy.fleet, report);
    let tracking = Rc::new(tracking);

    let seeds: Vec<_> =
        (1..).zip(&config.mesh.seeds).map(|(at, seed)| Seed::new(at, seed.to_string())).collect();
    let (outbound, gossip_out) = mpsc::channel::<Outbound>(GOSSIP_QUEUE_MAX);
    let (gossip_in, inbound) = mpsc::channel::<Inbound>(GOSSIP_QUEUE_MAX);
    let advertised = MeshAddress { base: config.mesh.advertise, workers: workers as u16 };
    let said = announcement(&snapshot, &own, (setup.generation, advertised), false);
    let (again, data) = (world.clone(), config.data.clone());
    let gossip = GossipConfig {
        mesh: own.mesh.clone(),
        announcement: said.clone(),
        seeds: seeds.iter().map(|seed| seed.alias).collect(),
        timing: Timing::for_fleet(FLEET_NODES_EXPECTED),
        next_generation: Box::new(move || next_generation(&again, &data, setup.generation)),
    };
    let gossip = Gossip::start(gossip, setup.codec, Carrier { outbound, inbound }).await;
    let gossip = gossip.map_err(StartError::Gossip)?;
    let view = gossip.view();

    let (remote, remote_calls) = mpsc::channel(REMOTE_CALLS_MAX);
    let state = AdminState {
        shared: Arc::clone(&shared),
        view: view.clone(),
        tunnels: tracking.tunnels(),
        remote,
        node: own.node.clone(),
        region: own.region.clone(),
    };
    let answering = state.clone();
    let parts = MeshParts {
        world: world.clone(),
        shared: Arc::clone(&shared),
        identity: identity.clone(),
        endpoint,
        tracking: Rc::clone(&tracking),
        view,
        gossip_in,
        admin: AdminHandler::new(move |call| admin::answer_remote(&answering, &call)),
    };
    let settings = MeshSettings {
        seeds,
        dial: config.mesh.dial.clone(),
        tunnels_per_region_max: config.mesh.tunnels_per_region_max as usize,
    };
    let mesh = Mesh::new(parts, settings);

    let (policies, policy) = watch::channel(Arc::clone(&snapshot.policy));
    let unchecked =
        CheckedPolicy { policy: Arc::clone(&snapshot.policy), pools: Arc::clone(&snapshot.pools) };
    let (checked, states) = watch::channel(unchecked);
    let cores = workers as f64;
    let in_flight_max = config.requests_in_flight_max;
    let (documents, loaded) = documents;
    let watching =
        reload::Watched { world: world.clone(), identity, documents, loaded, geo: config.geo.clone() };
    Ok(vec![
        task::spawn("mesh", Rc::clone(&mesh).run()),
        task::spawn("tracker", mesh::track(Rc::clone(&tracking), Arc::clone(&shared), setup.refusals)),
        task::spawn("gossip carrier", mesh::carry(Rc::clone(&mesh), gossip_out)),
        task::spawn(
            "load",
            mesh::measure(world.clone(), Arc::clone(&shared), Rc::clone(&tracking), cores, in_flight_max),
        ),
        task::spawn("health checks", checks::run(world, own.region.clone(), policy, checked)),
        task::spawn(
            "activation",
            reload::activate(Arc::clone(&shared), Rc::clone(&tracking), own.region.clone(), states),
        ),
        task::spawn("announcements", announce::run(Arc::clone(&shared), gossip, said, tracking)),
        task::spawn("remote admin calls", pass_on_calls(mesh, remote_calls)),
        task::spawn("reloads", reload::watch(watching, Arc::clone(&shared), policies)),
        task::spawn("admin", admin::run(admin, state)),
    ])
}

/// Should the disk fail now, the next number in memory is still higher than any that was used.
fn next_generation(world: &World, data: &std::path::Path, last: Generation) -> Generation {
    start::next_generation(world, data).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot write the generation");
        Generation(last.0.saturating_add(1))
    })
}

/// Passes admin calls on to the nodes they are for.
async fn pass_on_calls(mesh: Rc<Mesh>, mut calls: mpsc::Receiver<RemoteCall>) {
    while let Some(RemoteCall { node, call, answer }) = calls.recv().await {
        let mesh = Rc::clone(&mesh);
        task::spawn_detached("remote admin call", async move {
            // Whoever asked may have gone away meanwhile.
            let _ = answer.send(mesh.call_admin(&node, call).await);
        });
    }
}

/// Gossip messages that wait in one direction.
const GOSSIP_QUEUE_MAX: usize = 1_024;
/// Admin calls to other nodes that wait.
const REMOTE_CALLS_MAX: usize = 64;
/// Gossip is as frequent as suits a fleet of this size or less.
const FLEET_NODES_EXPECTED: usize = 50;
