//! How one node is set up: what node.toml, the environment and flags say, and what it means.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use graticule_gossip_core::NodeName;

use crate::document::page::{Page, Spot};
use crate::document::table::{Key, Table, key};
use crate::document::text::Text;
use crate::document::tree::{Node, parse};
use crate::document::value::{expecting, integer, list, one_of, parsed, text};
use crate::document::{Diagnostic, Source};
use crate::leaving::LeavingSettings;

mod admin;
mod drain;
mod geo;
mod http2;
mod ingress;
mod mesh;
mod otlp;
mod overrides;
mod places;

pub use admin::{AdminConfig, AdminRole, AdminToken};
pub use geo::GeoConfig;
pub use http2::Http2Limits;
pub use ingress::{IngressConfig, IngressLimits};
pub use mesh::{HostAndPort, HostAndPortError, MeshConfig};
pub use otlp::OtlpConfig;
pub use places::Places;

/// How one node is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// Its name, as in its certificate.
    pub name: NodeName,
    /// The directory for what it must remember.
    pub data: PathBuf,
    /// The directory with fleet.toml and tenants/*.toml.
    pub documents: PathBuf,
    /// How many workers, 1 to [`NodeConfig::WORKERS_MAX`]; `None` for one on each core.
    pub workers: Option<u16>,
    /// How clients come in.
    pub ingress: IngressConfig,
    /// How it talks to other nodes.
    pub mesh: MeshConfig,
    /// Where the admin API listens, and whom it answers.
    pub admin: AdminConfig,
    /// The DNS servers that are asked for backends' names; the machine's own if there are none.
    pub dns_servers: Vec<SocketAddr>,
    /// Where addresses are looked up.
    pub geo: GeoConfig,
    /// How many requests there can be at a time.
    pub requests_in_flight_max: u32,
    /// How it leaves.
    pub drain: LeavingSettings,
    /// What is logged.
    pub log_level: LogLevel,
    /// How it is written.
    pub log_format: LogFormat,
    /// Where lines about requests go, if there are any; [`NodeConfig::STANDARD_OUTPUT`] is no file.
    pub access_log: Option<PathBuf>,
    /// How many tenants have metrics of their own; the others share theirs.
    pub metrics_tenants_max: u32,
    /// Where traces and metrics are sent, if they are.
    pub otlp: Option<OtlpConfig>,
    /// Where it was written what this says.
    pub places: Places,
}

/// What is logged: this and everything graver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What is likely to fail.
    Warn,
    /// What changes.
    Info,
    /// What happens.
    Debug,
    /// Everything.
    Trace,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object on a line.
    Json,
}

impl NodeConfig {
    /// How many workers a node can have.
    pub const WORKERS_MAX: u16 = 64;

    /// What stands for standard output where a file can be named.
    pub const STANDARD_OUTPUT: &str = "-";

    /// Reads a configuration. `overrides` are settings from elsewhere with their values, the later ones stronger: as
    /// `GRATICULE_INGRESS__HTTP` from the environment, or as `ingress.http` from a flag. Lists are written with commas.
    ///
    /// Gives the configuration if nothing is wrong, and everything that is wrong or hardly meant.
    pub fn parse(source: &Source, overrides: &[(String, String)]) -> (Option<Self>, Vec<Diagnostic>) {
        let page = Page::overridden(&source.name, overrides.iter().map(|(name, _)| name.clone()).collect());
        let tree = Text::of(source, &page).and_then(|text| parse(&text, &page));
        let config = tree.and_then(|mut tree| {
            overrides::apply(&mut tree, overrides, &page);
            read(&page, &tree)
        });
        (config.filter(|_| !page.has_errors()), page.into_diagnostics())
    }

    /// The same with every relative path taken from `directory`: the one that node.toml is in.
    pub fn relative_to(mut self, directory: &Path) -> Self {
        let mesh = &mut self.mesh;
        let paths = [
            &mut self.data,
            &mut self.documents,
            &mut mesh.certificate,
            &mut mesh.key,
            &mut mesh.authorities,
        ];
        let certificates = self.ingress.https.as_mut().map(|(_, directory)| directory);
        let log = self.access_log.as_mut().filter(|path| path.as_os_str() != Self::STANDARD_OUTPUT);
        paths
            .into_iter()
            .chain(certificates)
            .chain(log)
            .chain(&mut self.geo.databases)
            .for_each(|path| *path = directory.join(&*path));
        self
    }
}

