//! `graticule check`: every error of documents or a configuration, with line and column.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::{Diagnostic, FleetDocument, TenantDocument, check_fleet, check_tenant};
use serde::Serialize;

use super::Failure;
use super::output::{print, print_error, print_json};
use crate::documents::Documents;
use crate::node::Node;
use crate::world::World;

/// Check documents or a node's configuration.
#[derive(Debug, clap::Args)]
pub(super) struct CheckOptions {
    /// A directory of documents (fleet.toml, tenants/), one of its files, or a node's configuration
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
    /// Of a configuration, check only what is written in it, and not the files that it names
    #[arg(long)]
    written_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Finding {
    file: String,
    line: u32,
    column: u32,
    severity: String,
    message: String,
    help: Option<String>,
}

pub(super) fn run(options: &CheckOptions) -> Result<(), Failure> {
    let checked = if options.path.is_dir() { directory(&options.path) } else { file(options)? };
    let (errors, warnings, summary) = match checked {
        Ok((warnings, summary)) => (Vec::new(), warnings, summary),
        Err(found) => (found, Vec::new(), String::new()),
    };
    let found = errors.iter().chain(&warnings);
    if options.json {
        print_json(&found.map(finding).collect::<Vec<_>>())?;
    } else {
        found.for_each(print_error);
        if errors.is_empty() {
            print(summary);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::Found) }
}

type Checked = Result<(Vec<Diagnostic>, String), Vec<Diagnostic>>;

fn directory(path: &Path) -> Checked {
    let documents = Documents::new(path.to_owned(), World::system().disk);
    let loaded = documents.load()?;
    let fleet = &loaded.policy.fleet;
    let summary = format!(
        "{}: fleet `{}` version {}, {} regions, {} tenants: no errors",
        path.display(),
        fleet.mesh,
        fleet.version.0,
        fleet.regions.len(),
        loaded.policy.tenants.len()
    );
    Ok((loaded.warnings, summary))
}

/// What one file is, is said by its name and place, as in a directory of documents.
fn file(options: &CheckOptions) -> Result<Checked, Failure> {
    let path = &*options.path;
    let source = super::source(path)?;
    let name = |path: Option<&Path>| path?.file_name()?.to_str().map(str::to_owned);
    Ok(match (name(Some(path)).as_deref(), name(path.parent()).as_deref()) {
        (Some("fleet.toml"), _) => {
            let (document, found) = check_fleet(&source);
            let summary = |document: Arc<FleetDocument>| format!("fleet `{}`", document.fleet().mesh);
            checked(path, document.map(summary), found)
        }
        (_, Some("tenants")) => {
            // Its places and regions can be compared only with a fleet document that is there and right.
            let beside = path.parent().and_then(Path::parent).map(|directory| directory.join("fleet.toml"));
            let fleet =
                beside.and_then(|path| super::source(&path).ok()).and_then(|fleet| check_fleet(&fleet).0);
            let (document, found) = check_tenant(&source, fleet.as_deref());
            let against = if fleet.is_some() { "" } else { ", not compared with a fleet document" };
            let summary = |document: Arc<TenantDocument>| format!("tenant `{}`{against}", document.id());
            checked(path, document.map(summary), found)
        }
        _ => {
            let (config, mut found) = NodeConfig::parse(&source, &[]);
            let files = config.as_ref().filter(|_| !options.written_only).map(|config| files(config, path));
            found.extend(files.into_iter().flatten());
            let config = config.filter(|_| !found.iter().any(Diagnostic::is_error));
            checked(path, config.map(|config| format!("node `{}`", config.name)), found)
        }
    })
}

/// Looks at the files that a configuration names: certificates, keys, authorities, documents and databases.
fn files(config: &NodeConfig, path: &Path) -> Vec<Diagnostic> {
    let config = config.clone().relative_to(path.parent().unwrap_or(Path::new(".")));
    Node::faults(&World::system(), &config)
}

fn checked(path: &Path, what: Option<String>, found: Vec<Diagnostic>) -> Checked {
    match what {
        Some(what) => Ok((found, format!("{}: {what}: no errors", path.display()))),
        None => Err(found),
    }
}

fn finding(diagnostic: &Diagnostic) -> Finding {
    Finding {
        file: diagnostic.file.clone(),
        line: diagnostic.line,
        column: diagnostic.column,
        severity: diagnostic.severity.to_string(),
        message: diagnostic.message.clone(),
        help: diagnostic.help.clone(),
    }
}
