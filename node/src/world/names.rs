//! The machine's name resolution.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

use super::Names;

/// The operating system's resolver.
#[derive(Debug)]
pub(super) struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn resolve(&self, host_and_port: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host(host_and_port).await?.collect())
    }
}
