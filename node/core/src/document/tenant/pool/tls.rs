//! `tls`: whose certificate backends show, and who may have signed it.

use crate::document::page::{Page, shortened};
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::{parsed, text};
use crate::policy::{BackendTls, HostPattern};

/// Reads it.
pub(super) fn read(page: &Page, node: &Node) -> Option<BackendTls> {
    let table = Table::open(page, node, KEYS)?;
    let name = table.required("name", name);
    let authorities = table.optional("ca", file).map(|at| at.value);
    Some(BackendTls { name: name?.value, authorities })
}

fn name(page: &Page, node: &Node) -> Option<Box<str>> {
    match parsed(page, node)? {
        HostPattern::Exact(name) => Some(name.into()),
        HostPattern::Wildcard(_) => {
            page.error(node.spot, "expected one name, found a wildcard");
            None
        }
    }
}

/// A file beside the documents: nothing that a tenant writes leads anywhere else.
fn file(page: &Page, node: &Node) -> Option<Box<str>> {
    let written = text(page, node)?;
    let legal = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    if written.len() <= FILE_BYTES_MAX && written.split('/').all(legal) {
        return Some(written.into());
    }
    let expected = "a file in the directory of the documents such as `ca/backends.pem`, without `..`";
    page.error(node.spot, format!("expected {expected}, found `{}`", shortened(&written)));
    None
}

const KEYS: &[Key] = &[key("name", "\"backend.example\""), key("ca", "\"ca/backends.pem\"")];
const FILE_BYTES_MAX: usize = 255;
