//! Where does a key stand that is written a second time: looked for in the text, because the tree keeps one of both.

use std::ops::Range;

/// The offset of the first key like the one in `second`, if it can be told: a header of the same name, or a line of the
/// same table that begins with the key.
pub(super) fn first_of(text: &str, second: Range<usize>) -> Option<usize> {
    let before = text.get(..second.start)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let key = text.get(second)?;
    let line = text.get(line_start..)?.lines().next()?;
    if is_header(line) {
        return lines(text.get(..line_start)?)
            .find(|(_, earlier)| is_header(earlier) && header(earlier) == header(line))
            .and_then(|(start, earlier)| Some(start + earlier.rfind(key)?));
    }
    if !before.get(line_start..)?.trim().is_empty() {
        return None;
    }
    let in_table = lines(text.get(..line_start)?).collect::<Vec<_>>();
    let in_table = in_table.iter().rev().take_while(|(_, earlier)| !is_header(earlier));
    let mut keys =
        in_table.map(|(start, earlier)| (start + earlier.len() - earlier.trim_start().len(), earlier));
    keys.find(|(_, earlier)| begins_with(earlier, key)).map(|(offset, _)| offset)
}

fn begins_with(line: &str, key: &str) -> bool {
    let rest = line.trim_start().strip_prefix(key).map(str::trim_start);
    rest.is_some_and(|rest| rest.starts_with('='))
}

fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

/// A header without what stands around it.
fn header(line: &str) -> &str {
    line.split('#').next().unwrap_or(line).trim()
}

/// The lines of a text, each with its offset.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |offset, line| {
        let start = *offset;
        *offset += line.len();
        Some((start, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the first is, of the last `key` in `text`.
    fn first(text: &str, key: &str) -> Option<usize> {
        let at = text.rfind(key).unwrap();
        first_of(text, at..at + key.len())
    }

    #[test]
    fn the_first_is_in_the_same_table_or_a_header_of_the_same_name() {
        assert_eq!(first("a = 1\n  b = 2\n b = 3\n", "b"), Some(8));
        assert_eq!(first("[x.a]\nb = 1\n[y.a]\n[x.a] # again\n", "a]"), Some(3));
        assert_eq!(first("[x]\nb = 1\n[y]\nbb = 1\nb = 2\n", "b"), None);
    }

    #[test]
    fn of_tables_in_one_line_it_cannot_be_told() {
        assert_eq!(first("b = 1\nx = { b = 1, b = 2 }", "b"), None);
    }
}