fn read(page: &Page, node: &Node) -> Option<NodeConfig> {
    let table = Table::open(page, node, KEYS)?;
    let name = table.required("name", parsed);
    let data = table.required("data", path);
    let documents = table.required("documents", path);
    let workers = table.optional("workers", integer(1..=NodeConfig::WORKERS_MAX.into()));
    let ingress = section(&table, "ingress", ingress::read);
    let mesh = table.required("mesh", mesh::read);
    let admin = section(&table, "admin", admin::read);
    let dns_servers = section(&table, "dns", dns);
    let geo = section(&table, "geo", geo::read);
    let requests_in_flight_max = section(&table, "limits", limits);
    let drain = section(&table, "drain", drain::read);
    let (log_level, log_format) = section(&table, "log", log)?;
    let access_log = table.optional("access_log", access_log);
    let metrics_tenants_max = section(&table, "metrics", metrics);
    let otlp = table.optional("otlp", otlp::read);
    Some(NodeConfig {
        name: name?.value,
        data: data?.value,
        documents: documents?.value,
        workers: workers.map(|at| at.value.unsigned_abs() as u16),
        ingress: ingress?,
        mesh: mesh?.value,
        admin: admin?,
        dns_servers: dns_servers?,
        geo: geo?,
        requests_in_flight_max: requests_in_flight_max?,
        drain: drain?,
        log_level,
        log_format,
        access_log: access_log.map(|at| at.value),
        metrics_tenants_max: metrics_tenants_max?,
        otlp: otlp.map(|at| at.value),
        places: Places::of(node, page),
    })
}

/// A table that may be missing, and then has its defaults.
fn section<T>(table: &Table<'_>, name: &str, read: fn(&Page, &Node) -> Option<T>) -> Option<T> {
    let written = table.optional(name, read).map(|at| at.value);
    if table.entry(name).is_some() { written } else { read(table.page(), &Node::empty_table(table.spot)) }
}

fn dns(page: &Page, node: &Node) -> Option<Vec<SocketAddr>> {
    let table = Table::open(page, node, DNS_KEYS)?;
    let servers = table.or("servers", Vec::new(), list(DNS_SERVERS_MAX, address));
    Some(servers.into_iter().map(|at| at.value).collect())
}

fn limits(page: &Page, node: &Node) -> Option<u32> {
    let table = Table::open(page, node, LIMITS_KEYS)?;
    Some(count(&table, "requests_in_flight_max", 10_000, 1_000_000))
}

fn log(page: &Page, node: &Node) -> Option<(LogLevel, LogFormat)> {
    let table = Table::open(page, node, LOG_KEYS)?;
    let level = table.or("level", LogLevel::Info, one_of(LEVELS));
    Some((level, table.or("format", LogFormat::Text, one_of(FORMATS))))
}

fn access_log(page: &Page, node: &Node) -> Option<PathBuf> {
    Some(Table::open(page, node, ACCESS_LOG_KEYS)?.required("path", path)?.value)
}

fn metrics(page: &Page, node: &Node) -> Option<u32> {
    Some(count(&Table::open(page, node, METRICS_KEYS)?, "tenants_max", 100, 10_000))
}

/// A number from 1 to `max`.
fn count(table: &Table<'_>, key: &str, default: u32, max: u32) -> u32 {
    table.optional(key, integer(1..=max.into())).map_or(default, |at| at.value.unsigned_abs() as u32)
}

fn address(page: &Page, node: &Node) -> Option<SocketAddr> {
    expecting("an address and port such as `0.0.0.0:8080` or `[::]:8080`")(page, node)
}

fn path(page: &Page, node: &Node) -> Option<PathBuf> {
    let written = text(page, node)?;
    let legal = !written.is_empty() && !written.contains('\0');
    if !legal {
        page.error(node.spot, "expected a path");
    }
    legal.then(|| PathBuf::from(written))
}

const KEYS: &[Key] = &[
    key("name", "\"eu-central-1\""),
    key("data", "\"data\""),
    key("documents", "\".\""),
    key("workers", "2"),
    key("ingress", "{ http = \"0.0.0.0:8080\" }"),
    key("mesh", "{ certificate = \"node.pem\", key = \"node.key\", authorities = \"ca.pem\" }"),
    key("admin", "{ listen = \"127.0.0.1:9901\" }"),
    key("dns", "{ servers = [\"10.0.0.2:53\"] }"),
    key("geo", "{ embedded = true }"),
    key("limits", "{ requests_in_flight_max = 10000 }"),
    key("drain", "{ delay = \"5s\" }"),
    key("log", "{ level = \"info\" }"),
    key("access_log", "{ path = \"access.log\" }"),
    key("metrics", "{ tenants_max = 100 }"),
    key("otlp", "{ endpoint = \"http://127.0.0.1:4318\" }"),
];

const DNS_KEYS: &[Key] = &[key("servers", "[\"10.0.0.2:53\"]")];
const LIMITS_KEYS: &[Key] = &[key("requests_in_flight_max", "10000")];
const ACCESS_LOG_KEYS: &[Key] = &[key("path", "\"access.log\"")];
const METRICS_KEYS: &[Key] = &[key("tenants_max", "100")];
const LOG_KEYS: &[Key] = &[key("level", "\"info\""), key("format", "\"text\"")];

const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

const DNS_SERVERS_MAX: usize = 8;

#[cfg(test)]
mod tests;
