//! The machine's name resolution.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use graticule_node_core::pool::Resolved;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::sync::OnceCell;

use super::Names;

/// The operating system's resolver for what is asked once, and one that tells times to live for what is followed.
#[derive(Debug)]
pub(super) struct SystemNames {
    servers: Vec<SocketAddr>,
    /// Made when it is first asked: a node whose backends all have addresses needs none.
    resolver: OnceCell<TokioResolver>,
}

impl SystemNames {
    /// Asks these servers, or without any those that the machine is configured with.
    pub(super) fn asking(servers: Vec<SocketAddr>) -> Self {
        Self { servers, resolver: OnceCell::new() }
    }

    async fn resolver(&self) -> io::Result<&TokioResolver> {
        let made = self.resolver.get_or_try_init(|| async { self.make() }).await;
        made.map_err(|error| io::Error::other(format!("no DNS servers: {error}")))
    }

    fn make(&self) -> Result<TokioResolver, NetError> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        // Who asks keeps what it was told for as long as it holds; a second memory would only add its age.
        options.cache_size = 0;
        options.timeout = ATTEMPT_TIMEOUT;
        options.attempts = ATTEMPTS;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        builder.build()
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(with_port).into();
    NameServerConfig::new(server.ip(), true, connections)
}

#[async_trait]
impl Names for SystemNames {
    async fn resolve(&self, host_and_port: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host(host_and_port).await?.collect())
    }

    async fn lookup(&self, name: &str) -> io::Result<Resolved> {
        let found = self.resolver().await?.lookup_ip(name).await.map_err(io::Error::other)?;
        let ttl = found.as_lookup().answers().iter().map(|record| record.ttl).min().unwrap_or_default();
        Ok(Resolved { addresses: found.iter().collect(), ttl: Duration::from_secs(ttl.into()) })
    }
}

/// How long one server may take for one answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often servers are asked for one lookup.
const ATTEMPTS: usize = 2;
