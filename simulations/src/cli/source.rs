//! Which scenario is meant: a file, or one that comes with the program.

use std::fs;
use std::path::Path;

use graticule_node_core::document::Source;
use graticule_node_core::document::reading::nearest;

use super::Failure;
use crate::scenario::Scenario;
use crate::shipped::SHIPPED;
use graticule::cli::output::print_error;

/// The scenario that `written` names. What is wrong with it is printed.
pub(super) fn scenario(written: &str) -> Result<Scenario, Failure> {
    let (name, source) = find(written)?;
    let (scenario, found) = Scenario::parse(&name, &source);
    found.iter().for_each(print_error);
    scenario.ok_or(Failure::Found)
}

/// Name and text of the scenario that `written` names.
pub(super) fn find(written: &str) -> Result<(String, Source), Failure> {
    let path = Path::new(written);
    if path.is_file() {
        return Ok((stem(path), read(path)?));
    }
    if path.is_dir() {
        let message = format!("`{written}` is a directory: name one of the scenarios in it");
        return Err(Failure::Failed(message));
    }
    let text = shipped(written).ok_or_else(|| {
        let near = nearest(written, SHIPPED.iter().map(|(name, _)| *name));
        let help = near.map_or_else(
            || "`graticule-sim list` shows those that come with it".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        Failure::Failed(format!("there is no file and no scenario `{written}`; {help}"))
    })?;
    Ok((written.to_owned(), Source::new(format!("{written}.toml"), text)))
}

/// The text of a scenario that comes with the program.
fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

/// What the file of a scenario is called in messages.
pub(super) fn file(written: &str) -> String {
    if Path::new(written).is_file() { written.to_owned() } else { format!("{written}.toml") }
}

/// A file's name without its ending.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<Source, Failure> {
    let text = fs::read(path);
    let text = text.map_err(|error| Failure::doing(format!("cannot read {}", path.display()), error))?;
    Ok(Source::new(path.display().to_string(), text))
}
