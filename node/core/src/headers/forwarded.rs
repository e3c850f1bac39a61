//! The syntax of `Forwarded` (RFC 7239): elements, parameters, quoting.

/// The `for` of every element of one line of `Forwarded`, unquoted, in order; `None` for an element without one. The whole
/// is `None` if the line is not of its form.
///
/// The whole line must be: text that a client put in front can otherwise swallow, with an open quote, what a proxy appended.
pub(super) fn parse(line: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let mut parser = Parser { rest: line };
    let mut nodes = vec![parser.element()?.node];
    while parser.take(b',') {
        nodes.push(parser.element()?.node);
    }
    parser.rest.is_empty().then_some(nodes)
}

struct Parser<'a> {
    rest: &'a [u8],
}

/// What one element says; more than nothing.
struct Element {
    /// Its `for`.
    node: Option<Vec<u8>>,
}

impl Parser<'_> {
    /// One element: at least one parameter, separated by `;`, between which there may be none.
    fn element(&mut self) -> Option<Element> {
        let mut node = None;
        let mut parameters = 0;
        loop {
            self.skip_space();
            let name = self.token().to_vec();
            if !name.is_empty() {
                let value = self.value()?;
                parameters += 1;
                if name.eq_ignore_ascii_case(b"for") && node.replace(value).is_some() {
                    return None;
                }
            }
            self.skip_space();
            if !self.take(b';') {
                return (parameters > 0).then_some(Element { node });
            }
        }
    }

    /// `=` and a token or quoted string.
    fn value(&mut self) -> Option<Vec<u8>> {
        if !self.take(b'=') {
            return None;
        }
        let value = if self.take(b'"') { self.quoted()? } else { self.token().to_vec() };
        (!value.is_empty()).then_some(value)
    }

    /// The rest of a quoted string, after its opening quote.
    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(value),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    value.push(*escaped);
                }
                byte => value.push(*byte),
            }
        }
    }

    fn token(&mut self) -> &[u8] {
        let end = self.rest.iter().position(|byte| !is_token(*byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn take(&mut self, expected: u8) -> bool {
        let taken = self.rest.strip_prefix(&[expected]);
        self.rest = taken.unwrap_or(self.rest);
        taken.is_some()
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> Option<Vec<Option<String>>> {
        let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
        Some(parse(line.as_bytes())?.into_iter().map(|address| address.map(text)).collect())
    }

    fn nodes(expected: &[&str]) -> Vec<Option<String>> {
        expected.iter().map(|node| Some((*node).to_owned())).collect()
    }

    #[test]
    fn the_examples_of_rfc_7239_parse() {
        assert_eq!(parsed("for=\"_gazonk\""), Some(nodes(&["_gazonk"])));
        assert_eq!(parsed("For=\"[2001:db8:cafe::17]:4711\""), Some(nodes(&["[2001:db8:cafe::17]:4711"])));
        assert_eq!(parsed("for=192.0.2.60;proto=http;by=203.0.113.43"), Some(nodes(&["192.0.2.60"])));
        assert_eq!(
            parsed("for=192.0.2.43, for=198.51.100.17"),
            Some(nodes(&["192.0.2.43", "198.51.100.17"]))
        );
        assert_eq!(
            parsed("for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown"),
            Some(nodes(&["192.0.2.43", "[2001:db8:cafe::17]", "unknown"]))
        );
    }

    #[test]
    fn quoted_text_hides_separators_and_is_unescaped() {
        assert_eq!(parsed(r#"for=a;by="x, for=b;""#), Some(nodes(&["a"])));
        assert_eq!(parsed(r#"for="1\92.0.2.1""#), Some(nodes(&["192.0.2.1"])));
        assert_eq!(parsed(r#"by="\"", for=c"#), Some(vec![None, Some("c".into())]));
    }

    #[test]
    fn empty_parameters_are_legal_and_empty_elements_are_not() {
        assert_eq!(parsed(";for=a;;proto=http; "), Some(nodes(&["a"])));
        for wrong in ["", " ", ",", "for=a,", ",for=a", "for=a,,for=b", ";"] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn whatever_is_not_of_its_form_spoils_the_line() {
        for wrong in [
            "for=\"",
            "for=\"a",
            "for=\"a\\",
            "for=",
            "for=\"\"",
            "for",
            "=a",
            "for =a",
            "for= a",
            "for=a for=b",
            "for=a;for=b",
            "for=[::1]",
            "for=192.0.2.1:80",
            "for=\"a\"b",
            "for=\", for=192.0.2.1",
            "for=a\u{e9}",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_value_survives_quoting(values in prop::collection::vec("[ -~]{1,20}", 1..5)) {
            let quote = |value: &String| format!("for=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
            let line = values.iter().map(quote).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(parsed(&line), Some(values.into_iter().map(Some).collect()));
        }

        #[test]
        fn no_line_makes_it_panic_or_give_more_than_came(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let elements = parse(&line).unwrap_or_default();
            prop_assert!(elements.into_iter().flatten().map(|value| value.len()).sum::<usize>() <= line.len());
        }
    }
}
