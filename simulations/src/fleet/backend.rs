//! What a tenant's servers do here: note what they receive, and answer with their region.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use graticule::task;
use graticule::world::{Listener, Stream, World};
use graticule_node_core::headers::X_REQUEST_ID;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::Rng;
use rand::rngs::SmallRng;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::plan::{CHECK_PATH, RegionPlan};
use crate::Process;
use crate::scenario::{BackendFault, Checks};

/// One request as a backend received it, health checks not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// When its head arrived, since the fleet's world began.
    pub at: Duration,
    /// The backend's region.
    pub region: String,
    /// The host it asked for.
    pub host: String,
    /// How.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The nodes it came through.
    pub via: Vec<String>,
    /// Its `X-Request-Id`, which the edge drew by chance.
    pub request_id: String,
    /// How long its body was.
    pub body_bytes: usize,
}

/// What all backends received, in order, and what they do wrong at the moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Rc<Pages>);

#[derive(Debug, Default)]
struct Pages {
    receipts: RefCell<Vec<Receipt>>,
    faults: RefCell<BTreeMap<u64, Wrong>>,
    changed: Notify,
}

/// What goes wrong with the backends of some regions.
#[derive(Debug, Clone)]
struct Wrong {
    regions: Vec<String>,
    host: Option<String>,
    how: BackendFault,
}

impl Journal {
    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.0.receipts.borrow().clone()
    }

    /// Those from the one at this position on.
    pub(crate) fn receipts_from(&self, position: usize) -> Vec<Receipt> {
        self.0.receipts.borrow().get(position..).unwrap_or_default().to_vec()
    }

    /// From now on the backends of these regions do this wrong, for requests to `host` or for all of them.
    pub(crate) fn begin(&self, id: u64, regions: &[String], host: Option<String>, how: BackendFault) {
        self.0.faults.borrow_mut().insert(id, Wrong { regions: regions.to_vec(), host, how });
        self.0.changed.notify_waiters();
    }

    /// That is over.
    pub(crate) fn end(&self, id: u64) {
        self.0.faults.borrow_mut().remove(&id);
        self.0.changed.notify_waiters();
    }

    fn is_down(&self, region: &str) -> bool {
        let faults = self.0.faults.borrow();
        faults.values().any(|wrong| wrong.how.down && wrong.regions.iter().any(|name| name == region))
    }

    /// Ends when the backends of a region are down, or up.
    async fn until(&self, region: &str, down: bool) {
        loop {
            let changed = self.0.changed.notified();
            if self.is_down(region) == down {
                return;
            }
            changed.await;
        }
    }

    /// How much longer a request to `host` takes, and the share of those that fail.
    fn trouble(&self, region: &str, host: &str, is_check: bool) -> (Duration, f64) {
        let faults = self.0.faults.borrow();
        let meets = |wrong: &&Wrong| {
            wrong.regions.iter().any(|name| name == region)
                && wrong.host.as_ref().is_none_or(|of| of == host)
                && !(is_check && wrong.how.checks == Checks::Healthy)
        };
        let met = faults.values().filter(meets);
        met.fold((Duration::ZERO, 0.0), |(latency, errors), wrong| {
            (latency + wrong.how.latency, f64::max(errors, wrong.how.errors))
        })
    }
}

/// Where a backend is, and what it lives by; in whatever world.
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) world: World,
    pub(crate) address: SocketAddr,
    /// What its receipts count from.
    pub(crate) origin: Instant,
    pub(crate) chance: SmallRng,
}

/// Starts a backend of a region.
pub(crate) fn start(site: Site, region: &RegionPlan, journal: &Journal) -> io::Result<Process> {
    let Site { name, world, address, origin, chance } = site;
    let listener = world.net.listen(address, false)?;
    let backend = Rc::new(Backend {
        origin,
        region: region.name.clone(),
        latency: region.backend_latency,
        journal: journal.clone(),
        chance: RefCell::new(chance),
    });
    Ok(Process::spawn(&name, async move {
        let mut listening = Some(listener);
        loop {
            let Some(listener) = listening.take().or_else(|| world.net.listen(address, false).ok()) else {
                return tracing::error!("a backend cannot listen again");
            };
            backend.accept(&*listener).await;
            drop(listener);
            backend.journal.until(&backend.region, false).await;
        }
    }))
}

struct Backend {
    origin: Instant,
    region: String,
    latency: Duration,
    journal: Journal,
    chance: RefCell<SmallRng>,
}

impl Backend {
    /// Accepts connections until it is down.
    async fn accept(self: &Rc<Self>, listener: &dyn Listener) {
        loop {
            tokio::select! {
                biased;
                () = self.journal.until(&self.region, true) => return,
                accepted = poll_fn(|cx| listener.poll_accept(cx)) => {
                    let Ok(arrival) = accepted else { return };
                    task::spawn_detached("backend connection", Rc::clone(self).serve(arrival.stream));
                }
            }
        }
    }

    /// Serves a connection until it ends, or this is down.
    async fn serve(self: Rc<Self>, stream: Stream) {
        let service = service_fn(|request| self.answer(request));
        let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            biased;
            () = self.journal.until(&self.region, true) => {}
            served = serving => if let Err(error) = served {
                tracing::debug!(%error, "a backend's connection ended");
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let at = self.origin.elapsed();
        let (parts, body) = request.into_parts();
        let text = |name| {
            let values = parts.headers.get_all(name).into_iter();
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>()
        };
        let (host, via) = (text(header::HOST).concat(), text(header::VIA));
        let request_id = text(X_REQUEST_ID).concat();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let is_check = target == CHECK_PATH;
        let (trouble, errors) = self.journal.trouble(&self.region, &host, is_check);
        let body_bytes = body.collect().await?.to_bytes().len();
        if !is_check {
            let (region, method) = (self.region.clone(), parts.method);
            let receipt = Receipt { at, region, host, method, target, via, request_id, body_bytes };
            self.journal.0.receipts.borrow_mut().push(receipt);
        }
        let latency = trouble + if is_check { Duration::ZERO } else { self.latency };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let mut response = Response::new(Full::new(Bytes::from(self.region.clone())));
        if errors > 0.0 && self.chance.borrow_mut().random::<f64>() < errors {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        Ok(response)
    }
}
