//! `[ingress]`: how clients come in, and whose word is taken for their addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::http2::{self, Http2Limits};
use super::{address, count, path, section};
use crate::document::page::{At, Page, shortened};
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::{duration, integer, list, text};
use crate::headers::{ClientAddressHeader, ClientAddressRule};

/// How clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressConfig {
    /// Where HTTP is accepted.
    pub http: SocketAddr,
    /// Where HTTP over TLS is accepted, and the directory of the certificates that clients see.
    pub https: Option<(SocketAddr, PathBuf)>,
    /// The port that clients are sent to who come in cleartext and are to use TLS; that of `https`, or 443 without.
    pub redirect_port: Option<u16>,
    /// Whose connections begin with a PROXY header, which says who the client is.
    pub proxy_protocol: Vec<IpNet>,
    /// Whose word is taken for the addresses of clients, and where they say it.
    pub client_address: ClientAddressRule,
    /// What one client can ask for.
    pub limits: IngressLimits,
    /// What it can ask for over HTTP/2.
    pub http2: Http2Limits,
}

/// What one client can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngressLimits {
    /// The longest head of a request, in bytes.
    pub header_bytes_max: u32,
    /// How many headers a request can have.
    pub headers_max: u32,
    /// How long the first bytes may take, by which the version of HTTP is told.
    pub sniff_timeout: Duration,
    /// How long a PROXY header may take to arrive.
    pub proxy_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a head may take to arrive.
    pub header_timeout: Duration,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
    /// How long a client may pause while it sends a body or takes an answer.
    pub body_timeout: Duration,
    /// How long an upgraded connection may be at rest.
    pub upgrade_timeout: Duration,
    /// How many connections there can be at a time.
    pub connections_max: u32,
}

/// Reads the table.
pub(super) fn read(page: &Page, node: &Node) -> Option<IngressConfig> {
    let table = Table::open(page, node, KEYS)?;
    let http = table.or("http", HTTP, address);
    let https = https(page, &table);
    let redirect_port = table.optional("redirect_port", integer(1..=u16::MAX.into()));
    let redirect_port = redirect_port.map(|at| at.value.unsigned_abs() as u16);
    let trusted = table.or("trusted", Vec::new(), list(TRUSTED_MAX, network));
    for At { value, spot } in trusted.iter().filter(|at| at.value.prefix_len() == 0) {
        let message = format!("`{value}` trusts everybody's word for the client's address");
        page.warn(*spot, message, "name the networks of your own load balancers");
    }
    let proxy_protocol = table.or("proxy_protocol", Vec::new(), list(TRUSTED_MAX, network));
    for At { value, spot } in proxy_protocol.iter().filter(|at| at.value.prefix_len() == 0) {
        let message = format!("`{value}` lets everybody say what their address is");
        page.warn(*spot, message, "name the networks of your own load balancers");
    }
    let proxy_protocol = proxy_protocol.into_iter().map(|at| at.value).collect();
    let header = table.or("client_address", ClientAddressHeader::XForwardedFor, address_header);
    let limits = section(&table, "limits", limits);
    let over_http2 = section(&table, "http2", http2::read);
    let trusted = trusted.into_iter().map(|at| at.value).collect();
    let client_address = ClientAddressRule { header, trusted };
    Some(IngressConfig {
        http,
        https,
        redirect_port,
        proxy_protocol,
        client_address,
        limits: limits?,
        http2: over_http2?,
    })
}

fn https(page: &Page, table: &Table<'_>) -> Option<(SocketAddr, PathBuf)> {
    let listen = table.optional("https", address);
    let certificates = table.optional("certificates", path);
    match (table.entry("https"), table.entry("certificates")) {
        (Some(entry), None) => {
            let help = "add `certificates = \"tls\"`, a directory of certificates and their keys";
            page.error_with(entry.spot, "`https` without `certificates`", help);
        }
        (None, Some(entry)) => {
            let help = "add `https = \"0.0.0.0:8443\"`";
            page.error_with(entry.spot, "`certificates` without `https`", help);
        }
        _ => {}
    }
    Some((listen?.value, certificates?.value))
}

