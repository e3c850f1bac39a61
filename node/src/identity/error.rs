//! Why an identity cannot be used, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::PeerIdentity;

/// Why an identity, an authority or a peer's certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// A file on disk; nothing changes until somebody mends it.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What the operator does about it.
        remedy: &'static str,
    },
    /// What was asked of an authority cannot be issued.
    Order(String),
    /// The certificate of a connection's other end has no readable name.
    Peer(String),
    /// The TLS library refused what this node gave it: a defect here, not a peer's or an operator's fault.
    Library(String),
}

impl IdentityError {
    pub(crate) fn file(path: &Path, problem: impl fmt::Display, remedy: &'static str) -> Self {
        Self::File { path: path.to_owned(), problem: problem.to_string(), remedy }
    }

    pub(super) fn renamed(path: &Path, old: &PeerIdentity, new: &PeerIdentity) -> Self {
        let problem = format!("names {new}, but this node runs as {old}");
        Self::file(path, problem, "restart the node to give it another name")
    }

    pub(super) fn no_peer() -> Self {
        Self::Peer("the peer has shown no certificate: the handshake is not complete".to_owned())
    }

    pub(super) fn library(error: impl fmt::Display) -> Self {
        Self::Library(error.to_string())
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, problem, remedy } => write!(f, "{}: {problem}; {remedy}", path.display()),
            Self::Order(problem) | Self::Peer(problem) => f.write_str(problem),
            Self::Library(problem) => write!(f, "the TLS library refused: {problem}"),
        }
    }
}

impl std::error::Error for IdentityError {}
