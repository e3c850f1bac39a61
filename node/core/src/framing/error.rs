//! What can be wrong with a stream, or with what was to be written on one.

use std::fmt;

use super::{FRAMING_VERSION, reset};

/// Why bytes are not the frames they should be, or why something cannot be made a frame.
///
/// From a decoder it means that the peer is wrong (another version, a fault, or no friend): the stream cannot be read
/// further. From an encoder it means that what was to be sent is over a limit, or should have been stripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramingError {
    /// The stream's first byte is no kind that is known here.
    UnknownStreamKind(u8),
    /// The stream's second byte is not [`FRAMING_VERSION`].
    UnknownVersion(u8),
    /// A frame of a kind that is not known here.
    UnknownFrame(u8),
    /// A frame that may not come at this point.
    OutOfOrder(&'static str),
    /// The named thing is over its limit.
    TooLarge(&'static str),
    /// The named thing is not of its form.
    Malformed(&'static str),
    /// A header that speaks of one connection, or is said elsewhere in the head, and so may not stand here.
    ForbiddenHeader(&'static str),
    /// More body than the head announced, or a `content-length` that says something else than the head.
    LengthMismatch,
    /// The stream ended before its message was complete.
    Truncated,
}

impl FramingError {
    /// The code to give the stream up with.
    pub fn reset_code(self) -> u32 {
        match self {
            Self::TooLarge(_) => reset::LIMIT,
            _ => reset::PROTOCOL,
        }
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownStreamKind(kind) => write!(f, "a stream of the unknown kind {kind}"),
            Self::UnknownVersion(version) => {
                write!(f, "framing version {version}, but only {FRAMING_VERSION} is known here")
            }
            Self::UnknownFrame(kind) => write!(f, "a frame of the unknown kind {kind}"),
            Self::OutOfOrder(what) => write!(f, "{what} at a point where it may not come"),
            Self::TooLarge(what) => write!(f, "{what} over its limit"),
            Self::Malformed(what) => write!(f, "{what} is malformed"),
            Self::ForbiddenHeader(name) => write!(f, "the header `{name}` may not cross a tunnel"),
            Self::LengthMismatch => f.write_str("a body whose length is not the announced one"),
            Self::Truncated => f.write_str("the stream ended before its message was complete"),
        }
    }
}

impl std::error::Error for FramingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_and_a_broken_rule_are_told_apart_by_code() {
        assert_eq!(FramingError::TooLarge("head").reset_code(), reset::LIMIT);
        assert_eq!(FramingError::Malformed("head").reset_code(), reset::PROTOCOL);
        assert_eq!(FramingError::Truncated.reset_code(), reset::PROTOCOL);
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(FramingError::TooLarge("head").to_string(), "head over its limit");
        assert_eq!(
            FramingError::ForbiddenHeader("connection").to_string(),
            "the header `connection` may not cross a tunnel"
        );
    }
}
