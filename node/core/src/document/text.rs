//! Where in a text: from bytes to characters, and from offsets to lines and columns.

use std::str;

use super::Source;
use super::page::{Page, Spot};

/// A document's text, and where its lines begin.
#[derive(Debug)]
pub struct Text<'s> {
    whole: &'s str,
    line_starts: Vec<usize>,
    /// How many characters there are before each block of [`BLOCK_BYTES`].
    chars_before: Vec<usize>,
}

impl<'s> Text<'s> {
    /// The text of `source`; reports if it could not be read, is too large or not UTF-8.
    pub fn of(source: &'s Source, page: &Page) -> Option<Self> {
        if let Some(why) = &source.unread {
            page.error(Spot::Document, format!("cannot be read: {why}"));
            return None;
        }
        if source.text.len() > Source::BYTES_MAX {
            let message = format!(
                "{} bytes are over the limit of {} for one document",
                source.text.len(),
                Source::BYTES_MAX
            );
            page.error(Spot::Document, message);
            return None;
        }
        match str::from_utf8(&source.text) {
            Ok(text) => Some(Self::new(text)),
            Err(error) => {
                let valid = str::from_utf8(&source.text[..error.valid_up_to()]).unwrap_or_default();
                let spot = Self::new(valid).spot(valid.len());
                page.error_with(spot, "not UTF-8", "save the file with the encoding UTF-8");
                None
            }
        }
    }

    /// The text without a byte order mark.
    pub fn new(text: &'s str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let after_newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        let blocks = text.as_bytes().chunks(BLOCK_BYTES);
        let chars_before =
            blocks.scan(0, |sum, block| Some(std::mem::replace(sum, *sum + chars(block)))).collect();
        Self { whole: text, line_starts, chars_before }
    }

    /// The text itself.
    pub fn as_str(&self) -> &'s str {
        self.whole
    }

    /// Line and column of the character at `offset` bytes; offsets behind the end mean the end.
    pub fn spot(&self, offset: usize) -> Spot {
        let line = self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or_default();
        let column = self.chars_to(offset).saturating_sub(self.chars_to(start));
        Spot::Text { line: line as u32 + 1, column: column as u32 + 1 }
    }

    /// How many characters begin before `offset`: one block is counted at most, however long the line is.
    fn chars_to(&self, offset: usize) -> usize {
        let offset = offset.min(self.whole.len());
        let block = (offset / BLOCK_BYTES).min(self.chars_before.len().saturating_sub(1));
        let before = self.chars_before.get(block).copied().unwrap_or_default();
        before + chars(self.whole.as_bytes().get(block * BLOCK_BYTES..offset).unwrap_or_default())
    }
}

fn chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0b1100_0000) != 0b1000_0000).count()
}

const BLOCK_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str, offset: usize) -> Spot {
        Text::new(text).spot(offset)
    }

    #[test]
    fn counts_lines_and_characters_from_one() {
        assert_eq!(at("", 0), Spot::Text { line: 1, column: 1 });
        assert_eq!(at("a = 1\nbb = 2\n", 6), Spot::Text { line: 2, column: 1 });
        assert_eq!(at("a = 1\nbb = 2\n", 11), Spot::Text { line: 2, column: 6 });
        assert_eq!(at("a = 1", 99), Spot::Text { line: 1, column: 6 });
    }

    #[test]
    fn a_character_is_one_column_however_many_bytes_it_has() {
        assert_eq!(at("ö = \"ü\" # x", "ö = \"ü\" ".len()), Spot::Text { line: 1, column: 9 });
    }

    #[test]
    fn a_byte_order_mark_is_no_character() {
        assert_eq!(at("\u{feff}a", 0), Spot::Text { line: 1, column: 1 });
    }

    #[test]
    fn refuses_what_is_too_large_or_no_text() {
        let page = Page::new("x.toml");
        assert!(Text::of(&Source::new("x.toml", vec![b' '; Source::BYTES_MAX + 1]), &page).is_none());
        assert!(Text::of(&Source::new("x.toml", b"a = 1\nb = \xff".to_vec()), &page).is_none());
        let shown: Vec<String> = page.into_diagnostics().iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "x.toml: error: 1048577 bytes are over the limit of 1048576 for one document",
                "x.toml:2:5: error: not UTF-8\n  help: save the file with the encoding UTF-8",
            ]
        );
    }

    proptest! {
        #[test]
        fn agrees_with_counting_by_hand(text in "[aö\n]{0,900}", pick in any::<prop::sample::Index>()) {
            let chars: Vec<(usize, char)> = text.char_indices().collect();
            prop_assume!(!chars.is_empty());
            let (offset, _) = chars[pick.index(chars.len())];
            let before = &text[..offset];
            let line = before.matches('\n').count() as u32 + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() as u32 + 1;
            prop_assert_eq!(at(&text, offset), Spot::Text { line, column });
        }
    }
}
