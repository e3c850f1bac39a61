//! Starting a node: everything is read and bound before anything runs, so that errors are told and nothing is half up.

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use graticule_gossip_core::Generation;
use graticule_node_core::config::{NodeConfig, OtlpConfig};
use graticule_node_core::decide::{Here, Snapshot};
use graticule_node_core::document::{Diagnostic, Loaded, Severity};
use graticule_node_core::mesh::MeshState;
use graticule_node_core::shared::Tallies;
use graticule_node_core::{Moment, Policy};
use http::HeaderValue;
use quinn::Endpoint;
use tokio::sync::{mpsc, oneshot, watch};

use super::control::{self, Control, ControlSetup};
use super::reload::Stamps;
use super::worker::{self, ClientAddresses, WorkerSetup};
use super::{Addresses, GossipCodec, Node, StartError, Threads, Worker, geo, leaving, reload};
use crate::certificates::Certificates;
use crate::documents::Documents;
use crate::gateway::{GatewaySettings, Recorders};
use crate::identity::{Identity, IdentityFiles};
use crate::ingress::IngressLimits;
use crate::pool::checks::CheckedPolicy;
use crate::pool::{Links, Trust};
use crate::shared::{Departure, Phase, Refusals, Shared, Span, TraceLane};
use crate::task;
use crate::telemetry::AccessLog;
use crate::tunnel::{self, Carries, Parting};
use crate::world::{Listener, World};

pub(super) async fn start(
    world: World,
    config: Rc<NodeConfig>,
    threads: Threads,
    codec: GossipCodec,
) -> Result<Node, StartError> {
    let identity = load_identity(&world, &config)?;
    let (documents, stamps, loaded) = read_documents(&world, &config)?;
    let (shared, refusals) = first_shared(&world, &config, &identity, loaded.policy.clone())?;
    let generation = next_generation(&world, &config.data)?;

    let (endpoint, admin, admin_address) = bind_control(&world, &config, &identity)?;
    let certificates = load_certificates(&world, &config, &loaded)?;
    let (phase, phases) = watch::channel(Phase::Serving);
    let (failing, has_failed) = mpsc::channel(FAILING_MAX);
    let links = Links { failing, trust: Trust::default() };
    let access_log = open_access_log(&world, &config, threads)?;
    let (traces, spans) = config.otlp.as_ref().map(trace_lane).unzip();
    let node = (&world, &*config, &identity);
    let parts =
        Parts { node, shared: &shared, links: &links, recorders: (access_log.as_ref(), traces.as_ref()) };
    let workers = start_workers(parts, certificates.as_ref(), (threads, phases)).await?;
    shared.joining.send_replace(!config.mesh.seeds.is_empty());
    let departure = Arc::new(Departure::new(&world, Arc::clone(&shared), config.drain));
    let (reload, reloads) = mpsc::channel(RELOADS_MAX);
    let parting = Some(Parting::new(endpoint.clone()));
    let addresses = addresses(workers.clients, &config, admin_address);
    let setup = ControlSetup {
        world,
        config,
        shared: Arc::clone(&shared),
        identity,
        documents: (documents, loaded.documents, stamps),
        certificates,
        addresses,
        endpoint,
        admin,
        generation,
        codec: Some(codec.open().await?),
        refusals,
        departure: Arc::clone(&departure),
        reloads,
        backends: (links.trust, has_failed),
        access_log: access_log.as_ref().map(AccessLog::counts),
        spans: traces.map(|traces| Arc::clone(traces.counts())).zip(spans),
    };
    let Control { tasks: mut control, view } = control::start(setup).await?;
    let (ending, ended) = watch::channel(None);
    let leaving = leaving::run(Arc::clone(&departure), Arc::clone(&shared), phase.clone(), ending);
    let joining = leaving::join(Arc::clone(&shared));
    control.extend([task::spawn("leaving", leaving), task::spawn("joining", joining)]);
    Ok(Node {
        addresses,
        shared,
        departure,
        view,
        ended,
        reload,
        phase,
        parting,
        control,
        workers: workers.running,
        access_log,
    })
}

fn read_documents(world: &World, config: &NodeConfig) -> Result<(Documents, Stamps, Loaded), StartError> {
    let documents = Documents::new(config.documents.clone(), Arc::clone(&world.disk));
    // Before anything is read, so that a change while it is read is found later.
    let stamps = Stamps::now(world, &documents, &config.geo);
    let loaded = documents.load().map_err(StartError::Documents)?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!(%warning, "documents"));
    Ok((documents, stamps, loaded))
}

