//! What is wrong with a document, where, and what to do about it.

use std::fmt;

/// One thing that is wrong, for the person who wrote it.
///
/// Displayed in the style of compilers: `fleet.toml:12:7: error: unknown key ...`, then help on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The file as its [`Source`](super::Source) names it, or the variable or flag that said it.
    pub file: String,
    /// The line, from 1; 0 if the whole file is meant.
    pub line: u32,
    /// The column in characters, from 1; 0 if the whole file is meant.
    pub column: u32,
    /// Whether it keeps the document from being used.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Whether a diagnostic keeps a document from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but is hardly meant.
    Warning,
}

impl Diagnostic {
    /// Whether it keeps the document from being used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}: {}", self.severity, self.message)?;
        self.help.iter().try_for_each(|help| write!(f, "\n  help: {help}"))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(line: u32, help: Option<&str>) -> Diagnostic {
        Diagnostic {
            file: "fleet.toml".to_owned(),
            line,
            column: 7,
            severity: Severity::Error,
            message: "unknown key `contry`".to_owned(),
            help: help.map(str::to_owned),
        }
    }

    #[test]
    fn reads_like_a_compiler_s() {
        let shown = diagnostic(12, Some("did you mean `country`?")).to_string();
        assert_eq!(shown, "fleet.toml:12:7: error: unknown key `contry`\n  help: did you mean `country`?");
    }

    #[test]
    fn names_no_position_where_there_is_none() {
        assert_eq!(diagnostic(0, None).to_string(), "fleet.toml: error: unknown key `contry`");
    }
}
