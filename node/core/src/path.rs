//! In which form is a path matched by rules, whatever a client does to its spelling?
//!
//! Backends read `/%65u/x`, `//eu/x`, `/eu;v=1/x` and `/eu%2fx` as `/eu/x`; a rule for `/eu` must see them so too. What
//! backends read in too different ways, dot segments above all, is refused instead of guessed at. What is forwarded is
//! the path as it came. Letters keep their case: rules for a backend that ignores case must name its paths' every case.

use std::borrow::Cow;

use crate::Reason;

/// The form of `path` (without query) that claims and routes are matched by; the path itself if it has that form.
///
/// In it no visible ASCII character but `%` is percent-encoded and every other byte is, with upper-case digits;
/// an encoded `/` is a `/`; there are no empty segments but the last; and parameters (`;` to the segment's end) are
/// left out. `*`, which asks about the server, is `/`. The form of a form is itself.
///
/// [`Reason::BadRequest`] for dot segments, malformed escapes, NUL, a backslash, and an encoded `/` within parameters,
/// each in every encoding; and for what does not begin with `/`.
pub fn form(path: &str) -> Result<Cow<'_, str>, Reason> {
    match path {
        "*" => Ok(Cow::Borrowed("/")),
        path if !path.starts_with('/') => Err(Reason::BadRequest),
        path if is_form(path) => Ok(Cow::Borrowed(path)),
        path => join(&decode(path)?).map(Cow::Owned),
    }
}

/// Whether nothing is to be decoded, left out or refused.
fn is_form(path: &str) -> bool {
    let mut bytes = path.bytes();
    let plain = std::iter::from_fn(|| {
        bytes.next().map(|byte| match byte {
            b'%' => escaped(&mut bytes.by_ref().take_while(|digit| HEX.contains(digit)))
                .is_some_and(stays_encoded),
            byte => byte.is_ascii_graphic() && !b";\\".contains(&byte),
        })
    })
    .all(|plain| plain);
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/').skip(1);
    plain && (path == "/" || segments.all(|segment| !matches!(segment, "" | "." | "..")))
}

fn stays_encoded(byte: u8) -> bool {
    byte != b'\0' && (byte == b'%' || !byte.is_ascii_graphic())
}

/// What the path's escapes stand for.
fn decode(path: &str) -> Result<Vec<u8>, Reason> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut in_parameters = false;
    let mut bytes = path.bytes();
    while let Some(raw) = bytes.next() {
        let byte = if raw == b'%' { escaped(&mut bytes).ok_or(Reason::BadRequest)? } else { raw };
        in_parameters = match byte {
            b'\0' | b'\\' => return Err(Reason::BadRequest),
            b'/' if raw != b'/' && in_parameters => return Err(Reason::BadRequest),
            b'/' => false,
            b';' => true,
            _ => in_parameters,
        };
        decoded.push(byte);
    }
    Ok(decoded)
}

fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high << 4 | low).ok()
}

/// The segments that count, without their parameters.
fn join(decoded: &[u8]) -> Result<String, Reason> {
    let mut joined = String::with_capacity(decoded.len());
    let mut open_end = true;
    for segment in decoded.split(|byte| *byte == b'/') {
        let named = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        match named {
            b"." | b".." => return Err(Reason::BadRequest),
            b"" => open_end = true,
            named => {
                joined.push('/');
                for byte in named {
                    push(&mut joined, *byte);
                }
                open_end = false;
            }
        }
    }
    if open_end {
        joined.push('/');
    }
    Ok(joined)
}

fn push(joined: &mut String, byte: u8) {
    if stays_encoded(byte) {
        let digit = |value: u8| char::from(HEX[usize::from(value & 0xf)]);
        joined.extend(['%', digit(byte >> 4), digit(byte)]);
    } else {
        joined.push(char::from(byte));
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests;
