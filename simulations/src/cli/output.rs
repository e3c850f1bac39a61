//! What commands print, and how they end.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

/// Why a command ended without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was run or checked did not pass, which has been printed.
    Found,
    /// The command could not be done; with what to do about it.
    Failed(String),
}

impl Failure {
    /// A failure to do something, because of an error.
    pub(super) fn doing(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }
}

/// Prints a failure; exit status 1 for findings, 2 for failures.
pub(super) fn result(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Found) => ExitCode::from(1),
        Err(Failure::Failed(message)) => {
            print_error(format_args!("graticule-sim: {message}"));
            ExitCode::from(2)
        }
    }
}

/// Prints lines to standard output. A reader that has gone away is no failure.
pub(super) fn print(text: impl fmt::Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a line to standard error.
pub(super) fn print_error(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints one value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::doing("cannot write JSON", error))?;
    print(text);
    Ok(())
}
