//! By which ids a request can be followed: `traceparent` and `x-request-id`.

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::REQUEST_ID_BYTES_MAX;

/// A trace to begin where a request carries none. The ids are drawn by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTrace {
    /// The id of the trace.
    pub trace: u128,
    /// The id of the span that stands for this node.
    pub parent: u64,
    /// Whether backends that sample as their caller did record the trace.
    pub sampled: bool,
}

/// Carries a valid `traceparent` (W3C Trace Context) on unchanged, with its `tracestate`; replaces an invalid or missing one
/// by `new`, and drops a `tracestate` that then belongs to nothing. Where the request stands in its trace then.
pub fn trace_context(headers: &mut HeaderMap, new: NewTrace) -> TraceContext {
    // Ids of zero are invalid.
    let (trace, parent) = (new.trace.max(1), new.parent.max(1));
    let mut carried = None;
    let is_valid = |value: &[u8]| {
        carried = parse(value);
        carried.is_some()
    };
    let begun = || {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        put_hex(&trace.to_be_bytes(), &mut value[3..35]);
        put_hex(&parent.to_be_bytes(), &mut value[36..52]);
        put_hex(&[u8::from(new.sampled)], &mut value[53..]);
        HeaderValue::from_bytes(&value).ok()
    };
    keep_or_set(headers, TRACEPARENT, is_valid, begun);
    carried.unwrap_or_else(|| {
        headers.remove(&TRACESTATE);
        TraceContext { trace, parent, sampled: new.sampled }
    })
}

/// Where a request stands in its trace, as its `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The id of the trace.
    pub trace: u128,
    /// The id of the span that this request is part of.
    pub parent: u64,
    /// Whether who sent it records the trace.
    pub sampled: bool,
}

/// The id of a trace in hexadecimal digits, or nothing.
#[derive(Debug, Clone, Copy)]
pub struct TraceId(Option<[u8; 32]>);

impl TraceId {
    /// The id of this trace.
    pub fn of(context: Option<TraceContext>) -> Self {
        Self(context.map(|context| {
            let mut digits = [0; 32];
            put_hex(&context.trace.to_be_bytes(), &mut digits);
            digits
        }))
    }

    /// Its digits.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_ref().and_then(|digits| std::str::from_utf8(digits).ok())
    }
}

/// Where a request stands in its trace; `None` without a valid `traceparent`.
pub fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    only(headers, &TRACEPARENT).and_then(parse)
}

/// What a `traceparent` says, if it is valid.
fn parse(value: &[u8]) -> Option<TraceContext> {
    if !is_traceparent(value) {
        return None;
    }
    // In halves: numbers of 128 bits take several times as long.
    let [high, low, parent, flags] = [3..19, 19..35, 36..52, 53..55].map(|digits| hex(&value[digits]));
    let trace = u128::from(high) << 64 | u128::from(low);
    Some(TraceContext { trace, parent, sampled: flags & SAMPLED > 0 })
}

/// The number of at most 16 digits in lower case, which these are known to be.
fn hex(digits: &[u8]) -> u64 {
    let value = |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit.wrapping_sub(b'a' - 10) };
    digits.iter().fold(0, |number, digit| number << 4 | u64::from(value(*digit) & 15))
}

/// Makes the span `parent` the one that whoever gets this request is part of.
pub fn set_trace_parent(headers: &mut HeaderMap, parent: u64) {
    let Some(value) = only(headers, &TRACEPARENT).filter(|value| is_traceparent(value)) else { return };
    let mut value = value.to_vec();
    if let Some(digits) = value.get_mut(36..52) {
        put_hex(&parent.max(1).to_be_bytes(), digits);
    }
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        headers.insert(TRACEPARENT, value);
    }
}

/// Carries a valid `x-request-id` on (one line of 1 to [`REQUEST_ID_BYTES_MAX`] visible ASCII characters), else replaces it
/// by `chance` in hexadecimal digits.
pub fn request_id(headers: &mut HeaderMap, chance: u128) {
    let is_valid =
        |id: &[u8]| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    let drawn = || {
        let mut id = [0; 32];
        put_hex(&chance.to_be_bytes(), &mut id);
        HeaderValue::from_bytes(&id).ok()
    };
    keep_or_set(headers, X_REQUEST_ID, is_valid, drawn);
}

/// Writes two digits for each byte; the formatter of the standard library takes five times as long.
fn put_hex(bytes: &[u8], digits: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(digits.as_chunks_mut().0) {
        *pair = PAIRS[usize::from(*byte)];
    }
}

/// The value of a header that has exactly one line.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Some(line.as_bytes()),
        _ => None,
    }
}

/// Keeps a header that has exactly one line, and a valid one; else `value` replaces it. Looks the name up once.
fn keep_or_set(
    headers: &mut HeaderMap,
    name: HeaderName,
    is_valid: impl FnOnce(&[u8]) -> bool,
    value: impl FnOnce() -> Option<HeaderValue>,
) {
    match headers.try_entry(name) {
        Ok(Entry::Occupied(mut entry)) => {
            let is_only = entry.iter().nth(1).is_none();
            if !(is_only && is_valid(entry.get().as_bytes())) {
                value().map(|value| entry.insert(value));
            }
        }
        Ok(Entry::Vacant(entry)) => {
            value().map(|value| entry.try_insert(value).is_ok());
        }
        // The map is full, which limits of heads forbid.
        Err(_) => {}
    }
}

