//! How is HTML written so that no text of a scenario can become markup?
//!
//! [`html!`] is `format!` whose pieces are literals of this program and whose arguments are escaped, unless they are
//! [`Markup`] themselves. There is no other way to make one.

use std::fmt::{self, Write as _};

/// HTML in which every foreign text has been escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Markup(String);

/// What may stand between pieces of HTML.
pub(crate) trait Content {
    /// Writes it so that it is text, within an element or a quoted attribute.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// An argument of [`html!`].
pub(crate) struct Shown<'a, T: ?Sized>(pub(crate) &'a T);

/// `html!("<p>{}</p>", text)` gives [`Markup`].
macro_rules! html {
    ($literal:literal $(, $argument:expr)* $(,)?) => {
        $crate::report::markup::Markup::formatted(format_args!(
            $literal $(, $crate::report::markup::Shown(&$argument))*
        ))
    };
}
pub(crate) use html;

impl Markup {
    /// For [`html!`] alone: whoever calls it otherwise has to escape.
    pub(crate) fn formatted(pieces: fmt::Arguments<'_>) -> Self {
        Self(pieces.to_string())
    }

    /// A file of this program, such as the stylesheet.
    pub(crate) fn own(file: &'static str) -> Self {
        Self(file.to_owned())
    }

    /// JSON for a `<script>`, where nothing is unescaped: no text in it can end the element or begin a comment.
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        let text = value.to_string();
        Self(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn push(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }
}

impl FromIterator<Markup> for Markup {
    fn from_iter<I: IntoIterator<Item = Markup>>(pieces: I) -> Self {
        let mut all = Self::default();
        pieces.into_iter().for_each(|piece| all.push(&piece));
        all
    }
}

impl<T: Content + ?Sized> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

impl Content for Markup {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Content for str {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|character| escape(character, f))
    }
}

impl Content for String {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().show(f)
    }
}

impl<T: Content + ?Sized> Content for &T {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).show(f)
    }
}

/// Numbers keep the precision that the literal asks for.
macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Content for $number {
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        })*
    };
}
numbers!(u64, i64, usize, f64);

/// Control characters and those that turn the direction of writing would let a name look like something else.
fn escape(character: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match character {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        '\n' | '\t' => f.write_char(character),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            f.write_char('\u{fffd}')
        }
        control if control.is_control() => f.write_char('\u{fffd}'),
        plain => f.write_char(plain),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_stays_text_in_elements_and_attributes() {
        let hostile = "</p><script>a & b</script> \" onload='x'";
        let shown = html!("<p title=\"{}\">{}</p>", hostile, hostile);
        let escaped = "&lt;/p&gt;&lt;script&gt;a &amp; b&lt;/script&gt; &quot; onload=&#39;x&#39;";
        assert_eq!(shown.as_str(), format!("<p title=\"{escaped}\">{escaped}</p>"));
    }

    #[test]
    fn markup_is_escaped_once() {
        assert_eq!(html!("<b>{}</b>", html!("<i>{}</i>", "<")).as_str(), "<b><i>&lt;</i></b>");
    }

    #[test]
    fn numbers_keep_their_precision() {
        assert_eq!(html!("{:.1} {}", 1.25_f64, 7_u64).as_str(), "1.2 7");
    }

    #[test]
    fn what_hides_or_turns_text_is_shown_as_unknown() {
        assert_eq!(html!("{}", "a\0b\u{202e}c\u{7f}\n").as_str(), "a\u{fffd}b\u{fffd}c\u{fffd}\n");
    }

    #[test]
    fn json_cannot_leave_its_script() {
        let shown = Markup::json(&json!({ "name": "</script><!--&" }));
        assert!(!shown.as_str().contains(['<', '>', '&']), "{shown:?}");
        let read: serde_json::Value = serde_json::from_str(shown.as_str()).unwrap();
        assert_eq!(read["name"], "</script><!--&");
    }
}
