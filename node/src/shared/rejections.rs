//! How often was a client's connection closed before its first request, and why?

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection is closed before its first request. One that its client ends is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// It comes from a network of `proxy_protocol`, and does not begin with a PROXY header.
    ProxyMissing,
    /// Its PROXY header breaks the protocol or is too long.
    ProxyMalformed,
    /// Its PROXY header does not come in time.
    ProxyTimeout,
    /// No certificate is for the name that it asks for.
    UnknownServerName,
    /// TLS cannot be agreed on.
    TlsHandshake,
    /// The TLS handshake takes too long.
    TlsTimeout,
    /// Its first bytes do not come in time.
    FirstBytesTimeout,
    /// It begins with what is no HTTP.
    NotHttp,
}

impl Rejection {
    /// All of them, in the order of their counts.
    pub const ALL: [Self; 8] = [
        Self::ProxyMissing,
        Self::ProxyMalformed,
        Self::ProxyTimeout,
        Self::UnknownServerName,
        Self::TlsHandshake,
        Self::TlsTimeout,
        Self::FirstBytesTimeout,
        Self::NotHttp,
    ];

    /// Its name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ProxyMissing => "proxy-header-missing",
            Self::ProxyMalformed => "proxy-header-malformed",
            Self::ProxyTimeout => "proxy-header-timeout",
            Self::UnknownServerName => "unknown-server-name",
            Self::TlsHandshake => "tls-handshake",
            Self::TlsTimeout => "tls-timeout",
            Self::FirstBytesTimeout => "first-bytes-timeout",
            Self::NotHttp => "not-http",
        }
    }
}

/// Counts by reason, since the node's start.
#[derive(Debug, Default)]
pub struct RejectionCounts([AtomicU64; Rejection::ALL.len()]);

impl RejectionCounts {
    /// Counts one.
    pub fn count(&self, rejection: Rejection) {
        self.0[rejection as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every reason with its count.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Rejection::ALL
            .into_iter()
            .map(|rejection| (rejection.label(), self.0[rejection as usize].load(Ordering::Relaxed)))
    }
}
