//! `[admin]`: where the admin API listens, and whom it answers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::document::page::{At, Page};
use crate::document::table::{Key, Table, key, tables};
use crate::document::tree::Node;
use crate::document::value::{one_of, text};

/// Where the admin API listens, and whom it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Its address.
    pub listen: SocketAddr,
    /// Who may ask; whoever reaches it if there are none.
    pub tokens: Vec<AdminToken>,
}

/// A token that the admin API takes. Only its hash is kept, so that whoever reads the configuration cannot use it.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Whose it is, for the log.
    pub name: String,
    /// What it may do.
    pub role: AdminRole,
    /// SHA-256 of the token. No slower hash is needed: tokens are drawn by chance, nobody chooses them.
    pub sha256: [u8; 32],
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminToken")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What somebody may do with the admin API; who may do more may do less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminRole {
    /// Read.
    Viewer,
    /// Change whether nodes stay.
    Operator,
}

impl AdminRole {
    /// The role as it is written.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// Reads the table.
pub(super) fn read(page: &Page, node: &Node) -> Option<AdminConfig> {
    let table = Table::open(page, node, KEYS)?;
    let listen = table.optional("listen", super::address);
    let tokens = table.optional("tokens", |page, node| tables(page, node, TOKENS_MAX));
    let tokens: Vec<_> = tokens.map_or_else(Vec::new, |at| at.value);
    let tokens: Vec<_> = tokens.into_iter().filter_map(|node| token(page, node)).collect();
    let is_open = |at: &&At<SocketAddr>| !at.value.ip().is_loopback() && tokens.is_empty();
    if let Some(At { value, spot }) = listen.as_ref().filter(is_open) {
        let message =
            format!("the admin API listens on `{value}`, which others can reach, and asks for no token");
        page.warn(
            *spot,
            message,
            "add `[[admin.tokens]]` (graticule token writes one), or use 127.0.0.1:9901",
        );
    }
    Some(AdminConfig { listen: listen.map_or(LISTEN, |at| at.value), tokens })
}

fn token(page: &Page, node: &Node) -> Option<AdminToken> {
    let table = Table::open(page, node, TOKEN_KEYS)?;
    let name = table.required("name", text);
    let role = table.required("role", one_of(ROLES));
    let sha256 = table.required("sha256", digest);
    Some(AdminToken { name: name?.value, role: role?.value, sha256: sha256?.value })
}

fn digest(page: &Page, node: &Node) -> Option<[u8; 32]> {
    let written = text(page, node)?;
    let digest = hex(&written);
    if digest.is_none() {
        page.error_with(
            node.spot,
            "expected the SHA-256 of a token, 64 hexadecimal digits",
            "`graticule token` draws a token and writes this",
        );
    }
    digest
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
    }
    Some(bytes)
}

const KEYS: &[Key] = &[
    key("listen", "\"127.0.0.1:9901\""),
    key("tokens", "[{ name = \"console\", role = \"viewer\", sha256 = \"..\" }]"),
];
const TOKEN_KEYS: &[Key] = &[key("name", "\"console\""), key("role", "\"viewer\""), key("sha256", "\"..\"")];
const ROLES: &[(&str, AdminRole)] = &[("viewer", AdminRole::Viewer), ("operator", AdminRole::Operator)];
const TOKENS_MAX: usize = 64;
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
