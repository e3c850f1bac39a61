//! What was found in one document: diagnostics at spots of its text, bounded in number.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::suggest::nearest;
use super::{Diagnostic, Severity};

/// A place in what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// The document as a whole.
    Document,
    /// A character of its text: line and column from 1.
    Text {
        /// The line.
        line: u32,
        /// The column, in characters.
        column: u32,
    },
    /// The override at this position of [`Page::overridden`].
    Override(usize),
}

/// A value with the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// What it is.
    pub value: T,
    /// Where it was written.
    pub spot: Spot,
}

/// One document while it is checked.
#[derive(Debug)]
pub struct Page {
    file: Arc<str>,
    overrides: Vec<String>,
    found: RefCell<Found>,
}

#[derive(Debug, Default)]
struct Found {
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    broken_lines: BTreeSet<u32>,
}

impl Page {
    /// A page for the document that is shown as `file`.
    pub fn new(file: &str) -> Self {
        Self::overridden(file, Vec::new())
    }

    /// A page for a document parts of which are overridden by variables or flags of these names.
    pub fn overridden(file: &str, overrides: Vec<String>) -> Self {
        Self { file: Arc::from(file), overrides, found: RefCell::default() }
    }

    /// The document's name.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Whether anything keeps the document from being used.
    pub fn has_errors(&self) -> bool {
        self.found.borrow().errors > 0
    }

    /// Whether the text could be read only in parts.
    pub fn is_broken(&self) -> bool {
        !self.found.borrow().broken_lines.is_empty()
    }

    /// Everything found, in the order of the text.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.found.into_inner().diagnostics;
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        diagnostics
    }

    /// Reports text that is no TOML: once for each line, and nothing else is reported about that line.
    pub fn syntax_error(&self, spot: Spot, message: &str, help: Option<String>) {
        let line = if let Spot::Text { line, .. } = spot { line } else { 0 };
        if !self.found.borrow().broken_lines.contains(&line) {
            self.report(Severity::Error, spot, message, help);
            self.found.borrow_mut().broken_lines.insert(line);
        }
    }

    /// Reports an error.
    pub fn error(&self, spot: Spot, message: impl Into<String>) {
        self.report(Severity::Error, spot, &message.into(), None);
    }

    /// Reports an error, and what to do.
    pub fn error_with(&self, spot: Spot, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Error, spot, &message.into(), Some(help.into()));
    }

    /// Reports an error, and what to do if that can be told.
    pub fn error_perhaps_with(&self, spot: Spot, message: impl Into<String>, help: Option<String>) {
        self.report(Severity::Error, spot, &message.into(), help);
    }

    /// Reports something that is hardly meant, and what to do.
    pub fn warn(&self, spot: Spot, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, spot, &message.into(), Some(help.into()));
    }

    /// Reports a key that is not there, unless the text could be read only in parts: then it may be there.
    pub fn missing(&self, spot: Spot, key: &str, example: &str) {
        if !self.is_broken() {
            self.error_with(spot, format!("missing key `{key}`"), format!("add `{key} = {example}`"));
        }
    }

    /// Reports a name that means nothing here, with the nearest of those that do.
    pub fn unknown<'n>(
        &self,
        spot: Spot,
        what: &str,
        written: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        // Comparing with every known name is the dearest thing here, so a full page does not ask for it.
        let help = (!self.is_full()).then(|| match nearest(written, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.clone().next().is_none() => format!("fleet.toml names no {what} yet: add it there"),
            None => format!("there is {}", listed(known)),
        });
        self.report(Severity::Error, spot, &format!("unknown {what} `{}`", shortened(written)), help);
    }

    /// Whether nothing more is shown, so that nobody need think about it.
    pub(super) fn is_full(&self) -> bool {
        self.found.borrow().diagnostics.len() >= DIAGNOSTICS_MAX
    }

    fn report(&self, severity: Severity, spot: Spot, message: &str, help: Option<String>) {
        let (file, line, column) = self.position(spot);
        let mut found = self.found.borrow_mut();
        if severity == Severity::Error {
            found.errors += 1;
        }
        if found.broken_lines.contains(&line) || found.diagnostics.len() > DIAGNOSTICS_MAX {
            return;
        }
        let message = visible(message);
        let diagnostic = if found.diagnostics.len() == DIAGNOSTICS_MAX {
            found.errors += 1;
            let message = format!("more than {DIAGNOSTICS_MAX} diagnostics; the rest is not shown");
            Diagnostic { file, line: u32::MAX, column: 1, severity: Severity::Error, message, help: None }
        } else {
            Diagnostic { file, line, column, severity, message, help }
        };
        found.diagnostics.push(diagnostic);
    }

    /// File, line and column of a place, as diagnostics have them.
    pub(crate) fn position(&self, spot: Spot) -> (String, u32, u32) {
        match spot {
            Spot::Document => (self.file.to_string(), 0, 0),
            Spot::Text { line, column } => (self.file.to_string(), line, column),
            Spot::Override(at) => {
                (self.overrides.get(at).map_or(&*self.file, String::as_str).to_owned(), 0, 0)
            }
        }
    }
}

impl<T> At<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), spot: self.spot }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { line, column } => write!(f, "{line}:{column}"),
            Self::Document | Self::Override(_) => Ok(()),
        }
    }
}

/// Names for people: the first few, quoted.
pub fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut shown: Vec<String> = names.take(NAMES_SHOWN_MAX + 1).map(|name| format!("`{name}`")).collect();
    match shown.len() {
        0 => "none".to_owned(),
        count if count > NAMES_SHOWN_MAX => {
            shown.truncate(NAMES_SHOWN_MAX);
            format!("{} and more", shown.join(", "))
        }
        _ => shown.join(", "),
    }
}

/// A text for people: the first characters of it.
pub fn shortened(text: &str) -> String {
    let shown: String = text.chars().take(TEXT_SHOWN_CHARS_MAX).collect();
    if text.chars().nth(TEXT_SHOWN_CHARS_MAX).is_some() { format!("{shown}...") } else { shown }
}

/// Without control characters: a document must not steer the terminal of its reader.
fn visible(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// How many diagnostics one document can have.
const DIAGNOSTICS_MAX: usize = 1_000;

const NAMES_SHOWN_MAX: usize = 12;
const TEXT_SHOWN_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests;
