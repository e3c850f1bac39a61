//! One form for every spelling of a path.

use super::*;
use crate::policy::PathPrefix;
use proptest::prelude::*;

fn formed(path: &str) -> String {
    form(path).unwrap_or_else(|_| panic!("`{path}` is refused")).into_owned()
}

#[test]
fn a_path_that_has_the_form_is_borrowed() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a/b.c",
        "/.well-known/x",
        "/...",
        "/a:b@c!$&'()*+,=~_-",
        "/a?b#c{d}",
        "/a%20b%25/%C3%A4",
    ] {
        assert!(matches!(form(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
    }
}

#[test]
fn other_spellings_of_a_path_have_its_form() {
    for path in [
        "/%65u-only/x",
        "//eu-only/x",
        "/eu-only%2fx",
        "/eu-only%2Fx",
        "/%2feu-only///x",
        "/eu%2Donly/x",
        "/eu-only;v=1/x",
        "/;a/eu-only/x;b=%41",
        "/eu-only%3Bv/x",
    ] {
        assert_eq!(formed(path), "/eu-only/x", "{path}");
    }
}

#[test]
fn what_cannot_be_plain_is_encoded_in_one_way() {
    assert_eq!(formed("/\u{e4}"), "/%C3%A4");
    assert_eq!(formed("/%c3%a4"), "/%C3%A4");
    assert_eq!(formed("/a%20b%7f"), "/a%20b%7F");
    assert_eq!(formed("/%3a%3F%23%7b"), "/:?#{");
    assert_eq!(formed("/%2565u"), "/%2565u", "escapes are decoded once");
}

#[test]
fn the_end_of_a_path_stays_open_or_closed() {
    assert_eq!(formed("/a//"), "/a/");
    assert_eq!(formed("/a/;x"), "/a/");
    assert_eq!(formed("//"), "/");
    assert_eq!(formed("/;x"), "/");
    assert_eq!(formed("//a"), "/a");
}

#[test]
fn dot_segments_are_refused_in_every_encoding() {
    for path in [
        "/public/../eu-only",
        "/..",
        "/a/.",
        "/./a",
        "/public/%2e%2E/eu-only",
        "/public/.%2e/eu-only",
        "/public/..;/eu-only",
        "/public/..%3bx/eu-only",
        "/public%2f..%2feu-only",
        "/a/%2e",
    ] {
        assert_eq!(form(path), Err(Reason::BadRequest), "{path}");
    }
}

#[test]
fn what_backends_read_differently_is_refused() {
    for path in [
        "/%",
        "/%4",
        "/%zz",
        "/%u0065",
        "/%+1",
        "/a%00",
        "/a\\b",
        "/a%5Cb",
        "/a;b%2fc",
        "/a%3Bb%2fc",
        "a",
        "",
    ] {
        assert_eq!(form(path), Err(Reason::BadRequest), "{path:?}");
    }
}

#[test]
fn a_question_about_the_server_is_about_its_root() {
    assert_eq!(formed("*"), "/");
}

/// How some kinds of backends read a path; `None` if they refuse it.
#[expect(clippy::unnecessary_wraps, reason = "all of one form, so that they can be listed")]
mod backend {
    /// Static file servers and most frameworks: decode, merge, resolve.
    pub(super) fn decoding(path: &str) -> Option<String> {
        Some(resolve(&merged(&unescape(path)?)))
    }

    /// Servlet containers: parameters go first.
    pub(super) fn servlet(path: &str) -> Option<String> {
        let stripped: Vec<_> = path.split('/').map(|segment| segment.split(';').next().unwrap()).collect();
        decoding(&stripped.join("/"))
    }

    /// The URL standard: resolves dots, encoded ones too, and decodes nothing else.
    pub(super) fn url_standard(path: &str) -> Option<String> {
        Some(resolve(&path.replace("%2e", ".").replace("%2E", ".").replace('\\', "/")))
    }

    /// Decodes within segments only.
    pub(super) fn by_segment(path: &str) -> Option<String> {
        let segments: Option<Vec<_>> = merged(path).split('/').map(unescape).collect();
        Some(segments?.join("/"))
    }

    /// Takes the path as it comes.
    pub(super) fn literal(path: &str) -> Option<String> {
        Some(path.to_owned())
    }

    fn unescape(path: &str) -> Option<String> {
        let mut pieces = path.split('%');
        let mut bytes = pieces.next()?.as_bytes().to_vec();
        for piece in pieces {
            bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
            bytes.extend_from_slice(&piece.as_bytes()[2..]);
        }
        String::from_utf8(bytes).ok()
    }

    fn merged(path: &str) -> String {
        let mut merged = path.to_owned();
        while merged.contains("//") {
            merged = merged.replace("//", "/");
        }
        merged
    }

    fn resolve(path: &str) -> String {
        let mut segments = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        format!("/{}", segments.join("/"))
    }
}

fn tricky() -> impl Strategy<Value = String> {
    let pieces = [
        "/", "/", "//", "eu", "eu", "deep", "%65u", "e%75", "e%55", "public", "..", ".", "%2e", "%2E", "%2f",
        "%2F", ";", "%3b", ";x=1", "\\", "%5c", "%", "%25", "%00", "\u{e4}", "a:b", "?", "%20",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..8)
        .prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn the_form_of_a_form_is_itself(path in prop_oneof![tricky(), "/.{0,40}"]) {
        if let Ok(formed) = form(&path) {
            prop_assert_eq!(form(&formed), Ok(Cow::Borrowed(&*formed)));
            prop_assert!(matches!(form(&formed), Ok(Cow::Borrowed(_))));
        }
    }

    #[test]
    fn any_text_is_answered_within_three_times_its_length(path in ".{0,300}") {
        if let Ok(formed) = form(&path) {
            prop_assert!(formed.len() <= path.len().max(1) * 3);
            prop_assert!(formed.starts_with('/'));
            prop_assert!(formed.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn what_a_backend_reads_as_a_routes_path_matches_the_route(path in tricky()) {
        let Ok(formed) = form(&path) else { return Ok(()) };
        let backends =
            [backend::decoding, backend::servlet, backend::url_standard, backend::by_segment, backend::literal];
        for prefix in ["/eu", "/eu/deep", "/public/eu"].map(|prefix| PathPrefix::new(prefix).unwrap()) {
            for read in backends.into_iter().filter_map(|backend| backend(&path)) {
                prop_assert!(
                    !prefix.matches(&read) || prefix.matches(&formed),
                    "a backend reads `{}` as `{}`, which is in {:?}; matched as `{}`", path, read, prefix, formed
                );
            }
        }
    }

    #[test]
    fn how_a_character_is_written_makes_no_difference(text in "[a-z:@!$&=~{}|]{1,12}", at in any::<u16>()) {
        let encoded: String = text
            .bytes()
            .enumerate()
            .map(|(i, byte)| if at >> i & 1 == 1 { format!("%{byte:02x}") } else { char::from(byte).to_string() })
            .collect();
        prop_assert_eq!(formed(&format!("/{encoded}")), formed(&format!("/{text}")));
    }
}
