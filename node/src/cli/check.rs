//! `graticule check`: every error of documents or a configuration, with line and column.

use std::path::{Path, PathBuf};

use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::{Diagnostic, Source};
use serde::Serialize;

use super::output::{print, print_error, print_json};
use super::{Failure, shown};
use crate::documents::Documents;
use crate::world::World;

/// Check documents or a node's configuration.
#[derive(Debug, clap::Args)]
pub(super) struct CheckOptions {
    /// A directory of documents (fleet.toml, tenants/), or a node's configuration (a file)
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
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
    let checked = if options.path.is_dir() { directory(&options.path) } else { file(&options.path)? };
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

fn file(path: &PathBuf) -> Result<Checked, Failure> {
    let text = std::fs::read(path);
    let text = text.map_err(|error| Failure::doing(format!("cannot read {}", shown(path)), error))?;
    let (config, diagnostics) = NodeConfig::parse(&Source::new(shown(path), text), &[]);
    Ok(match config {
        Some(config) => Ok((diagnostics, format!("{}: node `{}`: no errors", path.display(), config.name))),
        None => Err(diagnostics),
    })
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
