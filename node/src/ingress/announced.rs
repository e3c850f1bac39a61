//! The client that a load balancer announces before it passes a connection on.

use std::io;
use std::net::IpAddr;

use graticule_node_core::proxy_protocol::{ProxyHeaderError, Wanted, source, wanted};
use tokio::io::AsyncReadExt;

use crate::shared::Rejection;
use crate::world::Stream;

/// Reads a PROXY header and nothing after it: who the client is, or `None` for the load balancer itself. No deadline: the
/// caller has one.
pub(super) async fn read(stream: &mut Stream) -> io::Result<Option<IpAddr>> {
    let mut header = Vec::with_capacity(HEADER_BYTES_EXPECTED);
    loop {
        let from = header.len();
        let to = match wanted(&header).map_err(io::Error::other)? {
            Wanted::Nothing => return source(&header).map_err(io::Error::other),
            Wanted::Bytes(all) => all,
            Wanted::Line => from + 1,
        };
        header.resize(to, 0);
        stream.read_exact(&mut header[from..]).await?;
    }
}

/// Why a connection without a good header is closed; none if its other end has gone.
pub(super) fn rejection(error: &io::Error) -> Option<Rejection> {
    match error.get_ref()?.downcast_ref::<ProxyHeaderError>()? {
        ProxyHeaderError::Missing => Some(Rejection::ProxyMissing),
        ProxyHeaderError::TooLong | ProxyHeaderError::Malformed => Some(Rejection::ProxyMalformed),
    }
}

/// Most headers fit.
const HEADER_BYTES_EXPECTED: usize = 128;
