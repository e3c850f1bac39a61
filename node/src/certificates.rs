//! Which certificate does a client see? A directory of certificates and keys, chosen by the names in them.
//!
//! `NAME.pem` and `NAME.key` are a pair. A pair that is broken, or becomes so, touches its own names only.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use graticule_node_core::policy::ShownCertificate;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::identity::WallClock;
use crate::world::World;

mod pair;

use pair::Pair;

/// The certificates of one directory. Cheap to clone; all clones see a reload.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    world: World,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Shelf>,
}

/// What handshakes use: replaced whole.
#[derive(Default)]
struct Shelf {
    stamp: u64,
    pairs: BTreeMap<String, Held>,
    by_name: HashMap<Box<str>, Arc<CertifiedKey>>,
}

/// One pair of files as they were last.
struct Held {
    stamp: u64,
    pair: Option<Arc<Pair>>,
    /// What is wrong with the files, or with their names.
    problem: Option<String>,
}

impl Certificates {
    /// Reads the directory. Pairs that cannot be used are left out, and told.
    pub fn load(directory: PathBuf, world: &World) -> io::Result<(Self, Vec<String>)> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let inner = Inner { directory, world: world.clone(), provider, current: ArcSwap::default() };
        let certificates = Self(Arc::new(inner));
        let problems = certificates.reload()?;
        Ok((certificates, problems.unwrap_or_default()))
    }

    /// Looks whether the directory has changed and takes what is good of it: `None` if it has not, else what is wrong now
    /// and was not before. Handshakes from now on use the new ones.
    pub fn reload(&self) -> io::Result<Option<Vec<String>>> {
        let Inner { directory, world, current, .. } = &*self.0;
        let old = current.load();
        let names = names(&world.disk.list(directory)?);
        let stamps: BTreeMap<_, _> = names
            .into_iter()
            .map(|name| (self.stamp(&name), name))
            .map(|(stamp, name)| (name, stamp))
            .collect();
        let stamp = stamps.iter().fold(1, |all: u64, (name, stamp)| {
            name.bytes().fold(all.rotate_left(7) ^ stamp, |all, byte| {
                all.wrapping_mul(31).wrapping_add(u64::from(byte))
            })
        });
        if stamp == old.stamp {
            return Ok(None);
        }
        let mut next = Shelf { stamp, ..Shelf::default() };
        for (name, stamp) in stamps {
            let held = self.hold(&name, stamp, old.pairs.get(&name));
            next.put(name, held);
        }
        let is_new = |(name, held): (&String, &Held)| {
            let before = old.pairs.get(name).and_then(|before| before.problem.as_ref());
            held.problem.as_ref().filter(|problem| Some(*problem) != before).cloned()
        };
        let problems = next.pairs.iter().filter_map(is_new).collect();
        current.store(Arc::new(next));
        Ok(Some(problems))
    }

    /// What clients are shown.
    pub fn shown(&self) -> Vec<ShownCertificate> {
        let current = self.0.current.load();
        let shown = |(name, held): (&String, &Held)| {
            let names = held.pair.as_ref()?.names.clone();
            Some(ShownCertificate { file: self.certificate(name).display().to_string(), names })
        };
        current.pairs.iter().filter_map(shown).collect()
    }

    /// When the certificates in use end, by the names that their files begin with.
    pub fn expiries(&self) -> Vec<(String, SystemTime)> {
        let current = self.0.current.load();
        let ends = |(name, held): (&String, &Held)| Some((name.clone(), held.pair.as_ref()?.not_after));
        current.pairs.iter().filter_map(ends).collect()
    }

    /// What is wrong with pairs, one text for each.
    pub fn problems(&self) -> Vec<String> {
        self.0.current.load().pairs.values().filter_map(|held| held.problem.clone()).collect()
    }

    /// Pairs with which something is wrong; an older form of one may be in use.
    pub fn faulty(&self) -> usize {
        self.0.current.load().pairs.values().filter(|held| held.problem.is_some()).count()
    }

    /// What TLS needs to serve clients with them.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let clock = Arc::new(WallClock(Arc::clone(&self.0.world.clock)));
        let mut tls = ServerConfig::builder_with_details(Arc::clone(&self.0.provider), clock)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Clients keep their sessions themselves; the library resumes one only for the name it was made for.
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        tls.ticketer = aws_lc_rs::Ticketer::new()?;
        tls.send_tls13_tickets = 1;
        tls.max_early_data_size = 0;
        Ok(Arc::new(tls))
    }

    fn hold(&self, name: &str, stamp: u64, old: Option<&Held>) -> Held {
        if let Some(old) = old.filter(|old| old.stamp == stamp) {
            return Held { stamp, pair: old.pair.clone(), problem: old.problem.clone() };
        }
        let Inner { directory, world, provider, .. } = &*self.0;
        let files = (self.certificate(name), directory.join(format!("{name}.{KEY}")));
        match Pair::load((&files.0, &files.1), name == DEFAULT, &*world.disk, provider) {
            Ok(pair) => Held { stamp, pair: Some(Arc::new(pair)), problem: None },
            Err(error) => {
                let pair = old.and_then(|old| old.pair.clone());
                Held { stamp, pair, problem: Some(error.to_string()) }
            }
        }
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.0.directory.join(format!("{name}.{CERTIFICATE}"))
    }

    /// Changes when one of the pair's files does.
    fn stamp(&self, name: &str) -> u64 {
        let Inner { directory, world, .. } = &*self.0;
        let stamp =
            |ending| world.disk.stamp(&directory.join(format!("{name}.{ending}"))).unwrap_or_default();
        stamp(CERTIFICATE).rotate_left(9) ^ stamp(KEY)
    }
}

impl Shelf {
    /// Adds a pair; a name that another pair has stays with that.
    fn put(&mut self, name: String, mut held: Held) {
        let pair = held.pair.clone();
        let names = pair.iter().flat_map(|pair| &pair.names).map(String::as_str);
        let unnamed = pair.iter().filter(|_| name == DEFAULT).map(|_| NOBODY);
        for host in names.chain(unnamed) {
            if self.by_name.contains_key(host) {
                let problem = format!(
                    "{name}.{CERTIFICATE}: `{host}` is shown with another pair already; remove one of them"
                );
                held.problem.get_or_insert(problem);
            } else if let Some(pair) = &pair {
                self.by_name.insert(host.into(), Arc::clone(&pair.certified));
            }
        }
        self.pairs.insert(name, held);
    }

    fn find(&self, host: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(host) = host else { return self.by_name.get(NOBODY) };
        self.by_name.get(host).or_else(|| {
            let (_, parent) = host.split_once('.')?;
            self.by_name.get(format!("*.{parent}").as_str())
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.current.load().find(hello.server_name()).map(Arc::clone)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.directory).finish()
    }
}

/// What pairs there are, by the names that their files begin with.
fn names(files: &[PathBuf]) -> Vec<String> {
    let name = |path: &Path| {
        let ending = path.extension()?.to_str()?;
        let name = path.file_stem()?.to_str()?;
        [CERTIFICATE, KEY].contains(&ending).then(|| name.to_owned())
    };
    let mut names: Vec<_> = files.iter().filter_map(|path| name(path)).collect();
    names.sort();
    names.dedup();
    names.truncate(PAIRS_MAX);
    names
}

const CERTIFICATE: &str = "pem";
const KEY: &str = "key";
/// The pair for clients that ask for no name.
const DEFAULT: &str = "default";
/// How such clients stand in the table: no host has this name.
const NOBODY: &str = "";
/// Pairs in one directory.
const PAIRS_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
