//! Sends traces and metrics to a collector: OTLP over HTTP, in JSON.
//!
//! Everything goes through the world, as all else that leaves the node.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use graticule_node_core::config::HostAndPort;
use http::{Request, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Metrics;
use crate::body::BodyError;
use crate::shared::{Span, SpanCounts};
use crate::task;
use crate::world::World;

mod encode;

pub use encode::Resource;

/// What is sent, and where to.
#[derive(Debug)]
pub struct Export {
    /// Where the collector is.
    pub endpoint: HostAndPort,
    /// Who sends.
    pub resource: Resource,
    /// Spans that workers hand over.
    pub spans: mpsc::Receiver<Span>,
    /// What became of them.
    pub counts: Arc<SpanCounts>,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
}

/// Sends until it is dropped. What a collector does not take is lost and counted: it must not pile up here. Metrics do not
/// wait for traces: a collector that is slow with those would else keep them back when they are needed most.
pub async fn export(world: World, export: Export) {
    let Export { endpoint, resource, spans, counts, metrics } = export;
    let sender = || Sender { world: world.clone(), endpoint: endpoint.to_string(), failing: false };
    tokio::join!(
        export_traces(sender(), &resource, spans, &counts),
        export_metrics(sender(), &resource, &metrics),
    );
}

async fn export_traces(
    mut sender: Sender,
    resource: &Resource,
    mut waiting: mpsc::Receiver<Span>,
    counts: &SpanCounts,
) {
    let mut ticks = interval(TRACES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for _ in 0..BATCHES_PER_TICK_MAX {
            let spans: Vec<_> =
                std::iter::from_fn(|| waiting.try_recv().ok()).take(BATCH_SPANS_MAX).collect();
            if spans.is_empty() {
                break;
            }
            let sent = sender.send("/v1/traces", &encode::traces(resource, &spans)).await;
            let counter = if sent { &counts.exported } else { &counts.failed };
            counter.fetch_add(spans.len() as u64, Ordering::Relaxed);
            if !sent {
                // Others may be taken later.
                break;
            }
        }
    }
}

async fn export_metrics(mut sender: Sender, resource: &Resource, metrics: &Metrics) {
    let begun = sender.world.clock.wall();
    let mut ticks = interval(METRICS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = metrics.now();
        let times = (begun, sender.world.clock.wall());
        sender.send("/v1/metrics", &encode::metrics(resource, now.families(), times)).await;
    }
}

struct Sender {
    world: World,
    endpoint: String,
    failing: bool,
}

impl Sender {
    /// Whether the collector has taken it.
    async fn send(&mut self, path: &str, content: &Value) -> bool {
        let sent = timeout(SEND_TIMEOUT, self.post(path, content)).await;
        let sent = sent.unwrap_or_else(|_| Err("no answer in time".into()));
        match &sent {
            Err(error) if !self.failing => {
                tracing::warn!(collector = self.endpoint, %error, "the collector takes no telemetry; it is lost");
            }
            Ok(()) if self.failing => {
                tracing::info!(collector = self.endpoint, "the collector takes telemetry again");
            }
            _ => {}
        }
        self.failing = sent.is_err();
        sent.is_ok()
    }

    async fn post(&self, path: &str, content: &Value) -> Result<(), BodyError> {
        let addresses = self.world.names.resolve(&self.endpoint).await?;
        let address = addresses.first().ok_or("its name has no address")?;
        let stream = TokioIo::new(self.world.net.connect(*address).await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        let _connection = task::spawn("collector connection", async move {
            // Its end is seen by whoever waits for the answer.
            let _ = connection.await;
        });
        let body = Full::new(Bytes::from(serde_json::to_vec(content)?));
        let request = Request::post(path).header(header::HOST, self.endpoint.as_str());
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body)?;
        let status = sender.send_request(request).await?.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered with status {status}").into()) }
    }
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

/// How long spans wait for others.
const TRACES_INTERVAL: Duration = Duration::from_secs(1);
const METRICS_INTERVAL: Duration = Duration::from_secs(15);
/// Spans that are sent at once.
const BATCH_SPANS_MAX: usize = 512;
/// Batches sent one after the other.
const BATCHES_PER_TICK_MAX: usize = 8;
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
