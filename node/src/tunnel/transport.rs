//! How tunnels are tuned: windows, limits, keep-alive and first guesses.

use std::sync::Arc;
use std::time::Duration;

use graticule_node_core::framing::PROBE_BYTES;
use graticule_node_core::mesh::PROBE_INTERVAL_MAX;
use quinn::{AckFrequencyConfig, ConnectionError, IdleTimeout, TransportConfig, VarInt};

/// What differs from tunnel to tunnel.
#[derive(Debug, Clone, Copy)]
pub struct TransportSettings {
    /// The round trip expected before the first measurement, from the distance of the two regions.
    pub initial_rtt: Duration,
    /// What the tunnel is for.
    pub carries: Carries,
    /// Whether this side dialled.
    pub dialled: bool,
}

/// What a tunnel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Requests, from the side that dialled.
    Requests,
    /// Gossip, probes and admin calls, in both directions.
    Control,
}

/// The transport of a tunnel.
pub fn transport(settings: TransportSettings) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let accepts_requests = settings.carries == Carries::Requests && !settings.dialled;
    let streams = if accepts_requests { REQUEST_STREAMS_FIRST } else { CONTROL_STREAMS_MAX };
    let is_control = settings.carries == Carries::Control;
    let window = if is_control { CONTROL_WINDOW_BYTES } else { CONNECTION_WINDOW_BYTES };
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(GOSSIP_STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(window))
        .send_window(SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS_MAX))))
        // One side that keeps it alive is enough.
        .keep_alive_interval(settings.dialled.then_some(KEEP_ALIVE_INTERVAL))
        .initial_rtt(settings.initial_rtt.clamp(INITIAL_RTT_MIN, INITIAL_RTT_MAX))
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(PROBES_BYTES_MAX)
        .enable_segmentation_offload(true);
    if is_control {
        // What confirms probes and gossip rides with the next probe, as far as the library lets it: no later than a round
        // trip. A third of all that crosses a control tunnel is saved.
        let mut acknowledgements = AckFrequencyConfig::default();
        acknowledgements
            .max_ack_delay(Some(PROBE_INTERVAL_MAX))
            .ack_eliciting_threshold(VarInt::from_u32(UNACKNOWLEDGED_MAX));
        config.ack_frequency_config(Some(acknowledgements));
        config.datagram_receive_buffer_size(Some(PROBES_BYTES_MAX));
    }
    Arc::new(config)
}

/// Why a connection ended, for a log line: the peer's own words where it sent some, bounded.
pub fn close_text(error: &ConnectionError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(CLOSE_TEXT_CHARS_MAX).collect()
}

/// Packets of a control tunnel after which an acknowledgement waits no longer.
const UNACKNOWLEDGED_MAX: u32 = 10;
/// Probes that wait to be sent, or to be read; the oldest are lost.
const PROBES_BYTES_MAX: usize = 32 * PROBE_BYTES;
/// Request streams a peer may have open on one worker's tunnel at first.
pub(super) const REQUEST_STREAMS_FIRST: u32 = 512;
/// Request streams a peer may have open on one worker's tunnel.
pub(super) const REQUEST_STREAMS_MAX: u32 = 8_192;
/// Probe and admin streams a peer may have open on a control tunnel.
const CONTROL_STREAMS_MAX: u32 = 256;
/// Gossip messages a peer may have under way.
const GOSSIP_STREAMS_MAX: u32 = 64;
/// What one stream may send ahead of its reader: 5 MB/s at 100 ms.
pub(super) const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
/// What all streams of a connection that carries requests may send ahead of their readers. Memory that is used only while
/// readers are behind; once it is in use nothing arrives any more, which is what [`Backlog`](super::Backlog) prevents.
pub(super) const CONNECTION_WINDOW_BYTES: u32 = STREAMS_BEHIND_MAX * STREAM_WINDOW_BYTES;
/// Streams of one connection whose readers may be behind by all that they may be.
const STREAMS_BEHIND_MAX: u32 = 512;
/// What all streams of a control tunnel may send ahead of their readers, which take all at once.
const CONTROL_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// What a connection may hold of sent and not yet acknowledged bytes of long bodies.
pub(super) const SEND_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// The same with heads, short bodies and the beginnings of long ones, which long ones must not keep waiting.
pub(super) const URGENT_SEND_WINDOW_BYTES: u64 = 2 * SEND_WINDOW_BYTES;
/// Silence after which a connection is over.
const IDLE_MS_MAX: u32 = 5_000;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const INITIAL_RTT_MIN: Duration = Duration::from_millis(10);
const INITIAL_RTT_MAX: Duration = Duration::from_millis(500);
const CLOSE_TEXT_CHARS_MAX: usize = 400;
