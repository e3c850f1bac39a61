//! What a tenant's servers do here: note what they receive, and answer with their region.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use graticule::task;
use graticule::world::Stream;
use graticule_node_core::headers::X_REQUEST_ID;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::plan::{BACKEND_PORT, CHECK_PATH};
use crate::{Host, Process, Simulation};

/// One request as a backend received it, health checks not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// When its head arrived, since the simulation began.
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

/// What all backends received, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Rc<RefCell<Vec<Receipt>>>);

impl Journal {
    pub(super) fn receipts(&self) -> Vec<Receipt> {
        self.0.borrow().clone()
    }
}

/// Starts the backend of a region on its host.
pub(super) fn start(
    simulation: &Simulation,
    host: &Host,
    region: &str,
    journal: &Journal,
) -> std::io::Result<Process> {
    let listener = host.world().net.listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, BACKEND_PORT)), false)?;
    let backend = Rc::new(Backend {
        simulation: simulation.clone(),
        region: region.to_owned(),
        journal: journal.clone(),
    });
    Ok(Process::spawn(host.name(), async move {
        while let Ok((stream, _)) = poll_fn(|cx| listener.poll_accept(cx)).await {
            task::spawn_detached("backend connection", Rc::clone(&backend).serve(stream));
        }
    }))
}

struct Backend {
    simulation: Simulation,
    region: String,
    journal: Journal,
}

impl Backend {
    async fn serve(self: Rc<Self>, stream: Stream) {
        let service = service_fn(|request| self.answer(request));
        if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!(%error, "a backend's connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let at = self.simulation.elapsed();
        let (parts, body) = request.into_parts();
        let text = |name| {
            let values = parts.headers.get_all(name).into_iter();
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>()
        };
        let (host, via) = (text(header::HOST).concat(), text(header::VIA));
        let request_id = text(X_REQUEST_ID).concat();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let body_bytes = body.collect().await?.to_bytes().len();
        if target != CHECK_PATH {
            let (region, method) = (self.region.clone(), parts.method);
            let receipt = Receipt { at, region, host, method, target, via, request_id, body_bytes };
            self.journal.0.borrow_mut().push(receipt);
        }
        Ok(Response::new(Full::new(Bytes::from(self.region.clone()))))
    }
}
