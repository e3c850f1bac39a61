//! Is a text nested too deeply to be parsed: keys of many parts, counted before anything recurses over them.
//!
//! The parser bounds brackets and the parts of one key, but not their product: 80 inline tables whose keys have 80
//! parts each make a tree that overflows a small stack when it is dropped.

/// The offset of the first key with more than [`KEY_PARTS_MAX`] parts, if there is one.
///
/// Reads strings and comments as the parser does, also where they are broken, so that both see the same dots.
pub(super) fn overlong_key(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut parts) = (0, 1);
    let mut atom = false;
    while let Some(byte) = bytes.get(at) {
        // A quote within a word opens nothing.
        let quote = !atom && matches!(byte, b'"' | b'\'');
        at = match byte {
            b'.' if parts == KEY_PARTS_MAX => return Some(at),
            b'.' => {
                parts += 1;
                at + 1
            }
            b'=' | b',' | b'\n' => {
                parts = 1;
                at + 1
            }
            b'#' => line_end(bytes, at),
            _ if quote => string_end(bytes, at),
            _ => at + 1,
        };
        atom = !quote && !b".=,[]{} \t#\r\n".contains(byte);
    }
    None
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |rest| matches!(rest[0], b'\r' | b'\n'))
}

/// Where the string that begins at `from` ends, or where it is given up.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let quote = bytes[from];
    if bytes[from..].starts_with(&[quote; 3]) {
        let body_end = escaped_find(bytes, from + 3, quote, |rest| rest.starts_with(&[quote; 3]));
        let end = (body_end + 3).min(bytes.len());
        // Up to two quotes more belong to the string.
        return end + bytes[end..].iter().take(2).take_while(|byte| **byte == quote).count();
    }
    let end = escaped_find(bytes, from + 1, quote, |rest| rest[0] == quote || rest[0] == b'\n');
    if bytes.get(end) == Some(&quote) { end + 1 } else { end }
}

/// As [`find`], passing over what a backslash escapes; between single quotes it escapes nothing.
fn escaped_find(bytes: &[u8], mut from: usize, quote: u8, found: impl Fn(&[u8]) -> bool) -> usize {
    let escapes = quote == b'"';
    loop {
        let at = find(bytes, from, |rest| (escapes && rest[0] == b'\\') || found(rest));
        if !escapes || bytes.get(at) != Some(&b'\\') {
            return at;
        }
        from = at + if matches!(bytes.get(at + 1), Some(b'\\' | b'"')) { 2 } else { 1 };
    }
}

/// The first place from `from` on where `found` holds of the rest, or the end.
fn find(bytes: &[u8], from: usize, found: impl Fn(&[u8]) -> bool) -> usize {
    (from..bytes.len()).find(|at| found(&bytes[*at..])).unwrap_or(bytes.len())
}

/// No table of ours is this deep.
pub(super) const KEY_PARTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_dot_that_is_too_many() {
        assert_eq!(overlong_key("a.b.c.d.e.f.g.h = 1"), None);
        assert_eq!(overlong_key("a.b.c.d.e.f.g.h.i = 1"), Some(15));
        assert_eq!(overlong_key("x = 1\n[a.b.c.d.e.f.g.h.i]"), Some(22));
        assert_eq!(overlong_key("x = { a.b.c.d.e.f.g.\"h\".i = 1 }"), Some(23));
    }

    #[test]
    fn dots_in_strings_comments_and_lists_of_numbers_are_no_parts() {
        let many = "a.b.c.d.e.f.g.h.i.j";
        for text in [
            format!("x = \"{many}\""),
            format!("x = '{many}'"),
            format!("x = \"\\\"{many}\""),
            format!("x = '\\'\ny = '{many}'"),
            format!("x = \"\"\"\n{many}\n\"{many}\"\"\"\"\"\ny = 1"),
            format!("x = '''{many}'\n{many}'''"),
            format!("x = 1 # {many}"),
            "x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]".to_owned(),
        ] {
            assert_eq!(overlong_key(&text), None, "{text}");
        }
    }

    #[test]
    fn a_broken_string_ends_with_its_line() {
        assert!(overlong_key("x = \"abc\na.b.c.d.e.f.g.h.i = 1").is_some());
        assert!(overlong_key("x = don't\na.b.c.d.e.f.g.h.i = 1").is_some());
        assert!(overlong_key("x'a.b.c.d.e.f.g.h.i = 1").is_some());
    }

    /// How deep the parser nests what it makes of `text`.
    fn depth(table: &toml::de::DeTable<'_>) -> usize {
        fn of(value: &toml::de::DeValue<'_>) -> usize {
            match value {
                toml::de::DeValue::Table(table) => depth(table),
                toml::de::DeValue::Array(array) => {
                    1 + array.iter().map(|item| of(item.get_ref())).max().unwrap_or(0)
                }
                _ => 0,
            }
        }
        1 + table.iter().map(|(_, value)| of(value.get_ref())).max().unwrap_or(0)
    }

    proptest! {
        /// Without brackets, all nesting is from keys: what passes is no deeper than its keys may be.
        #[test]
        fn what_passes_has_no_key_of_more_parts(text in "([ab.=,#'\"\\\\ \n]|a\\.|\"\"\"|'''){0,120}") {
            prop_assume!(overlong_key(&text).is_none());
            let (table, _) = toml::de::DeTable::parse_recoverable(&text);
            prop_assert!(depth(table.get_ref()) <= KEY_PARTS_MAX);
        }
    }

    #[test]
    fn the_deepest_that_passes_fits_on_a_small_stack() {
        let key = ["a"; KEY_PARTS_MAX].join(".");
        let text = format!("[{key}]\n{}b = 1{}", format!("{key} = {{").repeat(79), "}".repeat(79));
        assert_eq!(overlong_key(&text), None);
        let parse = move || drop(toml::de::DeTable::parse_recoverable(&text));
        std::thread::Builder::new().stack_size(512 << 10).spawn(parse).unwrap().join().unwrap();
    }
}
