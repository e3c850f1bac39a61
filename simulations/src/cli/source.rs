//! Which scenario is meant: a file, or one that comes with the program.

use std::fs;
use std::path::Path;

use graticule_node_core::document::{Diagnostic, Source};

use super::Failure;
use crate::scenario::Scenario;
use crate::shipped::SHIPPED;
use graticule::cli::output::print_error;

/// The scenario that `written` names. What is wrong with it is printed.
pub(super) fn scenario(written: &str) -> Result<Scenario, Failure> {
    let path = Path::new(written);
    let (name, source) = if path.is_file() {
        (stem(path), read(path)?)
    } else {
        let text = SHIPPED.iter().find(|(name, _)| *name == written).map(|(_, text)| *text).ok_or_else(|| {
            Failure::Failed(format!(
                "there is no file and no scenario `{written}`; `graticule-sim list` shows those that come with it"
            ))
        })?;
        (written.to_owned(), Source::new(format!("{written}.toml"), text))
    };
    let (scenario, found) = Scenario::parse(&name, &source);
    found.iter().for_each(print_error);
    scenario.ok_or(Failure::Found)
}

/// What the file of a scenario is called in messages.
pub(super) fn file(written: &str) -> String {
    if Path::new(written).is_file() { written.to_owned() } else { format!("{written}.toml") }
}

/// A file's name without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A scenario's file.
pub(super) fn read(path: &Path) -> Result<Source, Failure> {
    let text = fs::read(path);
    let text = text.map_err(|error| Failure::doing(format!("cannot read {}", path.display()), error))?;
    Ok(Source::new(path.display().to_string(), text))
}

/// What is found in one file.
pub(super) fn check(path: &Path) -> Result<(Option<Scenario>, Vec<Diagnostic>), Failure> {
    Ok(Scenario::parse(&stem(path), &read(path)?))
}
