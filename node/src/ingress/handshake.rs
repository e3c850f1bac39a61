//! TLS with a client: what the handshake gives.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::Secured;
use crate::shared::Rejection;
use crate::world::Stream;

/// A connection after its handshake.
pub(super) struct Shaken {
    /// What is spoken inside.
    pub(super) stream: Stream,
    pub(super) secured: Secured,
    /// Whether both ends have agreed on HTTP/2.
    pub(super) is_http2: bool,
}

/// Makes the handshake. No deadline: the caller has one.
pub(super) async fn make(stream: Stream, tls: Arc<ServerConfig>) -> io::Result<Shaken> {
    let made = TlsAcceptor::from(tls).accept(stream).await;
    let stream = made.inspect_err(|error| tracing::debug!(%error, "a client's TLS handshake failed"))?;
    let (_, connection) = stream.get_ref();
    let server_name = connection.server_name().map(str::to_ascii_lowercase);
    let is_http2 = connection.alpn_protocol() == Some(b"h2");
    Ok(Shaken { secured: Secured { server_name }, is_http2, stream: Box::new(stream) })
}

/// Why a connection without TLS is closed; none if its client has gone.
pub(super) fn rejection(error: &io::Error) -> Option<Rejection> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::General(what) if what == NO_CERTIFICATE => Some(Rejection::UnknownServerName),
        _ => Some(Rejection::TlsHandshake),
    }
}

/// What the library calls it that there is no certificate for a name.
const NO_CERTIFICATE: &str = "no server certificate chain resolved";
