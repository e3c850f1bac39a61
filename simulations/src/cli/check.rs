//! `graticule-sim check`: every error of scenario files, with line and column.

use std::path::Path;

use graticule_node_core::document::Diagnostic;
use serde::Serialize;

use super::source;
use crate::scenario::Scenario;
use crate::words::counted;
use graticule::cli::output::{Failure, print, print_error, print_json};

/// Check scenario files.
#[derive(Debug, clap::Args)]
pub(super) struct CheckOptions {
    /// Scenarios: files, names of those that come with the program, or directories, of which every *.toml but
    /// Cargo.toml is read, and no directory within
    #[arg(value_name = "FILE|DIR|NAME", required = true)]
    scenarios: Vec<String>,
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
    let mut named = Vec::new();
    for written in &options.scenarios {
        let path = Path::new(written);
        named.extend(if path.is_dir() { files(path)? } else { vec![written.clone()] });
    }
    let mut found = Vec::new();
    for written in &named {
        let (name, source) = source::find(written)?;
        found.extend(Scenario::parse(&name, &source).1);
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
        print(format_args!(
            "{}: no errors{}",
            counted(named.len() as u64, "scenario"),
            warnings(found.len())
        ));
    }
    Ok(())
}

fn warnings(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", {}", counted(count as u64, "warning")) }
}

/// The scenarios of a directory, sorted.
fn files(directory: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error| Failure::doing(format!("cannot list {}", directory.display()), error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml") && path.is_file());
    paths.retain(|path| path.file_name().is_some_and(|name| name != "Cargo.toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::Failed(format!(
            "there is no scenario in {}: of a directory, every *.toml but Cargo.toml is read, and no directory within",
            directory.display()
        )));
    }
    Ok(paths.iter().map(|path| path.to_string_lossy().into_owned()).collect())
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
