//! What the environment and flags say, written over what the file says.

use super::{Page, Spot};
use crate::document::page::shortened;
use crate::document::tree::{Entry, Node, Value};

/// Writes every override into `tree`, in their order. Its place is its own name, which diagnostics then show.
pub(super) fn apply(tree: &mut Node, overrides: &[(String, String)], page: &Page) {
    for (at, (name, value)) in overrides.iter().enumerate() {
        let spot = Spot::Override(at);
        let setting = setting(name);
        // Names of nodes and prefixes of addresses, in the third place, may have dots of their own.
        let path: Vec<&str> = setting.splitn(DEPTH_MAX, '.').collect();
        if path.iter().any(|part| part.is_empty()) {
            page.error_with(spot, "names no setting", "write `GRATICULE_INGRESS__HTTP` or `ingress.http`");
        } else {
            set(tree, &path, Node { spot, value: Value::Loose(value.clone()) }, page);
        }
    }
}

/// `ingress.http` for `GRATICULE_INGRESS__HTTP`, and for itself.
fn setting(name: &str) -> String {
    match name.strip_prefix(PREFIX) {
        Some(variable) => variable.to_ascii_lowercase().replace("__", "."),
        None => name.to_owned(),
    }
}

fn set(node: &mut Node, path: &[&str], value: Node, page: &Page) {
    let Some((first, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    let Value::Table(entries) = &mut node.value else {
        let message = format!("there is no `{}` in {}", shortened(first), node.kind());
        page.error(value.spot, message);
        return;
    };
    let at = entries.binary_search_by(|entry| entry.key.as_str().cmp(first)).unwrap_or_else(|at| {
        let entry = Entry { key: (*first).to_owned(), spot: value.spot, node: Node::empty_table(value.spot) };
        entries.insert(at, entry);
        at
    });
    set(&mut entries[at].node, rest, value, page);
}

/// What the names of variables begin with.
const PREFIX: &str = "GRATICULE_";

/// How many parts the name of a setting has at most.
const DEPTH_MAX: usize = 3;