/// Where other nodes come, and operators, with the address that those have.
fn bind_control(
    world: &World,
    config: &NodeConfig,
    identity: &Identity,
) -> Result<(Endpoint, Box<dyn Listener>, SocketAddr), StartError> {
    let server = (identity.server_config()?, &identity.tunnel_secret());
    let endpoint = tunnel::bind(world, config.mesh.listen, server, Carries::Control)?;
    let address = config.admin.listen;
    let failed = |error| StartError::Listen(address, error);
    let listener = world.net.listen(address, false).map_err(failed)?;
    let bound = listener.local_address().map_err(failed)?;
    Ok((endpoint, listener, bound))
}

fn addresses((http, https): ClientAddresses, config: &NodeConfig, admin: SocketAddr) -> Addresses {
    Addresses { http, https, mesh: config.mesh.listen, admin }
}

fn trace_lane(otlp: &OtlpConfig) -> (TraceLane, mpsc::Receiver<Span>) {
    TraceLane::new(otlp.traces_share, otlp.spans_per_second_max)
}

fn open_access_log(
    world: &World,
    config: &NodeConfig,
    threads: Threads,
) -> Result<Option<AccessLog>, StartError> {
    let Some(path) = config.access_log.clone() else { return Ok(None) };
    let log = AccessLog::start(world, path.clone(), threads);
    log.map(Some).map_err(|error| StartError::AccessLog(path, error))
}

/// Everything that would keep a node of this configuration from starting, or some of its clients from being served, as
/// far as files tell, and what is hardly meant: nothing is written, and nothing is bound.
pub(super) fn faults(world: &World, config: &NodeConfig) -> Vec<Diagnostic> {
    let identity = load_identity(world, config);
    let documents = Documents::new(config.documents.clone(), Arc::clone(&world.disk)).load();
    let place = match (&identity, &documents) {
        (Ok(identity), Ok(loaded)) => {
            reload::place(&loaded.policy, &identity.own()).err().map(StartError::Region)
        }
        // What is wrong with one says nothing of the other.
        _ => None,
    };
    let geo = geo::load(world, &config.geo).err().map(StartError::Geo);
    let (certificates, unfit) = certificate_faults(world, config, documents.as_ref().ok());
    let documents = documents.err().map(StartError::Documents);
    let log = access_log_fault(world, config);
    let errors = [identity.err(), documents, place, geo, log].into_iter().flatten().chain(certificates);
    errors.flat_map(|error| error.diagnostics(config)).chain(unfit).collect()
}

/// Why there could be no access log where it is to be.
fn access_log_fault(world: &World, config: &NodeConfig) -> Option<StartError> {
    let path = config.access_log.as_ref().filter(|path| path.as_os_str() != NodeConfig::STANDARD_OUTPUT)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let error = match (world.disk.list(directory), world.disk.list(path)) {
        (Err(error), _) => error,
        (_, Ok(_)) => std::io::ErrorKind::IsADirectory.into(),
        _ => return None,
    };
    Some(StartError::AccessLog(path.clone(), error))
}

fn load_identity(world: &World, config: &NodeConfig) -> Result<Identity, StartError> {
    let files = IdentityFiles {
        certificate: config.mesh.certificate.clone(),
        key: config.mesh.key.clone(),
        authorities: config.mesh.authorities.clone(),
    };
    let identity = Identity::load(files, world)?;
    let own = identity.own();
    if own.node != config.name {
        return Err(StartError::Name(format!(
            "{}: the configuration names this node `{}`, its certificate `{}`; issue a certificate for the one that is right",
            config.mesh.certificate.display(),
            config.name,
            own.node
        )));
    }
    Ok(identity)
}

/// What the runtimes share as they begin, and who hears of peers' refusals.
fn first_shared(
    world: &World,
    config: &NodeConfig,
    identity: &Identity,
    policy: Policy,
) -> Result<(Arc<Shared>, Refusals), StartError> {
    let locator = geo::load(world, &config.geo).map_err(StartError::Geo)?;
    let count = workers(config);
    let snapshot = first_snapshot(policy, locator, identity, (world.clock.now(), count))?;
    let (shared, refusals) = Shared::new(snapshot, count);
    Ok((Arc::new(shared), refusals))
}

