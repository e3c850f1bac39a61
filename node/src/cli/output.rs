//! What commands print, and how they end: of this program and of the simulator.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use serde::Serialize;

/// Why a command ended without success.
#[derive(Debug)]
pub enum Failure {
    /// What was checked or asked for has errors, which have been printed.
    Found,
    /// The command could not be done; with what to do about it.
    Failed(String),
}

impl Failure {
    /// A failure to do something, because of an error.
    pub fn doing(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }
}

/// Prints a failure of `program`; exit status 1 for findings, 2 for failures. Output that got lost is one.
pub fn result(program: &str, result: Result<(), Failure>) -> ExitCode {
    let lost = LOST.get().map(|error| Failure::doing("cannot write to standard output", error));
    match lost.map_or(result, Err) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Found) => ExitCode::from(1),
        Err(Failure::Failed(message)) => {
            // Nobody left to tell if standard error is closed.
            let _ = writeln!(io::stderr(), "{program}: {message}");
            ExitCode::from(2)
        }
    }
}

/// Prints lines to standard output. A reader that has gone away is no failure; what is lost otherwise is told by
/// [`result`].
pub fn print(text: impl fmt::Display) {
    if let Err(error) = writeln!(io::stdout().lock(), "{text}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // The first one tells enough.
        let _ = LOST.set(error);
    }
}

static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints a finding to standard error.
pub fn print_error(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints one value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::doing("cannot write JSON", error))?;
    print(text);
    Ok(())
}

/// Rows under headings, in columns as wide as they need to be.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".into(), "long cell".into()], vec!["longer".into(), "b".into()]];
        assert_eq!(table(&["X", "Y"], &rows), "X       Y\na       long cell\nlonger  b");
    }
}
