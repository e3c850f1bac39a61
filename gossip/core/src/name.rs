//! What things of the mesh are called: nodes, regions, and the mesh itself.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    written: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no name: expected 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit",
            self.written
        )
    }
}

impl std::error::Error for NameError {}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                checked(text).map(|text| Self(Arc::from(text)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// One node of the mesh, unique in the fleet; from its certificate.
    NodeName
}
name! {
    /// One region of the fleet document.
    RegionName
}
name! {
    /// The mesh: the trust domain in every certificate, and the gossip cluster.
    MeshName
}

fn checked(text: &str) -> Result<&str, NameError> {
    let bytes = text.as_bytes();
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let legal = (1..=NAME_BYTES_MAX).contains(&bytes.len())
        && bytes.iter().all(|byte| word(byte) || *byte == b'-')
        && bytes.first().is_some_and(word)
        && bytes.last().is_some_and(word);
    if legal { Ok(text) } else { Err(NameError { written: text.chars().take(80).collect() }) }
}

/// As a DNS label, because names appear in host names and SPIFFE paths.
const NAME_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests;