fn first_snapshot(
    policy: Policy,
    locator: graticule_geo::Locator,
    identity: &Identity,
    (now, workers): (Moment, usize),
) -> Result<Snapshot, StartError> {
    let own = identity.own();
    let region = reload::place(&policy, &own).map_err(StartError::Region)?;
    let CheckedPolicy { policy, pools } = CheckedPolicy::unchecked(Arc::new(policy), &own.region, now);
    let tallies = Tallies::new(&policy, workers);
    Ok(Snapshot {
        policy,
        locator: Arc::new(locator),
        mesh: Arc::new(MeshState::default()),
        pools,
        tallies: Arc::new(tallies),
        here: Here { node: own.node.clone(), region },
    })
}

/// Rises with every start; kept in the data directory. The first one is the time, so that it is higher than those of an
/// earlier node of the same name whose disk is gone.
pub(super) fn next_generation(world: &World, data: &Path) -> Result<Generation, StartError> {
    let failed = |error| StartError::Data(data.to_owned(), error);
    world.disk.create_directory(data).map_err(failed)?;
    let path = data.join(GENERATION);
    let last = match world.disk.read(&path, GENERATION_BYTES_MAX) {
        Ok(bytes) => parse_generation(&bytes).ok_or_else(|| {
            failed(std::io::Error::other(
                "the file `generation` is no number; restore it from a backup or remove it",
            ))
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => since_epoch_ms(world),
        Err(error) => return Err(failed(error)),
    };
    let next = last.saturating_add(1);
    world.disk.replace(&path, next.to_string().as_bytes()).map_err(failed)?;
    Ok(Generation(next))
}

fn since_epoch_ms(world: &World) -> u64 {
    let since = world.clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

fn parse_generation(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

/// Pairs that cannot be used are told, and keep nobody else from being served.
fn load_certificates(
    world: &World,
    config: &NodeConfig,
    loaded: &Loaded,
) -> Result<Option<Certificates>, StartError> {
    let Some((certificates, problems)) = read_certificates(world, config)? else { return Ok(None) };
    for problem in problems {
        tracing::error!(%problem, "a certificate cannot be used");
    }
    for diagnostic in loaded.certificate_faults(&certificates.shown()) {
        match diagnostic.severity {
            Severity::Error => tracing::error!(%diagnostic, "certificates"),
            Severity::Warning => tracing::warn!(%diagnostic, "certificates"),
        }
    }
    Ok(Some(certificates))
}

fn read_certificates(
    world: &World,
    config: &NodeConfig,
) -> Result<Option<(Certificates, Vec<String>)>, StartError> {
    let Some((_, directory)) = &config.ingress.https else { return Ok(None) };
    Certificates::load(directory.clone(), world).map(Some).map_err(|error| {
        let directory = directory.display();
        StartError::Certificates(format!(
            "cannot list {directory}: {error}; make it, or correct `certificates`"
        ))
    })
}

/// What is wrong with the certificates that clients would see, and how they do not fit the tenants of `loaded`.
fn certificate_faults(
    world: &World,
    config: &NodeConfig,
    loaded: Option<&Loaded>,
) -> (Vec<StartError>, Vec<Diagnostic>) {
    match read_certificates(world, config) {
        Err(error) => (vec![error], Vec::new()),
        Ok(None) => (Vec::new(), Vec::new()),
        Ok(Some((certificates, problems))) => {
            let unfit = loaded.map(|loaded| loaded.certificate_faults(&certificates.shown()));
            (problems.into_iter().map(StartError::Certificates).collect(), unfit.unwrap_or_default())
        }
    }
}

struct Workers {
    running: Vec<Worker>,
    clients: ClientAddresses,
}

/// What every worker is given.
#[derive(Clone, Copy)]
struct Parts<'a> {
    node: (&'a World, &'a NodeConfig, &'a Identity),
    shared: &'a Arc<Shared>,
    links: &'a Links,
    recorders: (Option<&'a AccessLog>, Option<&'a TraceLane>),
}

async fn start_workers(
    parts: Parts<'_>,
    certificates: Option<&Certificates>,
    (threads, phases): (Threads, watch::Receiver<Phase>),
) -> Result<Workers, StartError> {
    let Parts { node: (world, config, identity), shared, links, recorders: (access_log, traces) } = parts;
    let tls = certificates.map(Certificates::server_config).transpose();
    let tls = tls.map_err(|error| StartError::Certificates(format!("the TLS library refused: {error}")))?;
    let https = config.ingress.https.as_ref().map(|(listen, _)| *listen);
    // Workers share the addresses, and would share them with another process that does so, too: each would get some clients.
    for address in std::iter::once(config.ingress.http).chain(https) {
        drop(world.net.listen(address, false).map_err(|error| StartError::Listen(address, error))?);
    }
    let mut started = Workers { running: Vec::new(), clients: (config.ingress.http, https) };
    for index in 0..workers(config) {
        let (http, https) = started.clients;
        let setup = WorkerSetup {
            world: world.clone(),
            shared: Arc::clone(shared),
            identity: identity.clone(),
            http,
            https: https.zip(tls.clone()),
            announcing: config.ingress.proxy_protocol.as_slice().into(),
            mesh: worker_address(config.mesh.listen, index)?,
            limits: limits(config),
            settings: settings(config, index),
            links: links.clone(),
            recorders: Recorders { access_log: access_log.map(AccessLog::lane), traces: traces.cloned() },
        };
        let (ready, is_ready) = oneshot::channel();
        started.running.push(spawn(setup, ready, phases.clone(), threads)?);
        let is_ready = tokio::time::timeout(worker::START_DEADLINE, is_ready).await;
        started.clients = is_ready
            .map_err(|_| StartError::Thread(format!("worker {index} did not start in time")))?
            .map_err(|_| StartError::Thread(format!("worker {index} ended while it started")))??;
    }
    Ok(started)
}

/// As many as the configuration says, or as the machine has cores.
pub(super) fn workers(config: &NodeConfig) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = config.workers.map_or_else(cores, usize::from);
    workers.clamp(1, usize::from(NodeConfig::WORKERS_MAX))
}

fn worker_address(control: SocketAddr, index: usize) -> Result<SocketAddr, StartError> {
    let port = u16::try_from(index + 1).ok().and_then(|offset| control.port().checked_add(offset));
    let port = port.filter(|_| control.port() != 0).ok_or_else(|| {
        let message = "mesh.listen needs a port with one more free after it for each worker";
        StartError::Listen(control, std::io::Error::other(message))
    })?;
    Ok(SocketAddr::new(control.ip(), port))
}

fn spawn(
    setup: WorkerSetup,
    ready: oneshot::Sender<Result<ClientAddresses, StartError>>,
    phases: watch::Receiver<Phase>,
    threads: Threads,
) -> Result<Worker, StartError> {
    if threads == Threads::This {
        return Ok(Worker::Here(task::spawn("worker", worker::run(setup, ready, phases))));
    }
    let name = format!("worker-{}", setup.settings.worker);
    let thread = std::thread::Builder::new().name(name).spawn(move || match task::local_runtime() {
        Ok(runtime) => runtime.block_on(worker::run(setup, ready, phases)),
        Err(error) => tracing::error!(%error, "a worker has no runtime"),
    });
    thread.map(|thread| Worker::Thread(Some(thread))).map_err(|error| StartError::Thread(error.to_string()))
}

fn limits(config: &NodeConfig) -> IngressLimits {
    let mut client = config.ingress.limits;
    client.connections_max = (client.connections_max / workers(config) as u32).max(1);
    IngressLimits { client, http2: config.ingress.http2 }
}

fn settings(config: &NodeConfig, worker: usize) -> GatewaySettings {
    // Node names are letters, digits and `-`.
    let text = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("graticule"));
    let listened = config.ingress.https.as_ref().map(|(listen, _)| listen.port());
    GatewaySettings {
        client_address: config.ingress.client_address.clone(),
        body_timeout: config.ingress.limits.body_timeout,
        open_timeout: config.mesh.open_timeout,
        requests_in_flight_max: (config.requests_in_flight_max / workers(config) as u32).max(1),
        worker,
        name: config.name.clone(),
        via_1_0: text(format!("1.0 {}", config.name)),
        via: text(format!("1.1 {}", config.name)),
        via_2: text(format!("2 {}", config.name)),
        https_port: config.ingress.redirect_port.or(listened).filter(|port| *port != HTTPS_PORT),
        proxy_status: text(config.name.to_string()),
    }
}

/// Askings for a look at the files that wait.
const RELOADS_MAX: usize = 1;
/// Backends with a full row of failures that wait to be taken out; others are told again with their next row.
const FAILING_MAX: usize = 256;
/// Where everybody looks for TLS.
const HTTPS_PORT: u16 = 443;
const GENERATION: &str = "generation";
const GENERATION_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests;
