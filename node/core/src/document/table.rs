//! How a table is read: the keys it may have, those it must have, and what their values must be.

use std::fmt::Display;
use std::str::FromStr;

use super::page::{At, Page, Spot};
use super::tree::{Entry, Node, Value};

/// A key that a table may have.
#[derive(Debug)]
pub struct Key {
    /// What it is called.
    pub name: &'static str,
    example: &'static str,
}

/// A key, with a value to show to somebody who forgot it.
pub const fn key(name: &'static str, example: &'static str) -> Key {
    Key { name, example }
}

/// A table that is being read. Everything that is wrong is reported to its page.
#[derive(Debug, Clone, Copy)]
pub struct Table<'d> {
    page: &'d Page,
    /// Where it begins.
    pub spot: Spot,
    entries: &'d [Entry],
    keys: &'static [Key],
}

impl<'d> Table<'d> {
    /// Reads `node` as a table of `keys`; reports every other key.
    pub fn open(page: &'d Page, node: &'d Node, keys: &'static [Key]) -> Option<Self> {
        let entries = entries(page, node)?;
        let names = keys.iter().map(|key| key.name);
        for entry in entries {
            if !names.clone().any(|name| name == entry.key) {
                page.unknown(entry.spot, "key", &entry.key, names.clone());
            }
        }
        Some(Self { page, spot: node.spot, entries, keys })
    }

    /// The page that its errors go to.
    pub fn page(&self) -> &'d Page {
        self.page
    }

    /// What was written for `name`.
    pub fn entry(&self, name: &str) -> Option<&'d Entry> {
        debug_assert!(self.keys.iter().any(|key| key.name == name), "`{name}` is no key of this table");
        let found = self.entries.binary_search_by(|entry| entry.key.as_str().cmp(name)).ok();
        found.and_then(|at| self.entries.get(at))
    }

    /// The value of a key that may be missing; `None` also if it is wrong.
    pub fn optional<T>(
        &self,
        name: &str,
        form: impl FnOnce(&'d Page, &'d Node) -> Option<T>,
    ) -> Option<At<T>> {
        let node = &self.entry(name)?.node;
        form(self.page, node).map(|value| At { value, spot: node.spot })
    }

    /// The value of a key that must be there; `None` also if it is wrong.
    pub fn required<T>(
        &self,
        name: &str,
        form: impl FnOnce(&'d Page, &'d Node) -> Option<T>,
    ) -> Option<At<T>> {
        if self.entry(name).is_none() {
            let example = self.keys.iter().find(|key| key.name == name).map_or("...", |key| key.example);
            self.page.missing(self.spot, name, example);
        }
        self.optional(name, form)
    }

    /// The value of a key, or `default` if it is missing (or wrong, which is reported).
    pub fn or<T>(&self, name: &str, default: T, form: impl FnOnce(&'d Page, &'d Node) -> Option<T>) -> T {
        self.optional(name, form).map_or(default, |at| at.value)
    }
}

/// The entries of a table whose keys are names of the operator's own; reports a value that is no table.
pub fn entries<'d>(page: &Page, node: &'d Node) -> Option<&'d [Entry]> {
    let entries = node.as_table();
    if entries.is_none() {
        page.error(node.spot, format!("expected a table, found {}", node.kind()));
    }
    entries
}

/// A key that is a name of the operator's own.
pub fn name<T: FromStr<Err: Display>>(page: &Page, entry: &Entry) -> Option<T> {
    entry.key.parse().map_err(|error: T::Err| page.error(entry.spot, error.to_string())).ok()
}

/// The tables of an array of tables `[[..]]`, at most `max`; reports what is none.
pub fn tables<'d>(page: &Page, node: &'d Node, max: usize) -> Option<Vec<&'d Node>> {
    let Value::List(items) = &node.value else {
        let help = node.as_table().map(|_| "write its name in two brackets: `[[..]]`".to_owned());
        let message = format!("expected a list of tables, found {}", node.kind());
        page.error_perhaps_with(node.spot, message, help);
        return None;
    };
    if let Some(over) = items.get(max) {
        page.error(over.spot, format!("more than {max} of these"));
    }
    Some(items.iter().take(max).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::text::Text;
    use crate::document::tree::parse;
    use crate::document::value::{integer, text};

    const KEYS: &[Key] = &[key("name", "\"x\""), key("size", "1")];

    fn read(written: &str) -> (Option<At<String>>, Option<At<i64>>, Vec<String>) {
        let page = Page::new("x.toml");
        let node = parse(&Text::new(written), &page).unwrap();
        let table = Table::open(&page, &node, KEYS).unwrap();
        let read = (table.required("name", text), table.optional("size", integer(1..=9)));
        let shown = page.into_diagnostics().iter().map(ToString::to_string).collect();
        (read.0, read.1, shown)
    }

    #[test]
    fn values_come_with_their_place() {
        let (name, size, errors) = read("size = 3\nname = \"a\"\n");
        assert!(errors.is_empty());
        assert_eq!(name, Some(At { value: "a".to_owned(), spot: Spot::Text { line: 2, column: 8 } }));
        assert_eq!(size.map(|at| at.value), Some(3));
    }

    #[test]
    fn a_missing_key_is_reported_with_an_example() {
        let (name, size, errors) = read("");
        assert!(name.is_none() && size.is_none());
        assert_eq!(errors, ["x.toml:1:1: error: missing key `name`\n  help: add `name = \"x\"`"]);
    }

    #[test]
    fn an_unknown_key_is_reported_with_the_nearest_or_all() {
        let (_, _, errors) = read("nam = 1\nname = \"a\"\nother = 2\n");
        assert_eq!(
            errors,
            [
                "x.toml:1:1: error: unknown key `nam`\n  help: did you mean `name`?",
                "x.toml:3:1: error: unknown key `other`\n  help: there is `name`, `size`",
            ]
        );
    }

    #[test]
    fn one_table_where_a_list_of_tables_is_asked_for_gets_two_brackets() {
        let page = Page::new("x.toml");
        let node = parse(&Text::new("[match]\nhost = \"a\"\n"), &page).unwrap();
        assert!(tables(&page, &node.as_table().unwrap()[0].node, 9).is_none());
        let found = page.into_diagnostics().remove(0).to_string();
        assert_eq!(
            found,
            "x.toml:1:1: error: expected a list of tables, found a table\n  help: write its name in two brackets: `[[..]]`"
        );
    }

    #[test]
    fn in_a_broken_text_a_missing_key_may_be_there() {
        let (_, _, errors) = read("name \"a\"\n");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with("x.toml:1:"), "{errors:?}");
    }
}
