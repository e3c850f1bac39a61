//! How tunnels are tuned: windows, limits, keep-alive and first guesses.

use std::sync::Arc;
use std::time::Duration;

use graticule_node_core::mesh::PROBE_INTERVAL;
use quinn::{AckFrequencyConfig, ConnectionError, IdleTimeout, TransportConfig, VarInt};

/// What differs from tunnel to tunnel.
#[derive(Debug, Clone, Copy)]
pub struct TransportSettings {
    /// The round trip expected before the first measurement, from the distance of the two regions.
    pub initial_rtt: Duration,
    /// Whether requests may be opened towards this side.
    pub accepts_requests: bool,
    /// Whether the other side probes, again and again, and nothing that it does in between is urgent.
    pub answers_probes: bool,
}

/// The transport of a tunnel.
pub fn transport(settings: TransportSettings) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let streams = if settings.accepts_requests { REQUEST_STREAMS_FIRST } else { CONTROL_STREAMS_MAX };
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(GOSSIP_STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS_MAX))))
        .keep_alive_interval(Some(KEEP_ALIVE_INTERVAL))
        .initial_rtt(settings.initial_rtt.clamp(INITIAL_RTT_MIN, INITIAL_RTT_MAX))
        .datagram_receive_buffer_size(None)
        .enable_segmentation_offload(true);
    if settings.answers_probes {
        // What confirms an answer rides with the next probe: a third of all that crosses a control tunnel is saved.
        let mut acknowledgements = AckFrequencyConfig::default();
        acknowledgements.max_ack_delay(Some(PROBE_INTERVAL));
        config.ack_frequency_config(Some(acknowledgements));
    }
    Arc::new(config)
}

/// Why a connection ended, for a log line: the peer's own words where it sent some, bounded.
pub fn close_text(error: &ConnectionError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(CLOSE_TEXT_CHARS_MAX).collect()
}

/// Request streams a peer may have open on one worker's tunnel at first.
pub(super) const REQUEST_STREAMS_FIRST: u32 = 512;
/// Request streams a peer may have open on one worker's tunnel.
pub(super) const REQUEST_STREAMS_MAX: u32 = 8_192;
/// Probe and admin streams a peer may have open on a control tunnel.
const CONTROL_STREAMS_MAX: u32 = 256;
/// Gossip messages a peer may have under way.
const GOSSIP_STREAMS_MAX: u32 = 64;
/// What one stream may send ahead of its reader: 20 MB/s at 100 ms.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// What all streams of a connection may send ahead of their readers.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// What a connection may hold of sent and not yet acknowledged bytes.
const SEND_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// Silence after which a connection is over.
const IDLE_MS_MAX: u32 = 5_000;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const INITIAL_RTT_MIN: Duration = Duration::from_millis(10);
const INITIAL_RTT_MAX: Duration = Duration::from_millis(500);
const CLOSE_TEXT_CHARS_MAX: usize = 400;
