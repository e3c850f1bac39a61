//! `[ingress.http2]`: what one client can ask for over HTTP/2, beside what holds for every version.

use std::time::Duration;

use super::count;
use crate::document::page::Page;
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::{duration, integer};
use crate::frame_meter::FrameLimits;

/// What one HTTP/2 connection can hold and cost. Nothing of it is left to the HTTP library's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams open at once.
    pub streams_max: u32,
    /// What a client may send on one stream before it is read.
    pub stream_window_bytes: u32,
    /// What a client may send on all streams together before it is read.
    pub connection_window_bytes: u32,
    /// The largest frame that a client may send.
    pub frame_bytes_max: u32,
    /// What a client's header compression may make this end remember.
    pub header_table_bytes_max: u32,
    /// What is kept of one answer until the client takes it.
    pub send_buffer_bytes_max: u32,
    /// Streams that a client has opened and reset before they were looked at.
    pub pending_resets_max: u32,
    /// Streams that this end has reset for a client's mistakes, over a connection's life.
    pub error_resets_max: u32,
    /// How often a client is asked whether it is still there.
    pub ping_interval: Duration,
    /// How long it may take to say so.
    pub ping_timeout: Duration,
    /// Frames that cost more than they say.
    pub frames: FrameLimits,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams_max: 100,
            stream_window_bytes: 256 << 10,
            connection_window_bytes: 1 << 20,
            frame_bytes_max: FRAME_BYTES,
            header_table_bytes_max: 4_096,
            send_buffer_bytes_max: 256 << 10,
            pending_resets_max: 20,
            error_resets_max: 100,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            frames: FrameLimits {
                control_frames_per_second_max: 200,
                resets_per_second_max: 200,
                empty_frames_per_second_max: 200,
            },
        }
    }
}

/// Reads the table.
pub(super) fn read(page: &Page, node: &Node) -> Option<Http2Limits> {
    let table = Table::open(page, node, KEYS)?;
    let default = Http2Limits::default();
    let bytes = |key: &str, default: u32, min: u32, max: u32| {
        let written = table.optional(key, integer(min.into()..=max.into()));
        written.map_or(default, |at| at.value.unsigned_abs() as u32)
    };
    let number = |key: &str, default: u32| count(&table, key, default, COUNT_MAX);
    let time = |key: &str, default: Duration| table.or(key, default, duration(PING_MIN..=PING_MAX));
    let window = |key: &str, default: u32| bytes(key, default, WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
    let frames = default.frames;
    Some(Http2Limits {
        streams_max: number("streams_max", default.streams_max),
        stream_window_bytes: window("stream_window_bytes", default.stream_window_bytes),
        connection_window_bytes: window("connection_window_bytes", default.connection_window_bytes),
        frame_bytes_max: bytes("frame_bytes_max", default.frame_bytes_max, FRAME_BYTES, FRAME_BYTES_MAX),
        header_table_bytes_max: bytes("header_table_bytes_max", default.header_table_bytes_max, 0, 64 << 10),
        send_buffer_bytes_max: bytes(
            "send_buffer_bytes_max",
            default.send_buffer_bytes_max,
            FRAME_BYTES,
            16 << 20,
        ),
        pending_resets_max: number("pending_resets_max", default.pending_resets_max),
        error_resets_max: number("error_resets_max", default.error_resets_max),
        ping_interval: time("ping_interval", default.ping_interval),
        ping_timeout: time("ping_timeout", default.ping_timeout),
        frames: FrameLimits {
            control_frames_per_second_max: number(
                "control_frames_per_second_max",
                frames.control_frames_per_second_max,
            ),
            resets_per_second_max: number("resets_per_second_max", frames.resets_per_second_max),
            empty_frames_per_second_max: number(
                "empty_frames_per_second_max",
                frames.empty_frames_per_second_max,
            ),
        },
    })
}

const KEYS: &[Key] = &[
    key("streams_max", "100"),
    key("stream_window_bytes", "262144"),
    key("connection_window_bytes", "1048576"),
    key("frame_bytes_max", "16384"),
    key("header_table_bytes_max", "4096"),
    key("send_buffer_bytes_max", "262144"),
    key("pending_resets_max", "20"),
    key("error_resets_max", "100"),
    key("ping_interval", "\"30s\""),
    key("ping_timeout", "\"20s\""),
    key("control_frames_per_second_max", "200"),
    key("resets_per_second_max", "200"),
    key("empty_frames_per_second_max", "200"),
];

const COUNT_MAX: u32 = 100_000;
/// What RFC 9113 begins with, and the least that it allows for frames.
const FRAME_BYTES: u32 = 16_384;
const FRAME_BYTES_MAX: u32 = (1 << 24) - 1;
/// The protocol's own first window, which no setting takes back.
const WINDOW_BYTES_MIN: u32 = 65_535;
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;
const PING_MIN: Duration = Duration::from_secs(1);
const PING_MAX: Duration = Duration::from_hours(1);
