//! `[[match]]`: how requests for a tenant are recognised.

use http::{HeaderName, HeaderValue};

use super::TenantDocument;
use crate::document::canonical::Canonical;
use crate::document::page::{At, Page, shortened};
use crate::document::table::{Key, Table, key, tables};
use crate::document::tree::Node;
use crate::document::value::{list, parsed, text};
use crate::path;
use crate::policy::{Claim, HeaderClaim, HostPattern, PathPrefix};

/// Reads every `[[match]]`: a claim for each of its hosts.
pub(super) fn read(page: &Page, table: &Table<'_>) -> Vec<At<Claim>> {
    let written = table.required("match", |page, node| tables(page, node, TenantDocument::CLAIMS_MAX));
    let Some(At { value: nodes, spot }) = written else {
        return Vec::new();
    };
    if nodes.is_empty() {
        page.error_with(spot, "nothing to recognise the tenant by", "add `[[match]]` with `host = \"..\"`");
    }
    let mut claims: Vec<At<Claim>> = nodes.into_iter().flat_map(|node| matched(page, node)).collect();
    if let Some(over) = claims.get(TenantDocument::CLAIMS_MAX) {
        page.error(over.spot, format!("more than {} claims", TenantDocument::CLAIMS_MAX));
        claims.truncate(TenantDocument::CLAIMS_MAX);
    }
    claims
}

fn matched(page: &Page, node: &Node) -> Vec<At<Claim>> {
    let Some(table) = Table::open(page, node, KEYS) else {
        return Vec::new();
    };
    let path_prefix = table.optional("path_prefix", path_prefix).map(|at| at.value);
    let header = table.optional("header", header).map(|at| at.value);
    let written = |key| table.entry(key).is_some();
    if !KEYS.iter().any(|key| written(key.name)) {
        page.error_with(node.spot, "this matches every request", "add `host`, `path_prefix` or `header`");
    }
    // What could not be read must not become a claim for everything.
    let partly_wrong =
        (written("path_prefix") && path_prefix.is_none()) || (written("header") && header.is_none());
    let claim =
        |host: Option<HostPattern>| Claim { host, path_prefix: path_prefix.clone(), header: header.clone() };
    match hosts(page, &table) {
        _ if partly_wrong => Vec::new(),
        Some(hosts) => hosts.into_iter().map(|at| at.map(|host| claim(Some(host)))).collect(),
        None if path_prefix.is_none() && header.is_none() => Vec::new(),
        None => vec![At { value: claim(None), spot: node.spot }],
    }
}

/// The hosts of `host` or `hosts`; `None` if neither is written.
fn hosts(page: &Page, table: &Table<'_>) -> Option<Vec<At<HostPattern>>> {
    if let (Some(_), Some(many)) = (table.entry("host"), table.entry("hosts")) {
        page.error_with(many.spot, "`host` and `hosts` in one match", "put every host in `hosts`");
    }
    let many = table.optional("hosts", list(TenantDocument::CLAIMS_MAX, parsed));
    if let Some(At { spot, .. }) = many.as_ref().filter(|at| at.value.is_empty()) {
        page.error_with(*spot, "no host", "add one, or leave `hosts` out to match every host");
    }
    let one = table.optional("host", parsed);
    let written = table.entry("host").is_some() || table.entry("hosts").is_some();
    written.then(|| one.into_iter().chain(many.into_iter().flat_map(|at| at.value)).collect())
}

/// A path prefix: absolute, plain, and written as a path is sent; kept in the form that paths are matched in.
pub(in crate::document) fn path_prefix(page: &Page, node: &Node) -> Option<PathPrefix> {
    let written = text(page, node)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    let mut segments = written.split('/').skip(1).peekable();
    let dots_or_empty =
        std::iter::from_fn(|| segments.next().map(|segment| (segment, segments.peek().is_none())))
            .any(|(segment, last)| matches!(segment, "." | "..") || (segment.is_empty() && !last));
    let message = if !written.starts_with('/') {
        "expected a path that begins with `/`"
    } else if written.len() > PATH_PREFIX_BYTES_MAX {
        "a path prefix of more than 512 bytes"
    } else if !written.bytes().all(plain) {
        "expected a path as it is sent: no spaces, `?`, `#` or letters outside of ASCII (percent-encode them)"
    } else if dots_or_empty {
        "expected a path without empty segments, `.` and `..`"
    } else if written.contains(';') || written.to_ascii_lowercase().contains("%3b") {
        "expected a path without `;`: parameters of a segment are not matched"
    } else if let Ok(form) = path::form(&written) {
        return PathPrefix::new(&form);
    } else {
        "expected a path without escapes that are malformed or stand for `.`, `..`, NUL or a backslash"
    };
    page.error(node.spot, format!("{message}, found `{}`", shortened(&written)));
    None
}

/// A header with its value.
pub(super) fn header(page: &Page, node: &Node) -> Option<HeaderClaim> {
    let table = Table::open(page, node, HEADER_KEYS)?;
    let name = table.required("name", header_name).map(|at| at.value);
    let value = table.required("value", header_value).map(|at| at.value);
    Some(HeaderClaim { name: name?, value: value? })
}

fn header_name(page: &Page, node: &Node) -> Option<HeaderName> {
    let written = text(page, node)?;
    let name = HeaderName::from_bytes(written.as_bytes()).ok();
    match name {
        Some(name) if HOP_HEADERS.contains(&name.as_str()) => {
            page.error(node.spot, format!("`{name}` belongs to one connection and cannot be matched"));
            None
        }
        Some(name) if name == http::header::HOST => {
            page.error_with(
                node.spot,
                "`host` is not matched as a header",
                "use `host = \"..\"` of the match",
            );
            None
        }
        Some(name) => Some(name),
        None => {
            page.error(node.spot, format!("`{}` is no header name", shortened(&written)));
            None
        }
    }
}

fn header_value(page: &Page, node: &Node) -> Option<HeaderValue> {
    let written = text(page, node)?;
    let legal = (1..=HEADER_VALUE_BYTES_MAX).contains(&written.len())
        && written.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && written.trim() == written;
    let value = HeaderValue::from_str(&written).ok().filter(|_| legal);
    if value.is_none() {
        page.error(node.spot, format!("expected 1 to {HEADER_VALUE_BYTES_MAX} visible ASCII characters"));
    }
    value
}

/// What a claim means, in bytes.
pub(super) fn canonical(claim: &Claim) -> Canonical {
    let text = |text: String| Canonical::default().text(&text);
    let prefix = claim.path_prefix.as_ref().map_or("", PathPrefix::as_str);
    let header = claim
        .header
        .as_ref()
        .map(|header| Canonical::default().text(header.name.as_str()).bytes(header.value.as_bytes()));
    Canonical::default()
        .maybe(claim.host.as_ref().map(|host| text(host.to_string())))
        .text(prefix)
        .maybe(header)
}

const KEYS: &[Key] = &[
    key("host", "\"acme.example\""),
    key("hosts", "[\"acme.example\", \"*.acme.example\"]"),
    key("path_prefix", "\"/acme\""),
    key("header", "{ name = \"x-tenant\", value = \"acme\" }"),
];

const HEADER_KEYS: &[Key] = &[key("name", "\"x-tenant\""), key("value", "\"acme\"")];

/// Headers that do not outlive a connection.
const HOP_HEADERS: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const PATH_PREFIX_BYTES_MAX: usize = 512;
const HEADER_VALUE_BYTES_MAX: usize = 256;
