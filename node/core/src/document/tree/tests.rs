//! Text becomes a tree, and every error of its syntax is reported once.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> (Option<Node>, Vec<String>) {
    let page = Page::new("x.toml");
    let node = parse(&Text::new(text), &page);
    (node, page.into_diagnostics().iter().map(ToString::to_string).collect())
}

fn entry<'n>(node: &'n Node, key: &str) -> &'n Entry {
    node.as_table().unwrap().iter().find(|entry| entry.key == key).unwrap()
}

#[test]
fn keys_and_values_know_where_they_are() {
    let (node, errors) = read("a = 1\n\n[b.c]\n  d = [true, \"x\"]\n");
    assert!(errors.is_empty());
    let node = node.unwrap();
    assert_eq!(entry(&node, "a").node.spot, Spot::Text { line: 1, column: 5 });
    let c = entry(&entry(&node, "b").node, "c");
    assert_eq!(c.spot, Spot::Text { line: 3, column: 4 });
    assert_eq!(c.node.spot, Spot::Text { line: 3, column: 1 });
    let d = entry(&c.node, "d");
    assert_eq!(d.spot, Spot::Text { line: 4, column: 3 });
    let items = d.node.as_list().unwrap();
    assert_eq!(items[1].spot, Spot::Text { line: 4, column: 14 });
    assert_eq!(items[1].as_text(), Some("x"));
}

#[test]
fn numbers_that_do_not_fit_are_no_numbers() {
    let (node, errors) = read("a = 9223372036854775808\nb = 0x10\nc = 1_000\nd = 1e400\n");
    assert!(errors.is_empty());
    let node = node.unwrap();
    assert_eq!(entry(&node, "a").node.as_integer(), None);
    assert_eq!(entry(&node, "b").node.as_integer(), Some(16));
    assert_eq!(entry(&node, "c").node.as_integer(), Some(1_000));
    assert_eq!(entry(&node, "d").node.as_number(), Some(f64::INFINITY));
}

#[test]
fn every_syntax_error_is_reported_and_the_rest_is_read() {
    let (node, errors) = read("a = \nb = 2\nc = \"open\nd = 4\nb = 5\n");
    let at: Vec<&str> = errors.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(at, ["x.toml:1:5", "x.toml:3:10", "x.toml:5:1"]);
    let node = node.unwrap();
    assert_eq!(entry(&node, "b").node.as_integer(), Some(2));
    assert_eq!(entry(&node, "d").node.as_integer(), Some(4));
}

#[test]
fn a_key_that_is_written_twice_is_named_with_its_first_place() {
    let (_, errors) = read("[a]\nx = 1\ny = 2\n  x = 3\n[b]\nz = { q = 1, q = 2 }\n[a]\n");
    assert_eq!(
        errors,
        [
            "x.toml:4:3: error: duplicate key `x`\n  help: it is at 2:1 already",
            "x.toml:6:14: error: duplicate key `q`",
            "x.toml:7:2: error: duplicate key `a`\n  help: it is at 1:2 already",
        ]
    );
}

#[test]
fn nesting_is_bounded() {
    let (_, errors) = read(&format!("a = {}1{}", "[".repeat(40), "]".repeat(40)));
    assert_eq!(errors, ["x.toml:1:22: error: nested more than 16 deep"]);
    let (node, errors) = read("a.b.c.d.e.f.g.h.i = 1");
    assert!(node.is_none());
    assert_eq!(errors, ["x.toml:1:16: error: keys have at most 8 parts"]);
}

#[test]
fn of_a_large_text_the_first_syntax_error_is_reported() {
    let (node, errors) = read(&"=\n".repeat(RECOVERY_BYTES_MAX));
    assert!(node.is_none());
    assert_eq!(errors.len(), 1);
}

#[test]
fn the_text_of_a_variable_becomes_what_is_asked_for() {
    let loose = |text: &str| Node { spot: Spot::Override(0), value: Value::Loose(text.to_owned()) };
    assert_eq!(loose("4").as_text(), Some("4"));
    assert_eq!(loose("4").as_integer(), Some(4));
    assert_eq!(loose("true").as_boolean(), Some(true));
    assert_eq!(loose("0.5").as_number(), Some(0.5));
    let list = loose("a, b,").as_list().unwrap().into_owned();
    assert_eq!(list.iter().map(|item| item.as_text().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(loose("").as_list().unwrap().len(), 0);
}

proptest! {
    #[test]
    fn any_text_is_read_or_reported(text in ".{0,300}") {
        let (node, errors) = read(&text);
        prop_assert!(node.is_some() || !errors.is_empty());
    }

    #[test]
    fn text_made_of_toml_s_signs_is_read_or_reported(text in "([a-c0-9]|[\\[\\]{}=.,\"'# \n\\\\]|\\[\\[|\\]\\]\n){0,300}") {
        let (node, errors) = read(&text);
        prop_assert!(node.is_some() || !errors.is_empty());
    }
}
