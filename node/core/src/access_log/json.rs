//! How is one flat JSON object written without an allocation of its own?

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// A key with what stands before and behind it, as one text: it is copied at once, and its length is known.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

pub(super) use key;

/// An object that is being written; keys are written by [`key!`].
pub(super) struct Object<'o>(&'o mut String);

impl<'o> Object<'o> {
    /// One whose first key brings the brace before it.
    pub(super) fn new(out: &'o mut String) -> Self {
        Self(out)
    }

    pub(super) fn end(self) {
        self.0.push('}');
    }

    /// A key; whoever calls this writes the value.
    #[inline]
    pub(super) fn raw(&mut self, key: &'static str) -> &mut String {
        self.0.push_str(key);
        self.0
    }

    /// Any text.
    pub(super) fn text(&mut self, key: &'static str, value: &str) {
        quote(value, self.raw(key));
    }

    /// A text in which nothing is to be escaped: a name, an id, a word of our own.
    #[inline]
    pub(super) fn word(&mut self, key: &'static str, value: &str) {
        let out = self.raw(key);
        out.push('"');
        out.push_str(value);
        out.push('"');
    }

    #[inline]
    pub(super) fn optional(&mut self, key: &'static str, value: Option<&str>) {
        match value {
            Some(value) => self.word(key, value),
            None => self.raw(key).push_str("null"),
        }
    }

    pub(super) fn number(&mut self, key: &'static str, value: u64) {
        digits(value, 1, self.raw(key));
    }

    /// A socket's address.
    pub(super) fn address(&mut self, key: &'static str, value: SocketAddr) {
        let out = self.raw(key);
        out.push('"');
        match value {
            // The formatter of the standard library takes five times as long.
            SocketAddr::V4(value) => {
                for (octet, end) in value.ip().octets().into_iter().zip(['.', '.', '.', ':']) {
                    digits(octet.into(), 1, out);
                    out.push(end);
                }
                digits(value.port().into(), 1, out);
            }
            // A string never fails to take text.
            SocketAddr::V6(value) => drop(write!(out, "{value}")),
        }
        out.push('"');
    }

    pub(super) fn boolean(&mut self, key: &'static str, value: bool) {
        self.raw(key).push_str(if value { "true" } else { "false" });
    }

    /// A number of milliseconds with three digits behind the point, or null.
    pub(super) fn milliseconds(&mut self, key: &'static str, value: Option<Duration>) {
        let out = self.raw(key);
        let Some(value) = value else { return out.push_str("null") };
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        digits(micros / 1_000, 1, out);
        out.push('.');
        digits(micros % 1_000, 3, out);
    }

    pub(super) fn words<'v>(&mut self, key: &'static str, values: impl Iterator<Item = &'v str>) {
        let out = self.raw(key);
        out.push('[');
        for (at, value) in values.enumerate() {
            out.push_str(if at > 0 { ",\"" } else { "\"" });
            out.push_str(value);
            out.push('"');
        }
        out.push(']');
    }
}

/// A string: what must be escaped is rare, and what lies between is copied whole.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        // What is escaped is ASCII, so this is a border of characters.
        let (clean, dirty) = rest.split_at(at);
        out.push_str(clean);
        let byte = dirty.as_bytes()[0];
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            control => {
                out.push_str("\\u00");
                for nibble in [control >> 4, control & 15] {
                    out.push(char::from(HEX[usize::from(nibble)]));
                }
            }
        }
        rest = &dirty[1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// A number with at least `width` digits, at most 20.
pub(super) fn digits(mut value: u64, width: usize, out: &mut String) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while value > 0 {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    let from = at.min(text.len() - width);
    out.push_str(std::str::from_utf8(&text[from..]).unwrap_or_default());
}

const HEX: &[u8; 16] = b"0123456789abcdef";
