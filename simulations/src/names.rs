//! Which addresses does a name have: one table for every host of a simulation.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use graticule::world::Names;
use graticule_node_core::pool::Resolved;

/// The table. Cheap to clone; clones are the same table.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameTable(Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>);

impl NameTable {
    /// Gives a name these addresses instead of those it had; with none, the name does not exist.
    pub(crate) fn set(&self, name: &str, addresses: Vec<IpAddr>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_ascii_lowercase(), addresses);
    }

    fn find(&self, name: &str) -> Vec<IpAddr> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(&name.to_ascii_lowercase()).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Names for NameTable {
    async fn resolve(&self, host_and_port: &str) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host_and_port.parse() {
            return Ok(vec![address]);
        }
        let invalid = || {
            io::Error::new(io::ErrorKind::InvalidInput, format!("`{host_and_port}`: expected `host:port`"))
        };
        let (name, port) = host_and_port.rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().map_err(|_| invalid())?;
        match self.find(name) {
            found if found.is_empty() => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("`{name}`: no such name")))
            }
            found => Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect()),
        }
    }

    async fn lookup(&self, name: &str) -> io::Result<Resolved> {
        match self.find(name) {
            found if found.is_empty() => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("`{name}`: no such name")))
            }
            addresses => Ok(Resolved { addresses, ttl: TTL }),
        }
    }
}

/// How long every answer holds.
const TTL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(table: &NameTable, text: &str) -> Result<Vec<String>, io::ErrorKind> {
        let found = table.resolve(text).await.map_err(|error| error.kind())?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn names_have_their_newest_addresses_and_addresses_need_no_table() {
        let table = NameTable::default();
        table.set("backend.eu", vec!["10.0.0.9".parse().unwrap()]);
        table.set("backend.eu", vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]);
        assert_eq!(resolve(&table, "Backend.EU:80").await.unwrap(), ["10.0.0.1:80", "[fd00::1]:80"]);
        assert_eq!(resolve(&table, "127.0.0.1:81").await.unwrap(), ["127.0.0.1:81"]);
        assert_eq!(resolve(&table, "[::1]:82").await.unwrap(), ["[::1]:82"]);
    }

    #[tokio::test]
    async fn a_lookup_tells_how_long_it_holds() {
        let table = NameTable::default();
        table.set("backend.eu", vec!["10.0.0.9".parse().unwrap()]);
        let found = table.lookup("backend.eu").await.unwrap();
        assert_eq!((found.addresses.len(), found.ttl), (1, TTL));
        assert_eq!(table.lookup("never").await.map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn unknown_and_malformed_names_are_errors() {
        let table = NameTable::default();
        table.set("gone", Vec::new());
        assert_eq!(resolve(&table, "gone:80").await, Err(io::ErrorKind::NotFound));
        assert_eq!(resolve(&table, "never:80").await, Err(io::ErrorKind::NotFound));
        assert_eq!(resolve(&table, "no-port").await, Err(io::ErrorKind::InvalidInput));
        assert_eq!(resolve(&table, "name:99999").await, Err(io::ErrorKind::InvalidInput));
    }
}