/// Whether this is `version-trace-parent-flags`; versions after the first may have more behind a `-`.
fn is_traceparent(value: &[u8]) -> bool {
    let Some((known, more)) = value.split_at_checked(TRACEPARENT_BYTES) else { return false };
    let mut fields = known.split(|byte| *byte == b'-');
    let mut field = |digits: usize| fields.next().filter(|field| is_hex(field, digits));
    let (Some(version), Some(trace), Some(parent), Some(_)) = (field(2), field(32), field(16), field(2))
    else {
        return false;
    };
    let is_complete = match version {
        b"ff" => false,
        b"00" => more.is_empty(),
        _ => more.first().is_none_or(|byte| *byte == b'-'),
    };
    is_complete && !is_zero(trace) && !is_zero(parent)
}

fn is_hex(field: &[u8], digits: usize) -> bool {
    field.len() == digits && field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(field: &[u8]) -> bool {
    field.iter().all(|byte| *byte == b'0')
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The header that carries a request's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The flag that says so.
const SAMPLED: u64 = 1;
/// The digits of each byte.
static PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};
/// Four fields and what is between them.
const TRACEPARENT_BYTES: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const NEW: NewTrace = NewTrace { trace: 0xabc, parent: 0xdef, sampled: false };
    const MADE: &str = "00-00000000000000000000000000000abc-0000000000000def-00";

    fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn traced(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = map(lines);
        trace_context(&mut headers, NEW);
        headers
    }

    #[test]
    fn a_valid_trace_is_carried_on_with_its_state() {
        let lines = [("traceparent", VALID), ("tracestate", "a=1"), ("tracestate", "b=2")];
        assert_eq!(traced(&lines), map(&lines));
    }

    #[test]
    fn later_versions_may_have_more() {
        let later = VALID.replacen("00", "cc", 1);
        for value in [later.clone(), format!("{later}-more"), format!("{later}-")] {
            assert_eq!(traced(&[("traceparent", &value)]), map(&[("traceparent", &value)]));
        }
        assert_eq!(traced(&[("traceparent", &format!("{later}.more"))]), map(&[("traceparent", MADE)]));
    }

    #[test]
    fn an_invalid_or_missing_trace_is_begun_anew_without_state() {
        let zero_trace = VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let zero_parent = VALID.replace("b7ad6b7169203331", &"0".repeat(16));
        let invalid = [
            "",
            &zero_trace,
            &zero_parent,
            &VALID.to_uppercase(),
            &VALID.replacen("00", "ff", 1),
            &VALID.replace("-01", "-1"),
            &VALID.replace('-', "_"),
            &format!("{VALID}-more"),
            &format!(" {VALID}"),
            &VALID[1..],
        ];
        for value in invalid {
            let sent = traced(&[("traceparent", value), ("tracestate", "a=1")]);
            assert_eq!(sent, map(&[("traceparent", MADE)]), "{value}");
        }
        assert_eq!(traced(&[("tracestate", "a=1")]), map(&[("traceparent", MADE)]));
        let twice = [("traceparent", VALID), ("traceparent", VALID)];
        assert_eq!(traced(&twice), map(&[("traceparent", MADE)]));
    }

    #[test]
    fn a_trace_is_read_and_its_parent_replaced_and_nothing_else() {
        let mut headers = map(&[("traceparent", VALID)]);
        let context = trace_of(&headers).unwrap();
        assert_eq!(context.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((context.parent, context.sampled), (0xb7ad_6b71_6920_3331, true));
        set_trace_parent(&mut headers, 7);
        assert_eq!(trace_of(&headers), Some(TraceContext { parent: 7, ..context }));
        set_trace_parent(&mut headers, context.parent);
        assert_eq!(headers, map(&[("traceparent", VALID)]));
        let mut invalid = map(&[("traceparent", "00-x")]);
        set_trace_parent(&mut invalid, 7);
        assert_eq!((trace_of(&invalid), invalid), (None, map(&[("traceparent", "00-x")])));
    }

    #[test]
    fn request_ids_are_carried_on_within_their_limit() {
        let sent = |id: &str| {
            let mut headers = map(&[("x-request-id", id)]);
            request_id(&mut headers, 0xabc);
            headers
        };
        let longest = "i".repeat(REQUEST_ID_BYTES_MAX);
        for valid in ["1", "a/b:c", &longest] {
            assert_eq!(sent(valid), map(&[("x-request-id", valid)]));
        }
        let made = map(&[("x-request-id", "00000000000000000000000000000abc")]);
        for invalid in ["", "a b", "a\tb", &format!("{longest}i"), "\u{e9}"] {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(invalid.as_bytes()).unwrap());
            request_id(&mut headers, 0xabc);
            assert_eq!(headers, made, "{invalid:?}");
        }
        let mut twice = map(&[("x-request-id", "1"), ("x-request-id", "2")]);
        request_id(&mut twice, 0xabc);
        assert_eq!(twice, made);
    }

    proptest! {
        #[test]
        fn whatever_came_what_goes_on_is_valid(
            value in prop_oneof!["[0-9a-f-]{50,60}", "[ -~]{0,60}"], trace in any::<u128>(), parent in any::<u64>(),
            zero in any::<bool>(), sampled in any::<bool>(),
        ) {
            let mut headers = map(&[("traceparent", &value), ("x-request-id", &value)]);
            let (trace, parent) = if zero { (0, 0) } else { (trace, parent) };
            let context = trace_context(&mut headers, NewTrace { trace, parent, sampled });
            prop_assert_eq!(trace_of(&headers), Some(context));
            request_id(&mut headers, trace);
            let once = headers.clone();
            prop_assert!(only(&headers, &TRACEPARENT).is_some_and(is_traceparent));
            prop_assert!(context.trace > 0 && context.parent > 0);
            trace_context(&mut headers, NEW);
            request_id(&mut headers, 7);
            prop_assert_eq!(headers, once);
        }
    }
}
