//! The page that Prometheus reads: what the node has counted, and how it is now.

use std::sync::{Arc, Mutex, PoisonError};

use graticule_gossip_core::View;
use graticule_node_core::Snapshot;
use graticule_node_core::metrics::{Exposition, Kind, TenantSeries};
use graticule_node_core::outcome::Role;
use graticule_node_core::policy::TenantIndex;
use tokio::sync::watch;

use super::LogCounts;
use crate::certificates::Certificates;
use crate::identity::Identity;
use crate::shared::{Shared, SpanCounts, TunnelStatus};
use crate::task;
use crate::world::Clock;

mod certificates;
mod mesh;
mod pools;
mod reloads;
mod requests;

/// Where the numbers of the page are from.
#[derive(Debug)]
pub struct MetricsSources {
    /// Snapshot, gauges and counters.
    pub shared: Arc<Shared>,
    /// What gossip says.
    pub view: watch::Receiver<Arc<View>>,
    /// The peers that control tunnels are kept to.
    pub tunnels: watch::Receiver<Arc<Vec<TunnelStatus>>>,
    /// The node's certificate.
    pub identity: Identity,
    /// The certificates that clients see, if there is TLS.
    pub certificates: Option<Certificates>,
    /// How the access log does, if there is one.
    pub access_log: Option<Arc<LogCounts>>,
    /// What became of spans, if there are any.
    pub spans: Option<Arc<SpanCounts>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How many tenants have series of their own.
    pub tenants_max: usize,
}

/// The metrics of one node.
#[derive(Debug)]
pub struct Metrics {
    sources: MetricsSources,
    /// Only who asks for the page takes this; no request does.
    series: Mutex<Series>,
}

/// What is told by tenant.
#[derive(Debug)]
struct Series {
    tenants: TenantSeries,
    pools: pools::Counters,
}

impl Metrics {
    /// Of a node with these sources.
    pub fn new(sources: MetricsSources) -> Self {
        let tenants = TenantSeries::new(sources.tenants_max);
        Self { sources, series: Mutex::new(Series { tenants, pools: pools::Counters::default() }) }
    }

    /// All of them as they are now.
    pub fn now(&self) -> Exposition {
        let snapshot = self.sources.shared.snapshot();
        let mut page = Exposition::default();
        self.node(&snapshot, &mut page);
        self.process(&mut page);
        self.records(&mut page);
        {
            // Counters only rise, so one who panicked here has left nothing half done that matters.
            let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
            let Series { tenants, pools } = &mut *series;
            let by_role = |at| Role::ALL.map(|role| snapshot.tallies.totals(Some(TenantIndex(at)), role));
            let totals = snapshot.policy.tenants.iter().zip(0..);
            let totals = totals.map(|(tenant, at)| (tenant.id.clone(), by_role(at)));
            tenants.collect(totals, self.sources.clock.now());
            let nobody = Role::ALL.map(|role| snapshot.tallies.totals(None, role));
            requests::write(tenants, &nobody, &mut page);
            pools::write(&snapshot, tenants, pools, &mut page);
        }
        let events = &self.sources.shared.pool_events;
        page.family(
            "graticule_backend_events_total",
            Kind::Counter,
            "What happened to backends of this region, by event.",
        );
        events.counts().for_each(|(event, count)| page.sample(&[("event", event)], count as f64));
        page.family(
            "graticule_client_floods_total",
            Kind::Counter,
            "Connections of clients that were cut off for a flood of HTTP/2 frames, by limit.",
        );
        let floods = self.sources.shared.floods.counts();
        floods.for_each(|(limit, count)| page.sample(&[("limit", limit)], count as f64));
        page.family(
            "graticule_client_connections_rejected_total",
            Kind::Counter,
            "Connections of clients that were closed before their first request, by reason.",
        );
        let rejections = self.sources.shared.rejections.counts();
        rejections.for_each(|(reason, count)| page.sample(&[("reason", reason)], count as f64));
        page.single(
            "graticule_tunnel_streams_cut_total",
            Kind::Counter,
            "Readers of relayed bodies that were cut off: the slowest of a tunnel that they would have filled.",
            self.sources.shared.streams_cut.count() as f64,
        );
        let (view, tunnels) = (self.sources.view.borrow().clone(), self.sources.tunnels.borrow().clone());
        mesh::write(&snapshot, &view, &tunnels, &mut page);
        certificates::write(self.sources.certificates.as_ref(), &mut page);
        reloads::write(&self.sources.shared.reloads, &mut page);
        page
    }

    /// What is of the node as a whole.
    fn node(&self, snapshot: &Snapshot, page: &mut Exposition) {
        let MetricsSources { shared, identity, .. } = &self.sources;
        page.family("graticule_build_info", Kind::Gauge, "1; which version runs is in the label.");
        page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let draining = shared.drain.is_draining();
        let ready = !draining && !*shared.joining.borrow();
        let gauges: [(_, _, u64); 6] = [
            ("graticule_ready", "Whether the node wants requests: 1 or 0.", ready.into()),
            ("graticule_draining", "Whether the node is leaving: 1 or 0.", draining.into()),
            (
                "graticule_requests_in_flight",
                "Requests under way, relayed ones included.",
                shared.in_flight.total(),
            ),
            (
                "graticule_client_connections",
                "Connections of clients, and one for each listener that accepts.",
                shared.connections.total(),
            ),
            ("graticule_tenants", "Tenants in the documents in force.", snapshot.policy.tenants.len() as u64),
            (
                "graticule_fleet_document_version",
                "Version of the fleet document in force.",
                snapshot.policy.fleet.version.0,
            ),
        ];
        for (name, help, value) in gauges {
            page.single(name, Kind::Gauge, help, value as f64);
        }
        let expiry = identity.not_after().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        page.single(
            "graticule_certificate_expiry_timestamp_seconds",
            Kind::Gauge,
            "When the node's certificate ends, in seconds since 1970.",
            expiry.as_secs_f64(),
        );
    }

    /// What is of the process.
    fn process(&self, page: &mut Exposition) {
        page.single(
            "graticule_task_panics_total",
            Kind::Counter,
            "Tasks that have panicked.",
            task::panics() as f64,
        );
        page.single(
            "graticule_log_lines_lost_total",
            Kind::Counter,
            "Log lines that found no room, or could not be written to standard error.",
            super::log_lines_lost() as f64,
        );
        let cpu = self.sources.clock.cpu_time().as_secs_f64();
        page.single("process_cpu_seconds_total", Kind::Counter, "Processor time, user and system.", cpu);
    }

    /// What became of what is recorded of requests.
    fn records(&self, page: &mut Exposition) {
        if let Some(spans) = &self.sources.spans {
            page.family("graticule_spans_total", Kind::Counter, "Spans of traces, by what became of them.");
            spans
                .results()
                .into_iter()
                .for_each(|(result, count)| page.sample(&[("result", result)], count as f64));
        }
        if let Some(log) = &self.sources.access_log {
            page.family(
                "graticule_access_log_lines_total",
                Kind::Counter,
                "Lines of the access log, by what became of them.",
            );
            log.results()
                .into_iter()
                .for_each(|(result, count)| page.sample(&[("result", result)], count as f64));
        }
    }
}

#[cfg(test)]
mod tests;
