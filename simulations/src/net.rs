//! How does a node reach the network: the world's sockets in memory, for one life of one host.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use graticule::world::{Listener, Net, Stream};

use crate::network::{Life, Network};

pub(crate) mod tcp;
pub(crate) mod udp;

/// The network as one host sees it until it crashes.
#[derive(Debug)]
pub(crate) struct MemoryNet {
    network: Arc<Network>,
    life: Life,
}

impl MemoryNet {
    pub(crate) fn new(network: Arc<Network>, life: Life) -> Self {
        Self { network, life }
    }
}

#[async_trait]
impl Net for MemoryNet {
    fn listen(&self, address: SocketAddr, shared: bool) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(tcp::MemoryListener::bind(&self.network, self.life, address, shared)?))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        Ok(Box::new(tcp::MemoryStream::connect(&self.network, self.life, address).await?))
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<Arc<dyn quinn::AsyncUdpSocket>> {
        Ok(Arc::new(udp::UdpSocket::bind(&self.network, self.life, address)?))
    }
}
