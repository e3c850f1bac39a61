//! One QUIC endpoint: server and client on one UDP port.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use quinn_proto::HashedConnectionIdGenerator;
use rand::RngCore;

use super::transport::{Carries, TransportSettings, transport};
use crate::identity::TunnelSecret;
use crate::world::World;

/// Why an endpoint could not be bound.
#[derive(Debug)]
pub struct EndpointError {
    address: SocketAddr,
    error: std::io::Error,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = "choose another address in `mesh.listen`, or stop what has this one; each worker takes one port behind it";
        write!(f, "cannot bind UDP {}: {}; {advice}", self.address, self.error)
    }
}

impl std::error::Error for EndpointError {}

/// Binds an endpoint at `address` which answers with `server`, for tunnels that carry such things.
///
/// Peers that still hold connections to an earlier life of it, with the same `secret`, are told with the next thing they
/// send that those are gone.
pub fn bind(
    world: &World,
    address: SocketAddr,
    (mut server, secret): (ServerConfig, &TunnelSecret),
    carries: Carries,
) -> Result<Endpoint, EndpointError> {
    server.migration(false);
    let settings = TransportSettings { initial_rtt: UNKNOWN_RTT, carries, dialled: false };
    server.transport_config(transport(settings));
    let config = config(world, secret, address.port());
    world
        .net
        .bind_udp(address)
        .and_then(|socket| {
            Endpoint::new_with_abstract_socket(config, Some(server), socket, Arc::new(TokioRuntime))
        })
        .map_err(|error| EndpointError { address, error })
}

fn config(world: &World, secret: &TunnelSecret, port: u16) -> EndpointConfig {
    let mut seed = [0; 32];
    world.chance.generator().fill_bytes(&mut seed);
    let mut config = EndpointConfig::new(Arc::new(secret.reset_key(port)));
    let connection_ids = secret.connection_id_key(port);
    config
        .rng_seed(Some(seed))
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(connection_ids)))
        .min_reset_interval(RESET_INTERVAL);
    config
}

/// How often connections of an earlier life are ended: 200 peers with some tunnels each within a second.
const RESET_INTERVAL: Duration = Duration::from_millis(1);
/// The side that is dialled does not know from where.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);
