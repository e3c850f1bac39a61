//! How a backend is connected to: TCP, and TLS with a verified name if its pool says so.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use graticule_node_core::policy::{BackendTls, Protocol};
use graticule_node_core::pool::Fault;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Trust;
use crate::world::{Net, Stream};

/// What a connection leads to. Connections to different ones are never mixed, whoever asks for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) tls: Option<BackendTls>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// Nobody answers there.
    Unreachable(io::Error),
    /// Not in time.
    TimedOut,
    /// Whoever answers could not show that it is whom the pool names, or speaks another protocol.
    Untrusted(io::Error),
}

/// Connects within `limit`, TLS handshake included.
pub(super) async fn connect(
    net: &dyn Net,
    trust: &Trust,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<Stream, ConnectError> {
    timeout(limit, establish(net, trust, endpoint)).await.unwrap_or(Err(ConnectError::TimedOut))
}

async fn establish(net: &dyn Net, trust: &Trust, endpoint: &Endpoint) -> Result<Stream, ConnectError> {
    let stream = net.connect(endpoint.address).await.map_err(ConnectError::Unreachable)?;
    match &endpoint.tls {
        None => Ok(stream),
        Some(tls) => Box::pin(secure(stream, trust, tls, endpoint.protocol)).await,
    }
}

async fn secure(
    stream: Stream,
    trust: &Trust,
    tls: &BackendTls,
    protocol: Protocol,
) -> Result<Stream, ConnectError> {
    let untrusted = |error: &str| ConnectError::Untrusted(io::Error::other(error.to_owned()));
    let config =
        trust.config(tls, protocol).ok_or_else(|| untrusted("the pool's authorities cannot be read"))?;
    let name = ServerName::try_from(tls.name.to_string()).map_err(|error| untrusted(&error.to_string()))?;
    let connector = TlsConnector::from(config);
    let stream = connector.connect(name, stream).await.map_err(ConnectError::Untrusted)?;
    let agreed = stream.get_ref().1.alpn_protocol();
    if protocol == Protocol::Http2 && agreed != Some(b"h2") {
        return Err(untrusted("the backend does not speak HTTP/2"));
    }
    Ok(Box::new(stream))
}

impl ConnectError {
    /// In one of the words that are shared.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => Fault::Refused,
            Self::Unreachable(_) => Fault::Unreachable,
            Self::TimedOut => Fault::ConnectTimedOut,
            Self::Untrusted(_) => Fault::Untrusted,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) | Self::Untrusted(error) => error.fmt(f),
            Self::TimedOut => f.write_str("no connection in time"),
        }
    }
}
