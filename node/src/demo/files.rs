//! What the demo's fleet reads: certificates, documents and configurations, in a directory that goes with it.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::plan::{Node, REGIONS, TENANTS, Tenant};
use super::process::Backend;
use crate::cli::Failure;
use crate::identity::ca;
use crate::world::World;

/// The directory of a running demo; removed with it.
#[derive(Debug)]
pub(super) struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    /// An empty directory with the mesh's authority.
    pub(super) fn new() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("graticule-demo-").tempdir();
        let directory = directory.map_err(|error| Failure::doing("cannot make a directory", error))?;
        let files = Self { directory };
        let mesh = "demo".parse().map_err(|error| Failure::doing("the mesh's name", error))?;
        let now = World::system().clock.wall();
        ca::init(&files.authority(), &mesh, CA_DAYS, now)
            .map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(files)
    }

    /// The mesh's authority.
    pub(super) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca")
    }

    /// Where a node logs.
    pub(super) fn log(&self, node: &Node) -> PathBuf {
        self.directory.path().join(format!("{}.log", node.name))
    }

    /// Writes the fleet document and the tenants'.
    pub(super) fn write_documents(&self, backends: &[Backend]) -> Result<(), Failure> {
        let documents = self.directory.path().join("documents");
        write(&documents.join("fleet.toml"), &fleet_document())?;
        TENANTS.iter().try_for_each(|tenant| {
            let path = documents.join("tenants").join(format!("{}.toml", tenant.id));
            write(&path, &tenant_document(tenant, backends))
        })
    }

    /// The authority of the certificates that clients see.
    pub(super) fn clients_authority(&self) -> PathBuf {
        self.directory.path().join("clients.pem")
    }

    /// Writes a certificate for each tenant's host, and their authority.
    pub(super) fn write_certificates(&self) -> Result<(), Failure> {
        let failed = |error| Failure::doing("cannot make a certificate", error);
        let key = KeyPair::generate().map_err(failed)?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "graticule demo");
        write(&self.clients_authority(), &authority.self_signed(&key).map_err(failed)?.pem())?;
        let issuer = Issuer::new(authority, key);
        TENANTS.iter().try_for_each(|tenant| {
            let key = KeyPair::generate().map_err(failed)?;
            let certificate = CertificateParams::new([tenant.host.to_owned()]).map_err(failed)?;
            let certificate = certificate.signed_by(&key, &issuer).map_err(failed)?;
            let file = |ending| self.directory.path().join("clients").join(format!("{}.{ending}", tenant.id));
            write(&file("pem"), &certificate.pem())?;
            write(&file("key"), &key.serialize_pem())
        })
    }

    /// Writes a node's certificate and configuration; the path of the latter.
    pub(super) fn write_node(
        &self,
        node: &Node,
        seeds: &[SocketAddr],
        dial: &[(String, SocketAddr)],
    ) -> Result<PathBuf, Failure> {
        let home = self.directory.path().join(&node.name);
        let parsed = |error: &dyn std::fmt::Display| Failure::doing("a node's name", error);
        let issue = ca::Issue {
            region: node.region.name.parse().map_err(|error| parsed(&error))?,
            node: node.name.parse().map_err(|error| parsed(&error))?,
            valid_days: NODE_DAYS,
            overwrite: false,
        };
        let now = World::system().clock.wall();
        ca::issue(&self.authority(), &home, &issue, now)
            .map_err(|error| Failure::Failed(error.to_string()))?;
        let path = home.join("node.toml");
        write(&path, &node_configuration(node, seeds, dial))?;
        Ok(path)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::doing(format!("cannot write {}", path.display()), error);
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    fs::write(path, text).map_err(failed)
}

fn fleet_document() -> String {
    let mut text = String::from("version = 1\nmesh = \"demo\"\n");
    for region in &REGIONS {
        let (latitude, longitude) = (region.coordinates.latitude(), region.coordinates.longitude());
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n[regions.{}]\ncountry = \"{}\"\nlatitude = {latitude}\nlongitude = {longitude}\n",
            region.name, region.country
        );
    }
    text.push('\n');
    text.push_str(graticule_geo::STARTER_SETS);
    text
}

fn tenant_document(tenant: &Tenant, backends: &[Backend]) -> String {
    let mut text = format!(
        "version = 1\nid = \"{}\"\nexpose_region = true\n\n[[match]]\nhost = \"{}\"\n\n[residency]\n{}",
        tenant.id, tenant.host, tenant.rules
    );
    for region in tenant.pools {
        let there = backends.iter().filter(|backend| backend.region == *region);
        let addresses: Vec<_> = there.map(|backend| format!("\"{}\"", backend.address)).collect();
        let _ = write!(
            text,
            "\n[pools.{region}]\nbackends = [{}]\ncheck = {{ path = \"/healthz\" }}\n",
            addresses.join(", ")
        );
    }
    text
}

fn node_configuration(node: &Node, seeds: &[SocketAddr], dial: &[(String, SocketAddr)]) -> String {
    let seeds: Vec<_> = seeds.iter().map(|seed| format!("\"{seed}\"")).collect();
    let mut text = format!(
        r#"name = "{name}"
data = "data"
documents = "../documents"
workers = 1

[ingress]
http = "{http}"
https = "{https}"
certificates = "../clients"
trusted = ["127.0.0.0/8"]
client_address = "x-forwarded-for"

[mesh]
listen = "{mesh}"
seeds = [{seeds}]
certificate = "{name}.pem"
key = "{name}.key"
authorities = "ca.pem"

[admin]
listen = "{admin}"

[mesh.dial]
"#,
        name = node.name,
        http = node.http,
        https = node.https,
        mesh = node.mesh,
        admin = node.admin,
        seeds = seeds.join(", "),
    );
    for (peer, address) in dial {
        let _ = writeln!(text, "{peer} = \"{address}\"");
    }
    text
}

const CA_DAYS: u32 = 30;
const NODE_DAYS: u32 = 30;
