//! Which hosts a claim means: one name, or every name under a suffix.

use std::fmt;
use std::str::FromStr;

/// A host, in lower case and without port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPattern {
    /// `shop.example`.
    Exact(String),
    /// `*.shop.example`, kept as `shop.example`: any host with at least one label in front.
    Wildcard(String),
}

/// Why a text is no host pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPatternError {
    /// It has a scheme or a path.
    Url,
    /// It has a port.
    Port,
    /// It has characters outside of ASCII.
    NotAscii,
    /// It has a `*` that is not a whole label in front of others.
    Wildcard,
    /// It is empty, too long, or a label of it is.
    Length,
    /// A label has a character that labels may not have, or begins or ends with `-`.
    Label,
}

impl HostPattern {
    /// The longest host name that DNS has, in bytes.
    pub const BYTES_MAX: usize = 253;

    /// The name, or the part of it that all names of a wildcard end with.
    pub fn name(&self) -> &str {
        match self {
            Self::Exact(name) | Self::Wildcard(name) => name,
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let pattern = |name: &str| name.to_ascii_lowercase();
        match text.strip_prefix("*.") {
            Some(suffix) => check(suffix).map(|()| Self::Wildcard(pattern(suffix))),
            None => check(text).map(|()| Self::Exact(pattern(text))),
        }
    }
}

fn check(name: &str) -> Result<(), HostPatternError> {
    let label_legal = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
    };
    if !name.is_ascii() {
        Err(HostPatternError::NotAscii)
    } else if name.contains('/') {
        Err(HostPatternError::Url)
    } else if name.contains('*') {
        Err(HostPatternError::Wildcard)
    } else if name.contains(':') {
        Err(HostPatternError::Port)
    } else if name.len() > HostPattern::BYTES_MAX
        || name.split('.').any(|label| !(1..=LABEL_BYTES_MAX).contains(&label.len()))
    {
        Err(HostPatternError::Length)
    } else if !name.split('.').all(label_legal) {
        Err(HostPatternError::Label)
    } else {
        Ok(())
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl fmt::Display for HostPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "expected a host alone, without scheme or path",
            Self::Port => "expected a host without port",
            Self::NotAscii => "expected a host in ASCII: write the `xn--` form",
            Self::Wildcard => {
                "expected `*` as the first label only, as in `*.shop.example`; for every host leave `host` out"
            }
            Self::Length => "expected labels of 1 to 63 bytes, 253 bytes in all",
            Self::Label => "expected labels of letters, digits, `-` and `_`, with no `-` at either end",
        })
    }
}

impl std::error::Error for HostPatternError {}

const LABEL_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_wildcards_are_kept_in_lower_case() {
        assert_eq!("Shop.Example".parse(), Ok(HostPattern::Exact("shop.example".to_owned())));
        assert_eq!("*.Shop.example".parse(), Ok(HostPattern::Wildcard("shop.example".to_owned())));
        assert_eq!("10.0.0.1".parse(), Ok(HostPattern::Exact("10.0.0.1".to_owned())));
    }

    #[test]
    fn what_is_no_host_is_refused_for_its_reason() {
        let long_label = "a".repeat(64);
        let long_name = ["a"; 128].join(".");
        for (text, error) in [
            ("https://shop.example", HostPatternError::Url),
            ("shop.example/x", HostPatternError::Url),
            ("shop.example:80", HostPatternError::Port),
            ("b\u{fc}cher.example", HostPatternError::NotAscii),
            ("*", HostPatternError::Wildcard),
            ("shop.*.example", HostPatternError::Wildcard),
            ("*.*.example", HostPatternError::Wildcard),
            ("", HostPatternError::Length),
            ("*.", HostPatternError::Length),
            ("shop..example", HostPatternError::Length),
            ("shop.example.", HostPatternError::Length),
            (long_label.as_str(), HostPatternError::Length),
            (long_name.as_str(), HostPatternError::Length),
            ("-shop.example", HostPatternError::Label),
            ("shop example", HostPatternError::Label),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_is_read_as_it_is_shown(text in "(\\*\\.)?[a-z0-9_.*:/-]{0,40}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
