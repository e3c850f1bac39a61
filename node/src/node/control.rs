//! The control runtime's tasks: mesh, gossip, health, admin and reloads.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use graticule_gossip::{Carrier, Codec, Gossip, GossipConfig, Inbound, Outbound, Timing};
use graticule_gossip_core::{Announcement, Generation, MeshAddress, View};
use graticule_node_core::config::NodeConfig;
use graticule_node_core::document;
use graticule_node_core::mesh::PeerId;
use graticule_node_core::policy::TenantId;
use graticule_node_core::pool::MemberId;
use graticule_node_core::shared::Row;
use quinn::Endpoint;
use tokio::sync::{mpsc, oneshot, watch};

use super::announce::{self, announcement};
use super::reload::Stamps;
use super::{Addresses, StartError, reload, start};
use crate::admin::{self, Access, AdminState, MetricsPage, RemoteCall};
use crate::certificates::Certificates;
use crate::documents::Documents;
use crate::identity::Identity;
use crate::mesh::{self, AdminHandler, Mesh, MeshParts, MeshSettings, Seed, Tracking};
use crate::pool::Trust;
use crate::pool::checks::{self, CheckedPolicy, Checking};
use crate::shared::{Departure, Shared, Span, SpanCounts};
use crate::task::{self, Task};
use crate::telemetry::{self, Export, LogCounts, Metrics, MetricsSources, Resource};
use crate::world::{Listener, World};

/// What the control side is made of.
pub(super) struct ControlSetup {
    pub(super) world: World,
    pub(super) config: Rc<NodeConfig>,
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Identity,
    pub(super) documents: (Documents, document::Documents, Stamps),
    pub(super) certificates: Option<Certificates>,
    pub(super) addresses: Addresses,
    pub(super) endpoint: Endpoint,
    pub(super) admin: Box<dyn Listener>,
    pub(super) generation: Generation,
    /// Taken when gossip starts.
    pub(super) codec: Option<Box<dyn Codec>>,
    pub(super) refusals: mpsc::Receiver<(PeerId, TenantId)>,
    pub(super) departure: Arc<Departure>,
    /// Who wants a look at the files, and to know when it is done.
    pub(super) reloads: mpsc::Receiver<oneshot::Sender<()>>,
    /// Whom backends' certificates are believed by, and those at which requests fail.
    pub(super) backends: (Trust, mpsc::Receiver<(MemberId, Row)>),
    /// How the access log does, if there is one.
    pub(super) access_log: Option<Arc<LogCounts>>,
    /// What workers hand over of traces, if anything, and what became of it.
    pub(super) spans: Option<(Arc<SpanCounts>, mpsc::Receiver<Span>)>,
}

/// The control side as it runs.
pub(super) struct Control {
    pub(super) tasks: Vec<Task>,
    /// What gossip says.
    pub(super) view: watch::Receiver<Arc<View>>,
}

/// Starts everything that the control runtime does.
pub(super) async fn start(mut setup: ControlSetup) -> Result<Control, StartError> {
    let own = setup.identity.own();
    let snapshot = setup.shared.snapshot();
    let report = announce::report(&snapshot, false);
    let tracking = Tracking::new(setup.world.clone(), &own.region, &snapshot.policy.fleet, report);
    let tracking = Rc::new(tracking);
    let seeds = seeds(&setup.config);
    let voice = start_gossip(&mut setup, &seeds).await?;
    let view = voice.gossip.view();

    let metrics = metrics(&setup, &voice.gossip, &tracking);
    let page = Arc::clone(&metrics);
    let exporting = exporting(&mut setup, metrics);
    let (remote, remote_calls) = mpsc::channel(REMOTE_CALLS_MAX);
    let page = MetricsPage::new(move || page.now().text());
    let state = admin_state(&setup, &tracking, (view.clone(), page), remote);
    let mesh = mesh(&setup, &voice, &tracking, (seeds, state.clone()));
    let mut tasks = vec![
        task::spawn("mesh", Rc::clone(&mesh).run()),
        task::spawn("gossip carrier", mesh::carry(Rc::clone(&mesh), voice.outbound)),
        task::spawn("remote admin calls", pass_on_calls(mesh, remote_calls)),
        task::spawn("load", load(&setup, Rc::clone(&tracking))),
    ];
    let ControlSetup {
        world,
        config,
        shared,
        identity,
        documents,
        certificates,
        admin,
        refusals,
        backends,
        reloads,
        ..
    } = setup;
    let (policies, policy) = watch::channel(Arc::clone(&snapshot.policy));
    let (policy_now, pools_now) = (Arc::clone(&snapshot.policy), Arc::clone(&snapshot.pools));
    let (checked, states) = watch::channel(CheckedPolicy { policy: policy_now, pools: pools_now });
    let (documents, loaded, stamps) = documents;
    let (trust, failing) = backends;
    let events = Arc::clone(&shared.pool_events);
    let directory = config.documents.clone();
    let checking =
        Checking { world: world.clone(), region: own.region.clone(), documents: directory, trust, events };
    let geo = config.geo.clone();
    let watched =
        reload::Watched { world: world.clone(), identity, certificates, documents, loaded, stamps, geo };
    let activated = reload::activate(Arc::clone(&shared), Rc::clone(&tracking), own.region.clone(), states);
    tasks.extend([
        task::spawn("tracker", mesh::track(Rc::clone(&tracking), Arc::clone(&shared), refusals)),
        task::spawn("health checks", checks::run(checking, failing, policy, checked)),
        task::spawn("activation", activated),
        task::spawn("announcements", announce::run(Arc::clone(&shared), voice.gossip, voice.said, tracking)),
        task::spawn("reloads", reload::watch(watched, shared, policies, reloads)),
        task::spawn("admin", admin::run(admin, state)),
    ]);
    tasks.extend(exporting);
    Ok(Control { tasks, view })
}

