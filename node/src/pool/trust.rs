//! Whom to believe when a backend shows its certificate: public authorities, or those of a file that its pool names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use graticule_node_core::Policy;
use graticule_node_core::policy::{BackendTls, Pool, Protocol};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use crate::identity::{WallClock, read_roots};
use crate::world::{Clock, World};

/// The authorities of every pool, shared by workers and checks. Cheap to clone; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Trust(Arc<ArcSwap<Configs>>);

/// By file; without one, the public authorities.
type Configs = BTreeMap<Option<Box<str>>, Config>;

/// How connections are made that believe the same authorities.
#[derive(Debug, Clone)]
struct Config {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    /// Of the file when it was read.
    stamp: u64,
}

impl Trust {
    /// Reads the files that pools of `policy` name, as far as they have changed. One that cannot be used keeps what was
    /// read before, if there was anything; then and otherwise, it is among the errors.
    pub(super) fn adopt(&self, world: &World, documents: &Path, policy: &Policy) -> Vec<String> {
        let known = self.0.load_full();
        let (mut configs, mut errors, mut changed) = (Configs::new(), Vec::new(), false);
        for file in files(policy) {
            let path = file.as_deref().map(|file| documents.join(file));
            let stamp = path.as_ref().map_or(0, |path| world.disk.stamp(path).unwrap_or_default());
            let before = known.get(&file).cloned();
            if let Some(before) = before.clone().filter(|before| before.stamp == stamp) {
                configs.insert(file, before);
                continue;
            }
            changed = true;
            match read(world, path.as_deref(), stamp) {
                Ok(config) => drop(configs.insert(file, config)),
                Err(error) => {
                    errors.push(error);
                    configs.extend(before.map(|before| (file, before)));
                }
            }
        }
        if changed || configs.len() != known.len() {
            self.0.store(Arc::new(configs));
        }
        errors
    }

    /// How to connect to a backend of that pool; `None` if its authorities could not be read.
    pub(super) fn config(&self, tls: &BackendTls, protocol: Protocol) -> Option<Arc<ClientConfig>> {
        let configs = self.0.load();
        let config = configs.get(&tls.authorities)?;
        Some(Arc::clone(match protocol {
            Protocol::Http1 => &config.http1,
            Protocol::Http2 => &config.http2,
        }))
    }
}

fn read(world: &World, path: Option<&Path>, stamp: u64) -> Result<Config, String> {
    let roots = match path {
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        Some(path) => read_roots(&*world.disk, path).map_err(|error| {
            format!("{} {error}; mend the file, or name another in `tls.ca`", path.display())
        })?,
    };
    let roots = Arc::new(roots);
    let client = |protocol: &[u8]| config(&world.clock, &roots, protocol).map_err(|error| error.to_string());
    Ok(Config { http1: client(b"http/1.1")?, http2: client(b"h2")?, stamp })
}

fn config(
    clock: &Arc<dyn Clock>,
    roots: &Arc<RootCertStore>,
    protocol: &[u8],
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(WallClock(Arc::clone(clock))))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

/// What the pools of a policy name, whatever their region: a document is right or wrong on every node.
fn files(policy: &Policy) -> BTreeSet<Option<Box<str>>> {
    let tenants = policy.tenants.iter();
    let pools = tenants.flat_map(|tenant| {
        let named = tenant.named.iter().flat_map(|named| &named.pools);
        tenant.pools.iter().chain(named).map(|(_, pool): &(_, Pool)| pool)
    });
    pools.filter_map(|pool| pool.tls.as_ref()).map(|tls| tls.authorities.clone()).collect()
}
