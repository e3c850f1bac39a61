//! What one worker's clients may ask for, and how long they may take.

use graticule_node_core::config::{self, Http2Limits};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use super::connection::Streams;
use crate::ticker::Ticks;

/// Limits of one worker's client side.
#[derive(Debug, Clone, Copy)]
pub struct IngressLimits {
    /// As they are configured, with this worker's share of the connections; further ones wait in the kernel's queue.
    pub client: config::IngressLimits,
    /// What HTTP/2 needs beside.
    pub http2: Http2Limits,
}

/// The times among the limits, as the worker's clock counts them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    pub(super) sniff: Ticks,
    pub(super) proxy: Ticks,
    pub(super) handshake: Ticks,
    pub(super) head: Ticks,
    pub(super) idle: Ticks,
}

impl IngressLimits {
    pub(super) fn deadlines(&self) -> Deadlines {
        Deadlines {
            sniff: Ticks::at_least(self.client.sniff_timeout),
            proxy: Ticks::at_least(self.client.proxy_timeout),
            handshake: Ticks::at_least(self.client.handshake_timeout),
            head: Ticks::at_least(self.client.header_timeout),
            idle: Ticks::at_least(self.client.idle_timeout),
        }
    }

    /// HTTP/1; it has no timer, because its deadlines are not the library's.
    pub(super) fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .max_buf_size((self.client.header_bytes_max as usize).max(HYPER_BUFFER_BYTES_MIN))
            .max_headers(self.client.headers_max as usize)
            .header_read_timeout(None);
        builder
    }

    /// HTTP/2, with everything set that can be.
    pub(super) fn http2(&self) -> http2::Builder<Streams> {
        let limits = self.http2;
        let mut builder = http2::Builder::new(Streams);
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.ping_interval)
            .keep_alive_timeout(limits.ping_timeout)
            .adaptive_window(false)
            .initial_stream_window_size(limits.stream_window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes)
            .enable_connect_protocol()
            .max_concurrent_streams(limits.streams_max)
            .max_frame_size(limits.frame_bytes_max)
            .max_header_list_size(self.client.header_bytes_max)
            .header_table_size(limits.header_table_bytes_max)
            .max_send_buf_size(limits.send_buffer_bytes_max as usize)
            .max_pending_accept_reset_streams(limits.pending_resets_max as usize)
            .max_local_error_reset_streams(limits.error_resets_max as usize);
        builder
    }
}

/// The library takes no smaller buffer.
const HYPER_BUFFER_BYTES_MIN: usize = 8_192;