fn admin_state(
    setup: &ControlSetup,
    tracking: &Tracking,
    (view, metrics): (watch::Receiver<Arc<View>>, MetricsPage),
    remote: mpsc::Sender<RemoteCall>,
) -> AdminState {
    let own = setup.identity.own();
    AdminState {
        shared: Arc::clone(&setup.shared),
        departure: Arc::clone(&setup.departure),
        view,
        tunnels: tracking.tunnels(),
        remote,
        node: own.node,
        region: own.region,
        clock: Arc::clone(&setup.world.clock),
        http: setup.addresses.http,
        https: setup.addresses.https,
        metrics,
        access: Arc::new(Access::new(setup.config.admin.tokens.clone())),
        subscribers: Arc::default(),
    }
}

fn metrics(setup: &ControlSetup, gossip: &Gossip, tracking: &Tracking) -> Arc<Metrics> {
    let metrics = Metrics::new(MetricsSources {
        shared: Arc::clone(&setup.shared),
        view: gossip.view(),
        tunnels: tracking.tunnels(),
        identity: setup.identity.clone(),
        certificates: setup.certificates.clone(),
        access_log: setup.access_log.clone(),
        spans: setup.spans.as_ref().map(|(counts, _)| Arc::clone(counts)),
        clock: Arc::clone(&setup.world.clock),
        tenants_max: setup.config.metrics_tenants_max as usize,
    });
    Arc::new(metrics)
}

/// Sends traces and metrics, if anybody is to get them.
fn exporting(setup: &mut ControlSetup, metrics: Arc<Metrics>) -> Option<Task> {
    let (otlp, (counts, spans)) = setup.config.otlp.as_ref().zip(setup.spans.take())?;
    let own = setup.identity.own();
    let resource = Resource { node: own.node, region: own.region };
    let export = Export { endpoint: otlp.endpoint.clone(), resource, spans, counts, metrics };
    Some(task::spawn("telemetry export", telemetry::export(setup.world.clone(), export)))
}

fn seeds(config: &NodeConfig) -> Vec<Seed> {
    (1..).zip(&config.mesh.seeds).map(|(at, seed)| Seed::new(at, seed.to_string())).collect()
}

/// Gossip with its two ends towards the mesh, and what it says first.
struct Voice {
    gossip: Gossip,
    said: Announcement,
    outbound: mpsc::Receiver<Outbound>,
    inbound: mpsc::Sender<Inbound>,
}

async fn start_gossip(setup: &mut ControlSetup, seeds: &[Seed]) -> Result<Voice, StartError> {
    let own = setup.identity.own();
    let workers = start::workers(&setup.config) as u16;
    let advertised = MeshAddress { base: setup.config.mesh.advertise, workers };
    let generation = setup.generation;
    let said = announcement(&setup.shared.snapshot(), &own, (generation, advertised), false);
    let (to_mesh, outbound) = mpsc::channel(GOSSIP_QUEUE_MAX);
    let (inbound, from_mesh) = mpsc::channel(GOSSIP_QUEUE_MAX);
    let (world, data) = (setup.world.clone(), setup.config.data.clone());
    let config = GossipConfig {
        mesh: own.mesh,
        announcement: said.clone(),
        seeds: seeds.iter().map(|seed| seed.alias).collect(),
        timing: Timing::default(),
        next_generation: Box::new(move || next_generation(&world, &data, generation)),
    };
    let codec =
        setup.codec.take().ok_or_else(|| StartError::Thread("gossip was started twice".to_owned()))?;
    let carrier = Carrier { outbound: to_mesh, inbound: from_mesh };
    let gossip = Gossip::start(config, codec, carrier).await.map_err(StartError::Gossip)?;
    Ok(Voice { gossip, said, outbound, inbound })
}

fn mesh(
    setup: &ControlSetup,
    voice: &Voice,
    tracking: &Rc<Tracking>,
    (seeds, admin): (Vec<Seed>, AdminState),
) -> Rc<Mesh> {
    let parts = MeshParts {
        world: setup.world.clone(),
        shared: Arc::clone(&setup.shared),
        identity: setup.identity.clone(),
        endpoint: setup.endpoint.clone(),
        tracking: Rc::clone(tracking),
        view: voice.gossip.view(),
        gossip_in: voice.inbound.clone(),
        admin: AdminHandler::new(move |call| admin::answer_remote(&admin, &call)),
    };
    let mesh = &setup.config.mesh;
    let settings = MeshSettings {
        seeds,
        dial: mesh.dial.clone(),
        tunnels_per_region_max: mesh.tunnels_per_region_max as usize,
    };
    Mesh::new(parts, settings)
}

fn load(setup: &ControlSetup, tracking: Rc<Tracking>) -> impl Future<Output = ()> + 'static {
    let cores = start::workers(&setup.config) as f64;
    let in_flight_max = setup.config.requests_in_flight_max;
    mesh::measure(setup.world.clone(), Arc::clone(&setup.shared), tracking, cores, in_flight_max)
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
