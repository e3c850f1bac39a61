//! `graticule-sim check`: every error of scenario files, with line and column.

use std::path::{Path, PathBuf};

use graticule_node_core::document::Diagnostic;
use serde::Serialize;

use super::source;
use graticule::cli::output::{Failure, print, print_error, print_json};

/// Check scenario files.
#[derive(Debug, clap::Args)]
pub(super) struct CheckOptions {
    /// A scenario, or a directory of scenarios
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Finding<'d> {
    file: &'d str,
    line: u32,
    column: u32,
    severity: String,
    message: &'d str,
    help: Option<&'d str>,
}

pub(super) fn run(options: &CheckOptions) -> Result<(), Failure> {
    let paths = if options.path.is_dir() { files(&options.path)? } else { vec![options.path.clone()] };
    let mut found = Vec::new();
    for path in &paths {
        found.extend(source::check(path)?.1);
    }
    if options.json {
        print_json(&found.iter().map(finding).collect::<Vec<_>>())?;
    } else {
        found.iter().for_each(print_error);
    }
    if found.iter().any(Diagnostic::is_error) {
        return Err(Failure::Found);
    }
    if !options.json {
        print(format_args!("{}: {} scenarios: no errors", options.path.display(), paths.len()));
    }
    Ok(())
}

/// The TOML files of a directory, sorted.
fn files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::doing(format!("cannot list {}", directory.display()), error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::Failed(format!("there is no scenario (*.toml) in {}", directory.display())));
    }
    Ok(paths)
}

fn finding(diagnostic: &Diagnostic) -> Finding<'_> {
    Finding {
        file: &diagnostic.file,
        line: diagnostic.line,
        column: diagnostic.column,
        severity: diagnostic.severity.to_string(),
        message: &diagnostic.message,
        help: diagnostic.help.as_deref(),
    }
}
