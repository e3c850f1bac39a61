//! What a value must be: strings, numbers, durations, names, lists; each says what it expected where it is wrong.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use graticule_geo::Country;

use super::page::{At, Page, Spot, listed, shortened};
use super::suggest::nearest;
use super::tree::{Node, Value};

/// A string of at most 4,096 bytes.
pub fn text(page: &Page, node: &Node) -> Option<String> {
    borrowed_text(page, node).map(str::to_owned)
}

/// A string that means something, such as a name or an address.
pub fn parsed<T: FromStr<Err: Display>>(page: &Page, node: &Node) -> Option<T> {
    let text = borrowed_text(page, node)?;
    text.parse().map_err(|error: T::Err| page.error(node.spot, error.to_string())).ok()
}

/// A string that means something, for types whose own error does not say what is `expected`.
pub fn expecting<T: FromStr>(expected: &str) -> impl Fn(&Page, &Node) -> Option<T> {
    move |page, node| {
        let text = borrowed_text(page, node)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            page.error(node.spot, format!("expected {expected}, found `{}`", shortened(text)));
        }
        parsed
    }
}

/// A country code; one that no country has is hardly meant.
pub fn country(page: &Page, node: &Node) -> Option<Country> {
    country_code(page, node).inspect(|country| warn_if_unassigned(page, node.spot, *country))
}

/// A country code that some country has.
pub fn assigned_country(page: &Page, node: &Node) -> Option<Country> {
    let country = country_code(page, node)?;
    if country.is_assigned() {
        return Some(country);
    }
    page.error_with(node.spot, format!("no country has the code `{country}`"), SEE_CODES);
    None
}

fn country_code(page: &Page, node: &Node) -> Option<Country> {
    let text = borrowed_text(page, node)?;
    if let Some(code) = meant_country(text) {
        let message = format!("`{}` is no country code of ISO 3166-1", shortened(text));
        page.error_with(node.spot, message, format!("did you mean `{code}`?"));
        return None;
    }
    parsed(page, node)
}

/// Reports a code that no country has: a rule about it is about nobody.
pub(crate) fn warn_if_unassigned(page: &Page, spot: Spot, country: Country) {
    if !country.is_assigned() {
        let message = format!("no country has the code `{country}`");
        page.warn(spot, message, SEE_CODES);
    }
}

/// The code that was meant by a text that looks like one: codes that the EU uses and ISO does not, and small letters.
pub fn meant_country(text: &str) -> Option<String> {
    match text.to_ascii_uppercase().as_str() {
        "UK" => Some("GB".to_owned()),
        "EL" => Some("GR".to_owned()),
        upper => (upper != text && upper.parse::<Country>().is_ok()).then(|| upper.to_owned()),
    }
}

/// An integer in a range.
pub fn integer(range: RangeInclusive<i64>) -> impl Fn(&Page, &Node) -> Option<i64> {
    move |page, node| {
        let value = node.as_integer().filter(|value| range.contains(value));
        if value.is_none() {
            let expected = format!("an integer from {} to {}", range.start(), range.end());
            mismatch(page, node, &expected);
        }
        value
    }
}

/// A number in a range, with or without a fraction.
pub fn number(range: RangeInclusive<f64>) -> impl Fn(&Page, &Node) -> Option<f64> {
    move |page, node| {
        let value = node.as_number().filter(|value| range.contains(value));
        if value.is_none() {
            mismatch(page, node, &format!("a number from {} to {}", range.start(), range.end()));
        }
        value
    }
}

/// `true` or `false`.
pub fn boolean(page: &Page, node: &Node) -> Option<bool> {
    let value = node.as_boolean();
    if value.is_none() {
        mismatch(page, node, "true or false");
    }
    value
}

/// One of some words, each with its meaning.
pub fn one_of<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Page, &Node) -> Option<T> {
    move |page, node| {
        let known = words.iter().map(|(word, _)| *word);
        let Some(written) = node.as_text() else {
            mismatch(page, node, &format!("one of {}", listed(known)));
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == written).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let near = nearest(written, known.clone()).map(|near| format!("did you mean `{near}`?"));
            let message = format!("expected one of {}, found `{}`", listed(known), shortened(written));
            page.error_perhaps_with(node.spot, message, near);
        }
        found
    }
}

