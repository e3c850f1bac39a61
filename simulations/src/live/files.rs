//! What the nodes of a live fleet read: certificates, documents, configurations and geo databases, in a directory that
//! goes with it.

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use graticule::identity::ca::Authority;
use graticule::world::World;
use tempfile::TempDir;

use super::Programs;
use super::janitor::{Janitor, PREFIX};
use crate::fleet::{FleetPlan, MESH, RegionPlan, geo};
use crate::scenario::GeoFault;

/// The directory of a live fleet; removed with it, also if the program is killed.
pub(super) struct Files {
    directory: TempDir,
    _janitor: Janitor,
    authority: Authority,
}

/// A node's name and region, and where it listens.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) region: RegionPlan,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) mesh: SocketAddr,
}

/// How a node dials others: their names, and the addresses of the relays to them.
pub(super) type Roads = Vec<(String, SocketAddr)>;

impl Files {
    /// An empty directory, and an authority for the mesh.
    pub(super) fn new(programs: &Programs) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let janitor = Janitor::call(&programs.own, directory.path())?;
        let mesh = MESH.parse().map_err(io::Error::other)?;
        let authority = Authority::create(&mesh, VALID_DAYS, World::system().clock.wall());
        let authority = authority.map_err(io::Error::other)?;
        Ok(Self { directory, _janitor: janitor, authority })
    }

    /// Writes everything that a node reads but its tenants' documents; the path of its configuration.
    pub(super) fn write_node(&self, place: &Place, plan: &FleetPlan, roads: &Roads) -> io::Result<PathBuf> {
        let (region, name) = (place.region.name.parse(), place.name.parse());
        let (region, name) = (region.map_err(io::Error::other)?, name.map_err(io::Error::other)?);
        let now = World::system().clock.wall();
        let issued = self.authority.issue(&region, &name, VALID_DAYS, now).map_err(io::Error::other)?;
        let home = self.home(&place.name);
        fs::create_dir_all(home.join(TENANTS))?;
        put(&home.join("ca.pem"), self.authority.certificate().as_bytes())?;
        put(&home.join("node.pem"), issued.certificate.as_bytes())?;
        put(&home.join("node.key"), issued.key.as_bytes())?;
        put(&home.join("documents/fleet.toml"), plan.document().as_bytes())?;
        self.put_geo(&place.name, None)?;
        let configuration = home.join("node.toml");
        put(&configuration, configured(place, plan.requests_in_flight_max, roads).as_bytes())?;
        Ok(configuration)
    }

    /// Replaces a tenant's document of a node.
    pub(super) fn put_document(&self, node: &str, tenant: &str, document: &str) -> io::Result<()> {
        put(&self.home(node).join(TENANTS).join(format!("{tenant}.toml")), document.as_bytes())
    }

    /// Replaces a node's geo database.
    pub(super) fn put_geo(&self, node: &str, how: Option<GeoFault>) -> io::Result<()> {
        let path = self.home(node).join(GEO);
        match geo::found(how) {
            Some(database) => put(&path, &database),
            None => fs::remove_file(path),
        }
    }

    /// Removes everything that a node wrote.
    pub(super) fn lose_data(&self, node: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.home(node).join("data")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where a node says what became of requests.
    pub(super) fn access_log(&self, node: &str) -> PathBuf {
        self.home(node).join(ACCESS_LOG)
    }

    /// Where a node logs.
    pub(super) fn log(&self, node: &str) -> PathBuf {
        self.directory.path().join(format!("{node}.log"))
    }

    fn home(&self, node: &str) -> PathBuf {
        self.directory.path().join(node)
    }
}

/// Replaces a file at once, so that nobody reads half of it.
fn put(path: &Path, contents: &[u8]) -> io::Result<()> {
    let home = path.ancestors().find(|path| path.join(TENANTS).is_dir()).ok_or(io::ErrorKind::NotFound)?;
    let new = home.join("new");
    fs::write(&new, contents)?;
    fs::rename(new, path)
}

fn configured(place: &Place, requests_in_flight_max: u32, roads: &Roads) -> String {
    let Place { name, http, admin, mesh, .. } = place;
    let seeds: Vec<_> = roads.iter().map(|(_, address)| format!("\"{address}\"")).collect();
    let mut text = format!(
        r#"name = "{name}"
data = "data"
documents = "documents"
workers = {WORKERS}

[limits]
requests_in_flight_max = {requests_in_flight_max}

[geo]
databases = ["{GEO}"]
embedded = false

[ingress]
http = "{http}"
trusted = ["127.0.0.0/8"]
client_address = "x-forwarded-for"

[mesh]
listen = "{mesh}"
seeds = [{seeds}]
certificate = "node.pem"
key = "node.key"
authorities = "ca.pem"

[admin]
listen = "{admin}"

[access_log]
path = "{ACCESS_LOG}"

[log]
format = "json"

[mesh.dial]
"#,
        seeds = seeds.join(", "),
    );
    for (peer, address) in roads {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{peer} = \"{address}\"");
    }
    text
}

const ACCESS_LOG: &str = "access.log";
const GEO: &str = "countries.mmdb";
const TENANTS: &str = "documents/tenants";
const WORKERS: u16 = 1;
/// Control, and the workers.
pub(super) const MESH_PORTS: u16 = 1 + WORKERS;
/// Of certificates.
const VALID_DAYS: u32 = 365;
