//! One QUIC endpoint: server and client on one UDP port.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use rand::RngCore;

use super::transport::{TransportSettings, transport};
use crate::world::World;

/// Why an endpoint could not be bound.
#[derive(Debug)]
pub struct EndpointError {
    address: SocketAddr,
    error: std::io::Error,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot bind UDP {}: {}", self.address, self.error)
    }
}

impl std::error::Error for EndpointError {}

/// Binds an endpoint at `address` which answers with `server` and takes requests if it is a worker's.
pub fn bind(
    world: &World,
    address: SocketAddr,
    mut server: ServerConfig,
    accepts_requests: bool,
) -> Result<Endpoint, EndpointError> {
    let mut seed = [0; 32];
    world.chance.generator().fill_bytes(&mut seed);
    let mut config = EndpointConfig::default();
    config.rng_seed(Some(seed));
    server.migration(false);
    server.transport_config(transport(TransportSettings { initial_rtt: UNKNOWN_RTT, accepts_requests }));
    world
        .net
        .bind_udp(address)
        .and_then(|socket| {
            Endpoint::new_with_abstract_socket(config, Some(server), socket, Arc::new(TokioRuntime))
        })
        .map_err(|error| EndpointError { address, error })
}

/// The side that is dialled does not know from where.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);