/// A duration such as `"250ms"`, in a range.
pub fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Page, &Node) -> Option<Duration> {
    move |page, node| {
        let value = node.as_text().and_then(parse_duration);
        let fitting = value.filter(|value| range.contains(value));
        if fitting.is_none() {
            let (least, most) = (shown_duration(*range.start()), shown_duration(*range.end()));
            let example = if range.contains(&EXAMPLE) { shown_duration(EXAMPLE) } else { most.clone() };
            let help = || format!("write a whole number and `ms`, `s`, `m` or `h`, such as \"{example}\"");
            let help = value.is_none().then(help);
            mismatch_with(page, node, &format!("a duration from \"{least}\" to \"{most}\""), help);
        }
        fitting
    }
}

/// A list of at most `max` items; items that are wrong are reported and left out.
pub fn list<T>(
    max: usize,
    item: impl Fn(&Page, &Node) -> Option<T>,
) -> impl Fn(&Page, &Node) -> Option<Vec<At<T>>> {
    move |page, node| {
        let Some(items) = node.as_list() else {
            let help = node.as_text().map(|text| format!("write `[\"{}\"]`", shortened(text)));
            mismatch_with(page, node, "a list", help);
            return None;
        };
        if let Some(over) = items.get(max) {
            page.error(over.spot, format!("more than {max} items"));
        }
        let read = |node: &Node| item(page, node).map(|value| At { value, spot: node.spot });
        Some(items.iter().take(max).filter_map(read).collect())
    }
}

/// The items without their places; reports every one that was there before, as `shown`.
pub fn distinct<T: Ord>(page: &Page, items: Vec<At<T>>, shown: impl Fn(&T) -> &str) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    for item in items {
        if seen.contains(&item.value) {
            page.error(item.spot, format!("`{}` is written twice", shown(&item.value)));
        }
        seen.insert(item.value);
    }
    seen
}

/// Reports that `node` is not what was `expected`.
pub fn mismatch(page: &Page, node: &Node, expected: &str) {
    mismatch_with(page, node, expected, None);
}

/// Reports that `node` is not what was `expected`, and perhaps what to do.
pub fn mismatch_with(page: &Page, node: &Node, expected: &str, help: Option<String>) {
    let found = match &node.value {
        Value::Text(text) | Value::Loose(text) => format!("\"{}\"", shortened(text)),
        Value::Integer(Some(value)) => value.to_string(),
        Value::Integer(None) => "an integer that does not fit".to_owned(),
        Value::Float(value) => value.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Date | Value::List(_) | Value::Table(_) => node.kind().to_owned(),
    };
    page.error_perhaps_with(node.spot, format!("expected {expected}, found {found}"), help);
}

fn borrowed_text<'n>(page: &Page, node: &'n Node) -> Option<&'n str> {
    match node.as_text() {
        Some(text) if text.len() <= TEXT_BYTES_MAX => Some(text),
        Some(_) => {
            page.error(node.spot, format!("a string of more than {TEXT_BYTES_MAX} bytes"));
            None
        }
        None => {
            mismatch(page, node, "a string");
            None
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits_end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let count: u64 = digits.parse().ok()?;
    count.checked_mul(*millis).map(Duration::from_millis)
}

fn shown_duration(duration: Duration) -> String {
    let millis = duration.as_millis() as u64;
    // Zero is a multiple of every unit.
    let fitting = UNITS.iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
    let (name, unit) = fitting.copied().unwrap_or(("s", 1_000));
    format!("{}{name}", millis / unit)
}

/// Units of durations in milliseconds, the largest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SEE_CODES: &str = "see ISO 3166-1 for the codes of countries";

/// Shown to whoever writes a duration in another form, where it is not too long.
const EXAMPLE: Duration = Duration::from_secs(90);

const TEXT_BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
