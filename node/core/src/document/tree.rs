//! What was written, as a tree of values that know their place: TOML text read with recovery from errors.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duplicate::first_of;
use super::nesting::{KEY_PARTS_MAX, overlong_key};
use super::page::{Page, Spot, shortened};
use super::text::Text;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where.
    pub spot: Spot,
    /// What.
    pub value: Value,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer; `None` if it does not fit.
    Integer(Option<i64>),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date, a time, or both.
    Date,
    /// Values in brackets.
    List(Vec<Node>),
    /// Keys with values, by key.
    Table(Vec<Entry>),
    /// The text of a variable or flag: it becomes what is asked for.
    Loose(String),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub spot: Spot,
    /// Its value.
    pub node: Node,
}

/// The tree of `text`. Reports every syntax error, and returns what can be understood in spite of them.
pub fn parse(text: &Text<'_>, page: &Page) -> Option<Node> {
    if let Some(offset) = overlong_key(text.as_str()) {
        page.error(text.spot(offset), format!("keys have at most {KEY_PARTS_MAX} parts"));
        return None;
    }
    let table = if text.as_str().len() <= RECOVERY_BYTES_MAX {
        let (table, errors) = DeTable::parse_recoverable(text.as_str());
        for error in &errors {
            report(error, text, page);
        }
        table
    } else {
        DeTable::parse(text.as_str()).map_err(|error| report(&error, text, page)).ok()?
    };
    let reader = Reader { text, page };
    Some(Node { spot: text.spot(0), value: reader.table(table.into_inner(), 0) })
}

fn report(error: &toml::de::Error, text: &Text<'_>, page: &Page) {
    let span = error.span().unwrap_or_else(|| text.as_str().len()..text.as_str().len());
    let spot = text.spot(span.start);
    let key = text.as_str().get(span.clone()).filter(|_| error.message() == DUPLICATE && !page.is_full());
    let Some(key) = key else {
        page.syntax_error(spot, error.message(), None);
        return;
    };
    let first = first_of(text.as_str(), span);
    let help = first.map(|offset| format!("it is at {} already", text.spot(offset)));
    page.syntax_error(spot, &format!("duplicate key `{}`", shortened(key)), help);
}

struct Reader<'a> {
    text: &'a Text<'a>,
    page: &'a Page,
}

impl Reader<'_> {
    fn node(&self, value: Spanned<DeValue<'_>>, depth: usize) -> Node {
        let spot = self.text.spot(value.span().start);
        if depth > DEPTH_MAX {
            self.page.error(spot, format!("nested more than {DEPTH_MAX} deep"));
            return Node::empty_table(spot);
        }
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(digits) => {
                Value::Integer(i64::from_str_radix(digits.as_str(), digits.radix()).ok())
            }
            DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(items) => {
                Value::List(items.into_iter().map(|item| self.node(item, depth + 1)).collect())
            }
            DeValue::Table(table) => self.table(table, depth + 1),
        };
        Node { spot, value }
    }

    fn table(&self, table: DeTable<'_>, depth: usize) -> Value {
        let entry = |(key, value): (Spanned<Cow<'_, str>>, _)| {
            let spot = self.text.spot(key.span().start);
            Entry { key: key.into_inner().into_owned(), spot, node: self.node(value, depth) }
        };
        Value::Table(table.into_iter().map(entry).collect())
    }
}

impl Node {
    /// A table without entries.
    pub fn empty_table(spot: Spot) -> Self {
        Self { spot, value: Value::Table(Vec::new()) }
    }

    /// What kind of value it is, for people.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) | Value::Loose(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "a boolean",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Loose(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one and fits.
    pub fn as_integer(&self) -> Option<i64> {
        match &self.value {
            Value::Integer(value) => *value,
            Value::Loose(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The number, with or without a fraction.
    pub fn as_number(&self) -> Option<f64> {
        match &self.value {
            Value::Float(value) => Some(*value),
            Value::Integer(value) => value.map(|value| value as f64),
            Value::Loose(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Boolean(value) => Some(*value),
            Value::Loose(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The items, if it is a list; a variable's text is one with commas.
    pub fn as_list(&self) -> Option<Cow<'_, [Self]>> {
        match &self.value {
            Value::List(items) => Some(Cow::Borrowed(items)),
            Value::Loose(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                let node = |item: &str| Self { spot: self.spot, value: Value::Loose(item.to_owned()) };
                Some(items.map(node).collect())
            }
            _ => None,
        }
    }

    /// The entries, if it is a table.
    pub fn as_table(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }
}

/// How the parser says that a key is written twice.
const DUPLICATE: &str = "duplicate key";

/// No document of ours is this deep.
const DEPTH_MAX: usize = 16;

/// Of a larger text only the first syntax error is reported: a hostile one has an error in every byte.
const RECOVERY_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests;