fn limits(page: &Page, node: &Node) -> Option<IngressLimits> {
    let table = Table::open(page, node, LIMITS_KEYS)?;
    Some(IngressLimits {
        header_bytes_max: count(&table, "header_bytes_max", 32 << 10, 1 << 20),
        headers_max: count(&table, "headers_max", 100, 1_000),
        sniff_timeout: table.or("sniff_timeout", SNIFF_TIMEOUT, duration(TIMEOUT_MIN..=TIMEOUT_MAX)),
        proxy_timeout: table.or("proxy_timeout", PROXY_TIMEOUT, duration(TIMEOUT_MIN..=TIMEOUT_MAX)),
        handshake_timeout: table.or(
            "handshake_timeout",
            HANDSHAKE_TIMEOUT,
            duration(TIMEOUT_MIN..=TIMEOUT_MAX),
        ),
        header_timeout: table.or("header_timeout", HEADER_TIMEOUT, duration(TIMEOUT_MIN..=TIMEOUT_MAX)),
        idle_timeout: table.or("idle_timeout", IDLE_TIMEOUT, duration(TIMEOUT_MIN..=TIMEOUT_MAX)),
        body_timeout: table.or("body_timeout", BODY_TIMEOUT, duration(TIMEOUT_MIN..=TIMEOUT_MAX)),
        upgrade_timeout: table.or(
            "upgrade_timeout",
            UPGRADE_TIMEOUT,
            duration(TIMEOUT_MIN..=UPGRADE_TIMEOUT_MAX),
        ),
        connections_max: count(&table, "connections_max", 10_000, 1_000_000),
    })
}

/// A network such as `10.0.0.0/8`, or one address.
pub(super) fn network(page: &Page, node: &Node) -> Option<IpNet> {
    let written = text(page, node)?;
    parse_network(&written).map_err(|help| no_network(page, node.spot, &written, help)).ok()
}

/// Reports that `written` is no network.
pub(super) fn no_network(page: &Page, spot: super::Spot, written: &str, meant: Option<IpNet>) {
    let message = format!("expected a network such as `10.0.0.0/8`, found `{}`", shortened(written));
    match meant {
        Some(meant) => page.error_with(spot, message, format!("did you mean `{meant}`?")),
        None => page.error(spot, message),
    }
}

/// The network that `text` is; or else the one that was meant, if that can be told. IPv4 written as IPv6 is IPv4.
pub(super) fn parse_network(text: &str) -> Result<IpNet, Option<IpNet>> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| None)?;
    if network == network.trunc() { Ok(canonical(network)) } else { Err(Some(canonical(network.trunc()))) }
}

fn canonical(network: IpNet) -> IpNet {
    let mapped = network.addr().to_canonical();
    let prefix_length = network.prefix_len().checked_sub(MAPPED_BITS);
    match (mapped, network, prefix_length) {
        (IpAddr::V4(_), IpNet::V6(_), Some(length)) => IpNet::new(mapped, length).unwrap_or(network),
        _ => network,
    }
}

fn address_header(page: &Page, node: &Node) -> Option<ClientAddressHeader> {
    let written = text(page, node)?;
    let header = HeaderName::from_bytes(written.as_bytes());
    match (written.to_ascii_lowercase().as_str(), header) {
        ("x-forwarded-for", _) => Some(ClientAddressHeader::XForwardedFor),
        ("forwarded", _) => Some(ClientAddressHeader::Forwarded),
        ("none", _) => Some(ClientAddressHeader::None),
        (_, Ok(header)) => Some(ClientAddressHeader::Single(header)),
        (_, Err(_)) => {
            let expected = "expected `x-forwarded-for`, `forwarded`, `none` or the name of a header";
            page.error(node.spot, format!("{expected}, found `{}`", shortened(&written)));
            None
        }
    }
}

const KEYS: &[Key] = &[
    key("http", "\"0.0.0.0:8080\""),
    key("https", "\"0.0.0.0:8443\""),
    key("certificates", "\"tls\""),
    key("redirect_port", "443"),
    key("proxy_protocol", "[\"10.0.0.0/8\"]"),
    key("trusted", "[\"10.0.0.0/8\"]"),
    key("client_address", "\"x-forwarded-for\""),
    key("limits", "{ connections_max = 10000 }"),
    key("http2", "{ streams_max = 100 }"),
];

const LIMITS_KEYS: &[Key] = &[
    key("header_bytes_max", "32768"),
    key("headers_max", "100"),
    key("sniff_timeout", "\"10s\""),
    key("proxy_timeout", "\"5s\""),
    key("handshake_timeout", "\"10s\""),
    key("header_timeout", "\"10s\""),
    key("idle_timeout", "\"1m\""),
    key("body_timeout", "\"1m\""),
    key("upgrade_timeout", "\"5m\""),
    key("connections_max", "10000"),
];

const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);
/// How many bits of an IPv6 address stand before an IPv4 address in it.
const MAPPED_BITS: u8 = 96;

const TRUSTED_MAX: usize = 256;
const SNIFF_TIMEOUT: Duration = Duration::from_secs(10);
const PROXY_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// As nginx has it (`client_body_timeout`, `send_timeout`).
const BODY_TIMEOUT: Duration = Duration::from_mins(1);
/// As Envoy has it (`stream_idle_timeout`).
const UPGRADE_TIMEOUT: Duration = Duration::from_mins(5);
const UPGRADE_TIMEOUT_MAX: Duration = Duration::from_hours(24);
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_hours(1);
