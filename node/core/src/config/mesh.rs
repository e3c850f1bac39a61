//! `[mesh]`: how a node talks to other nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use graticule_gossip_core::NodeName;

use super::{NodeConfig, address, count, path};
use crate::document::page::{At, Page};
use crate::document::table::{Key, Table, entries, key, name};
use crate::document::tree::{Entry, Node};
use crate::document::value::{duration, list, parsed};
use crate::policy::HostPattern;

/// How a node talks to other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshConfig {
    /// Address and UDP port of the control endpoint; worker `i` has the port behind it plus `i`.
    pub listen: SocketAddr,
    /// Where other nodes reach it: what it announces.
    pub advertise: SocketAddr,
    /// Nodes to ask first; any of the mesh will do.
    pub seeds: Vec<HostAndPort>,
    /// The file with its certificate chain (PEM).
    pub certificate: PathBuf,
    /// The file with its private key (PEM).
    pub key: PathBuf,
    /// The file with the authorities whose certificates it accepts (PEM).
    pub authorities: PathBuf,
    /// Where to dial nodes that cannot be reached where they announce.
    pub dial: BTreeMap<NodeName, SocketAddr>,
    /// How many nodes of one region it keeps tunnels to.
    pub tunnels_per_region_max: u32,
    /// How long a request waits for a place in a tunnel.
    pub open_timeout: Duration,
}

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAndPort {
    host: String,
    port: u16,
}

/// Why a text is no host with port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostAndPortError;

/// Reads the table.
pub(super) fn read(page: &Page, node: &Node) -> Option<MeshConfig> {
    let table = Table::open(page, node, KEYS)?;
    let listen = table.optional("listen", mesh_address);
    let advertise = table.optional("advertise", mesh_address);
    let seeds = table.or("seeds", Vec::new(), list(SEEDS_MAX, parsed));
    let certificate = table.required("certificate", path);
    let key = table.required("key", path);
    let authorities = table.required("authorities", path);
    let dial = table.or("dial", BTreeMap::new(), dial);
    let open_timeout = table.or("open_timeout", OPEN_TIMEOUT, duration(OPEN_TIMEOUT_MIN..=OPEN_TIMEOUT_MAX));
    let tunnels_per_region_max = count(&table, "tunnels_per_region_max", 8, 64);

    let listen_spot = listen.as_ref().map_or(table.spot, |at| at.spot);
    let listen = listen.map_or(LISTEN, |at| at.value);
    if let Some(At { value, spot }) = &advertise {
        let help = "write the address that they reach this node at";
        if value.ip().is_unspecified() {
            page.error_with(*spot, "others cannot dial this address", help);
        } else if is_for_documentation(value.ip()) {
            page.warn(*spot, format!("`{}` is an address for examples, which nobody has", value.ip()), help);
        }
    }
    if advertise.is_none() && table.entry("advertise").is_none() && listen.ip().is_unspecified() {
        let message = format!("`{listen}` is every address of this machine, and others need one to dial");
        page.error_with(
            listen_spot,
            message,
            "add `advertise = \"192.0.2.7:7400\"` with the address that they reach",
        );
    }
    Some(MeshConfig {
        listen,
        advertise: advertise.map_or(listen, |at| at.value),
        seeds: seeds.into_iter().map(|at| at.value).collect(),
        certificate: certificate?.value,
        key: key?.value,
        authorities: authorities?.value,
        dial,
        tunnels_per_region_max,
        open_timeout,
    })
}

/// Whether an address is one of RFC 5737 or RFC 3849.
fn is_for_documentation(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_documentation(),
        IpAddr::V6(address) => address.segments().starts_with(&[0x2001, 0xdb8]),
    }
}

/// An address whose port leaves room for those of the workers behind it.
fn mesh_address(page: &Page, node: &Node) -> Option<SocketAddr> {
    let address = address(page, node)?;
    let port_max = u16::MAX - NodeConfig::WORKERS_MAX;
    if address.port() == 0 || address.port() > port_max {
        page.error_with(
            node.spot,
            format!("expected a port from 1 to {port_max}, found {}", address.port()),
            "the workers take the ports behind it",
        );
        return None;
    }
    Some(address)
}

fn dial(page: &Page, node: &Node) -> Option<BTreeMap<NodeName, SocketAddr>> {
    let written = entries(page, node)?;
    if let Some(over) = written.get(DIAL_MAX) {
        page.error(over.spot, format!("more than {DIAL_MAX} nodes"));
    }
    let node = |entry: &Entry| {
        let node = name(page, entry);
        let address = mesh_address(page, &entry.node);
        node.zip(address)
    };
    Some(written.iter().take(DIAL_MAX).filter_map(node).collect())
}

impl FromStr for HostAndPort {
    type Err = HostAndPortError;

    fn from_str(text: &str) -> Result<Self, HostAndPortError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            let port = Some(address.port()).filter(|port| *port > 0);
            return port.map(|port| Self { host: address.ip().to_string(), port }).ok_or(HostAndPortError);
        }
        let (host, port) = text.rsplit_once(':').ok_or(HostAndPortError)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(HostAndPortError)?;
        match host.parse() {
            Ok(HostPattern::Exact(host)) => Ok(Self { host, port }),
            _ => Err(HostAndPortError),
        }
    }
}

impl fmt::Display for HostAndPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for HostAndPortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a host and port such as `node.example:7400`")
    }
}

impl std::error::Error for HostAndPortError {}

const KEYS: &[Key] = &[
    key("listen", "\"0.0.0.0:7400\""),
    key("advertise", "\"192.0.2.7:7400\""),
    key("seeds", "[\"node.example:7400\"]"),
    key("certificate", "\"node.pem\""),
    key("key", "\"node.key\""),
    key("authorities", "\"ca.pem\""),
    key("dial", "{ us-east-1 = \"127.0.0.1:7500\" }"),
    key("tunnels_per_region_max", "8"),
    key("open_timeout", "\"500ms\""),
];

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7400);
const OPEN_TIMEOUT: Duration = Duration::from_millis(500);
const OPEN_TIMEOUT_MIN: Duration = Duration::from_millis(10);
const OPEN_TIMEOUT_MAX: Duration = Duration::from_mins(1);
const SEEDS_MAX: usize = 64;
const DIAL_MAX: usize = 10_000;
