//! Where was a setting written: in node.toml, in the environment or as a flag?

use std::collections::BTreeMap;

use crate::document::page::Page;
use crate::document::tree::{Node, Value};
use crate::document::{Diagnostic, Severity};

/// Where the settings were written that say where something is: files, directories and addresses.
#[derive(Debug, Clone, Default)]
pub struct Places {
    file: String,
    by_key: BTreeMap<&'static str, (String, u32, u32)>,
}

/// Where a setting stands is no part of what it says.
impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    pub(super) fn of(tree: &Node, page: &Page) -> Self {
        let found = KEYS.iter().filter_map(|key| Some((*key, page.position(find(tree, key)?.spot))));
        Self { file: page.file().to_string(), by_key: found.collect() }
    }

    /// An error about what `key` says.
    pub fn error(&self, key: Option<&str>, message: String) -> Diagnostic {
        let place = key.and_then(|key| self.by_key.get(key)).cloned();
        let (file, line, column) = place.unwrap_or_else(|| (self.file.clone(), 0, 0));
        let help = key.map(|key| format!("this is what `{key}` says"));
        Diagnostic { file, line, column, severity: Severity::Error, message, help }
    }
}

fn find<'t>(tree: &'t Node, key: &str) -> Option<&'t Node> {
    key.split('.').try_fold(tree, |node, part| match &node.value {
        Value::Table(entries) => entries.iter().find(|entry| entry.key == part).map(|entry| &entry.node),
        _ => None,
    })
}

const KEYS: [&str; 14] = [
    "name",
    "data",
    "documents",
    "ingress.http",
    "ingress.https",
    "ingress.certificates",
    "mesh.listen",
    "mesh.certificate",
    "mesh.key",
    "mesh.authorities",
    "admin.listen",
    "geo.databases",
    "access_log.path",
    "otlp.endpoint",
];
