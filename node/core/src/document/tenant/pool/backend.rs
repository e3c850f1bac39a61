//! `backends`: addresses and names, alone or with a weight.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::document::page::{At, Page, shortened};
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::{integer, list as list_of, mismatch, text};
use crate::policy::{Backend, BackendHost, HostPattern, Pool};

/// Reads all of them.
pub(super) fn list(page: &Page, node: &Node) -> Option<Vec<At<Backend>>> {
    let written = list_of(Pool::BACKENDS_MAX, backend)(page, node)?;
    if written.is_empty() && node.as_list().is_some_and(|items| items.is_empty()) {
        page.error_with(node.spot, "no backend", "add one, or remove the pool");
    }
    let mut seen = BTreeSet::new();
    for At { value, spot } in &written {
        if value.port == 0 {
            page.error(*spot, format!("`{value}` has the port 0"));
        } else if !seen.insert((&value.host, value.port)) {
            page.error(*spot, format!("`{value}` is written twice"));
        }
    }
    Some(written)
}

fn backend(page: &Page, node: &Node) -> Option<Backend> {
    if node.as_text().is_some() {
        return place(page, node);
    }
    if node.as_table().is_none() {
        mismatch(page, node, "an address and port, or a table with `address` and `weight`");
        return None;
    }
    let table = Table::open(page, node, KEYS)?;
    let place = table.required("address", place);
    let weight = table.or("weight", 1, integer(1..=Backend::WEIGHT_MAX.into()));
    Some(Backend { weight: weight.unsigned_abs() as u32, ..place?.value })
}

/// `ADDRESS:PORT` or `NAME:PORT`.
fn place(page: &Page, node: &Node) -> Option<Backend> {
    let written = text(page, node)?;
    if let Ok(address) = written.parse::<SocketAddr>() {
        return Some(address.into());
    }
    let named =
        written.rsplit_once(':').and_then(|(name, port)| Some((host_name(name)?, port.parse().ok()?)));
    let Some((name, port)) = named else {
        let expected =
            "an address or name and a port such as `10.0.0.7:8080`, `[fd00::7]:8080` or `api.internal:8080`";
        page.error(node.spot, format!("expected {expected}, found `{}`", shortened(&written)));
        return None;
    };
    Some(Backend { host: BackendHost::Name(name), port, weight: 1 })
}

/// A name that DNS can be asked for. Digits and dots alone are an address that somebody mistyped.
fn host_name(text: &str) -> Option<Box<str>> {
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse().ok()? {
        HostPattern::Exact(name) if !numeric => Some(name.into()),
        HostPattern::Exact(_) | HostPattern::Wildcard(_) => None,
    }
}

const KEYS: &[Key] = &[key("address", "\"10.0.0.7:8080\""), key("weight", "1")];
