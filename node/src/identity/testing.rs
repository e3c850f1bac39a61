//! A world whose disk and clock a test sets, and identities in it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use graticule_gossip_core::{MeshName, NodeName, RegionName};
use graticule_node_core::Moment;
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, PKCS_ED25519, SanType, date_time_ymd,
};

use super::ca::{Authority, Issued};
use super::{Identity, IdentityError, IdentityFiles};
use crate::world::{Clock, Disk, World};

/// Files and a clock in memory, and the system's sockets.
pub(super) struct Machine {
    pub(super) disk: Arc<MemoryDisk>,
    pub(super) clock: Arc<SetClock>,
    pub(super) world: World,
}

impl Machine {
    pub(super) fn new() -> Self {
        let disk = Arc::new(MemoryDisk::default());
        let clock = Arc::new(SetClock(Mutex::new(today())));
        let world = World {
            disk: Arc::clone(&disk) as Arc<dyn Disk>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..World::system()
        };
        Self { disk, clock, world }
    }

    /// Writes a node's three files.
    pub(super) fn write(&self, issued: &Issued, bundle: &str) -> IdentityFiles {
        self.disk.put("node.pem", &issued.certificate);
        self.disk.put("node.key", &issued.key);
        self.disk.put("ca.pem", bundle);
        files()
    }

    pub(super) fn load(&self) -> Result<Identity, IdentityError> {
        Identity::load(files(), &self.world)
    }
}

/// An identity on a machine of its own, good for 90 days.
pub(super) fn identity(authority: &Authority, region: &str, node: &str) -> Identity {
    node_of(&issued(authority, region, node), authority.certificate()).1
}

/// A machine with these files, and the identity that they are.
pub(super) fn node_of(issued: &Issued, bundle: &str) -> (Machine, Identity) {
    let machine = Machine::new();
    machine.write(issued, bundle);
    let identity = machine.load().expect("the files are good");
    (machine, identity)
}

pub(super) fn authority(mesh: &str) -> Authority {
    Authority::create(&mesh.parse::<MeshName>().unwrap(), 3_650, today()).unwrap()
}

pub(super) fn issued(authority: &Authority, region: &str, node: &str) -> Issued {
    let (region, node) = (region.parse::<RegionName>().unwrap(), node.parse::<NodeName>().unwrap());
    authority.issue(&region, &node, 90, today()).unwrap()
}

/// A certificate that `authority` would never issue, signed with its key.
pub(super) fn odd(authority: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Issued {
    odd_signed_by(authority, &authority.key(), change)
}

/// The same under the authority's name, with any key.
pub(super) fn odd_signed_by(
    authority: &Authority,
    key: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Issued {
    let issuer = Issuer::from_ca_cert_pem(authority.certificate(), KeyPair::from_pem(key).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "odd");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 6, 1);
    params.subject_alt_names = vec![uri("spiffe://atlas/region/eu/node/odd")];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Issued { certificate: certificate.pem(), key: key.serialize_pem(), not_after: today() }
}

/// 2026-11-23T00:00:00Z.
pub(super) fn today() -> SystemTime {
    UNIX_EPOCH + 20_780 * DAY
}

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

pub(super) fn files() -> IdentityFiles {
    IdentityFiles { certificate: "node.pem".into(), key: "node.key".into(), authorities: "ca.pem".into() }
}

#[derive(Debug, Default)]
pub(super) struct MemoryDisk(Mutex<BTreeMap<PathBuf, (u64, Vec<u8>)>>);

impl MemoryDisk {
    pub(super) fn put(&self, path: &str, contents: impl AsRef<[u8]>) {
        self.replace(Path::new(path), contents.as_ref()).unwrap();
    }

    pub(super) fn remove(&self, path: &str) {
        self.0.lock().unwrap().remove(Path::new(path));
    }

    fn find<T>(&self, path: &Path, take: impl FnOnce(&(u64, Vec<u8>)) -> T) -> io::Result<T> {
        self.0.lock().unwrap().get(path).map(take).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let contents = self.find(path, |(_, contents)| contents.clone())?;
        if contents.len() > bytes_max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(contents) }
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let stamp = files.get(path).map_or(0, |(stamp, _)| stamp + 1);
        files.insert(path.to_owned(), (stamp, contents.to_vec()));
        Ok(())
    }

    fn list(&self, _directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }

    fn stamp(&self, path: &Path) -> io::Result<u64> {
        self.find(path, |(stamp, _)| *stamp)
    }

    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct SetClock(Mutex<SystemTime>);

impl SetClock {
    pub(super) fn set(&self, now: SystemTime) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Moment {
        Moment::from_micros(0)
    }

    fn wall(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    fn cpu_time(&self) -> Duration {
        Duration::ZERO
    }
}

pub(super) const DAY: Duration = Duration::from_hours(24);
