//! Where a worker puts spans of requests that are traced.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use graticule_gossip_core::RegionName;
use graticule_node_core::Moment;
use graticule_node_core::headers::TraceContext;
use graticule_node_core::outcome::{Outcome, Protocol};
use graticule_node_core::policy::{AddressMask, TenantId};
use graticule_node_core::shared::Pace;
use tokio::sync::mpsc;

/// What one node did for one request, as a span of its trace.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace, and the span that this one is part of; `None` if it is the first.
    pub trace: u128,
    /// The span that this one is part of; `None` if it is the first.
    pub parent: Option<u64>,
    /// Its own id.
    pub id: u64,
    /// When it ended.
    pub ended: SystemTime,
    /// What became of the request.
    pub outcome: Outcome,
    /// Until a peer accepted it, if one did.
    pub accepted: Option<Duration>,
    /// How it came.
    pub protocol: Protocol,
    /// Whose it was.
    pub tenant: TenantId,
    /// The region that served it, if one did.
    pub region: Option<RegionName>,
    /// The client, and how much of its address may be told.
    pub client: Option<(IpAddr, AddressMask)>,
    /// The method.
    pub method: String,
    /// The host.
    pub host: String,
    /// The path, without the query.
    pub path: String,
}

/// One worker's way to whoever sends spans. Nothing here waits: what finds no room is dropped and counted.
#[derive(Debug, Clone)]
pub struct TraceLane {
    spans: mpsc::Sender<Span>,
    counts: Arc<SpanCounts>,
    /// Of the requests without a trace, how many begin one.
    share: f64,
    /// Of all workers together.
    pace: Arc<Pace>,
}

/// What became of spans, for metrics.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Those that a collector has taken.
    pub exported: AtomicU64,
    /// Those for which there was no room.
    pub dropped: AtomicU64,
    /// Those that no collector has taken.
    pub failed: AtomicU64,
    /// Those that were one too many for their second, and were not made.
    pub limited: AtomicU64,
}

impl SpanCounts {
    /// Every result with its count.
    pub fn results(&self) -> [(&'static str, u64); 4] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("exported", read(&self.exported)),
            ("dropped", read(&self.dropped)),
            ("failed", read(&self.failed)),
            ("limited", read(&self.limited)),
        ]
    }
}

impl TraceLane {
    /// Lanes to whoever has the receiver; `share` of the requests without a trace begin one, and so many a second get a span.
    pub fn new(share: f64, spans_per_second_max: u32) -> (Self, mpsc::Receiver<Span>) {
        let (spans, received) = mpsc::channel(SPANS_MAX);
        let pace = Arc::new(Pace::new(spans_per_second_max));
        (Self { spans, counts: Arc::default(), share, pace }, received)
    }

    /// Whether a request without a trace, and with this chance, begins one.
    pub fn samples(&self, chance: u32) -> bool {
        f64::from(chance) < self.share * ALL
    }

    /// Whether a request that is traced gets a span here: whoever sends requests says of each that it is traced.
    pub fn admits(&self, now: Moment) -> bool {
        let admitted = self.pace.take(now);
        if !admitted {
            self.counts.limited.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Hands a span over.
    pub fn push(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of all spans.
    pub fn counts(&self) -> &Arc<SpanCounts> {
        &self.counts
    }
}

/// The place of a node's span in a trace: under what came with the request, or the first, if `drawn` was put there.
pub fn place(context: TraceContext, drawn: u64) -> Option<u64> {
    (context.parent != drawn.max(1)).then_some(context.parent)
}

/// As many chances as there are.
const ALL: f64 = 4_294_967_296.0;
/// Spans that wait to be sent.
const SPANS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_all_chances() {
        let samples = |share, chance| TraceLane::new(share, 1).0.samples(chance);
        assert!(samples(1.0, u32::MAX) && !samples(0.0, 0));
        assert!(samples(0.5, u32::MAX / 2) && !samples(0.5, u32::MAX / 2 + 1));
    }

    #[test]
    fn a_span_is_the_first_of_a_trace_that_its_node_began() {
        let context = TraceContext { trace: 1, parent: 9, sampled: true };
        assert_eq!((place(context, 9), place(context, 8)), (None, Some(9)));
        assert_eq!(place(TraceContext { parent: 1, ..context }, 0), None, "an id of zero is sent as one");
    }
}
