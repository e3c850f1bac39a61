//! The workspace's own source: its crates and files, without comments, texts and tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One file of Rust.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path within the workspace, with `/`.
    pub path: String,
    /// Everything in it.
    pub text: String,
}

/// Where the workspace is.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("a workspace around this crate").to_owned()
}

/// Every file of Rust in the workspace.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&workspace(), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(directory: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).expect("a directory of the workspace") {
        let path = entry.expect("an entry of a directory").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !name.starts_with("target") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file in UTF-8");
            let within = path.strip_prefix(workspace()).expect("a file of the workspace");
            found.push(Source { path: within.to_str().expect("a path in UTF-8").replace('\\', "/"), text });
        }
    }
}

impl Source {
    /// Whether it is only built for tests.
    pub fn is_test(&self) -> bool {
        let segments = || self.path.split('/');
        let last = segments().next_back().unwrap_or_default();
        segments().any(|segment| matches!(segment, "tests" | "benches" | "examples"))
            || matches!(last, "tests.rs" | "testing.rs")
            || last.ends_with("_tests.rs")
    }

    /// Its code: comments, texts and characters are blank.
    pub fn code(&self) -> String {
        blanked(&self.text)
    }

    /// Its code without what is only built for tests.
    pub fn production(&self) -> String {
        if self.is_test() {
            return String::new();
        }
        let mut code = self.code();
        while let Some(begin) = code.find(TEST_ATTRIBUTE) {
            let end = item_end(&code, begin + TEST_ATTRIBUTE.len());
            code.replace_range(begin..end, "");
        }
        code
    }

    /// The first names of all paths in its production code that begin with `prefix`, such as `crate::`.
    pub fn names_after(&self, prefix: &str) -> BTreeSet<String> {
        let code = self.production();
        let boundary =
            |at: usize| !code[..at].ends_with(|last: char| last.is_alphanumeric() || "_:".contains(last));
        let begins = code.match_indices(prefix).filter(|(at, _)| boundary(*at));
        begins.flat_map(|(at, _)| first_names(&code[at + prefix.len()..])).collect()
    }
}

/// `a::b` gives a; `{a::{b, c}, d}` gives a and d.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else { return vec![identifier(path)] };
    let mut depth = 0;
    let mut names = vec![identifier(group.trim_start())];
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(identifier(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// Where the item ends whose attributes end at `from`.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (at, character) in code[from..].char_indices() {
        match character {
            ';' if depth == 0 => return from + at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return from + at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The text with comments, strings and character literals replaced by spaces; lines stay where they are.
fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = blank_length(rest, code.chars().next_back());
        let taken = &rest[..length.max(first.len_utf8())];
        if length == 0 {
            code.push(first);
        } else {
            code.extend(taken.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
        }
        rest = &rest[taken.len()..];
    }
    code
}

/// How many bytes from here on are a comment or a literal.
fn blank_length(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|before| before.is_alphanumeric() || before == '_');
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        rest.find("*/").map_or(rest.len(), |end| end + 2)
    } else if let Some(quoted) = rest.strip_prefix('"') {
        1 + escaped_end(quoted, '"')
    } else if rest.starts_with('r') && !in_word {
        raw_length(rest)
    } else if rest.starts_with('\'') {
        character_length(rest)
    } else {
        0
    }
}

fn escaped_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_length(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|character| *character == '#').count();
    let Some(body) = rest[1 + hashes..].strip_prefix('"') else { return 0 };
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |end| end + close.len());
    rest.len() - body.len() + end
}

/// A character literal; 0 for a lifetime.
fn character_length(rest: &str) -> usize {
    let mut characters = rest[1..].char_indices();
    match characters.next() {
        Some((_, '\\')) => 1 + escaped_end(&rest[1..], '\''),
        Some((_, first)) if rest[1 + first.len_utf8()..].starts_with('\'') => 2 + first.len_utf8(),
        _ => 0,
    }
}

const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "a/src/b.rs".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "a // unsafe\n/* unsafe */ b(\"un\\\"safe\", r#\"unsafe\"#, 'u', '\\'', b'\"') 'c: d";
        let code = source(text).code();
        let words: Vec<_> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "b(", ",", ",", ",", ",", "b", ")", "'c:", "d"]);
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn what_is_built_for_tests_is_no_production() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { if c {} }\n}\nfn d() {}\n#[cfg(test)]\nmod e;\nfn f() {}";
        let production = source(text).production();
        assert_eq!(production.split_whitespace().collect::<String>(), "fna(){}fnd(){}fnf(){}");
        assert_eq!(Source { path: "a/src/b/tests.rs".into(), ..source("fn a() {}") }.production(), "");
    }

    #[test]
    fn the_first_names_of_paths_are_found_in_groups_too() {
        let text = "use crate::{a::{b, c}, d};\nuse crate::e::f;\nlet g = crate::h(super::i, my_crate::j);";
        let names = source(text).names_after("crate::");
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "d", "e", "h"]);
    }
}
