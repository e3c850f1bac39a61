//! A page keeps what was found, in order, bounded, and fit to be shown.

use super::*;

fn at(line: u32, column: u32) -> Spot {
    Spot::Text { line, column }
}

fn shown(page: Page) -> Vec<String> {
    page.into_diagnostics().iter().map(ToString::to_string).collect()
}

#[test]
fn what_was_found_is_in_the_order_of_the_text() {
    let page = Page::new("x.toml");
    page.error(at(2, 1), "c");
    page.warn(at(1, 9), "b", "do");
    page.error(at(1, 2), "a");
    page.error(Spot::Document, "first");
    let expected = [
        "x.toml: error: first",
        "x.toml:1:2: error: a",
        "x.toml:1:9: warning: b\n  help: do",
        "x.toml:2:1: error: c",
    ];
    assert_eq!(shown(page), expected);
}

#[test]
fn a_warning_is_no_error() {
    let page = Page::new("x.toml");
    page.warn(at(1, 1), "hm", "do");
    assert!(!page.has_errors());
    page.error(at(1, 1), "no");
    assert!(page.has_errors());
}

#[test]
fn a_line_that_is_no_toml_is_reported_once_and_not_judged_further() {
    let page = Page::new("x.toml");
    page.syntax_error(at(3, 4), "expected `=`", None);
    page.syntax_error(at(3, 9), "expected a value", None);
    page.error(at(3, 1), "unknown key");
    page.error(at(4, 1), "other");
    assert!(page.is_broken());
    assert_eq!(shown(page), ["x.toml:3:4: error: expected `=`", "x.toml:4:1: error: other"]);
}

#[test]
fn what_is_missing_is_not_reported_of_a_text_that_could_be_read_only_in_parts() {
    let page = Page::new("x.toml");
    page.missing(at(1, 1), "id", "\"a\"");
    page.syntax_error(at(3, 4), "expected `=`", None);
    page.missing(at(1, 1), "version", "1");
    assert_eq!(shown(page).len(), 2);
}

#[test]
fn the_number_of_diagnostics_is_bounded_and_the_cut_is_said() {
    let page = Page::new("x.toml");
    (1..=2_000).for_each(|line| page.error(at(line, 1), "no"));
    let found = shown(page);
    assert_eq!(found.len(), DIAGNOSTICS_MAX + 1);
    assert!(found[DIAGNOSTICS_MAX].ends_with("more than 1000 diagnostics; the rest is not shown"));
    // The cut itself is an error, even if only warnings were cut.
    let page = Page::new("x.toml");
    (1..=2_000).for_each(|line| page.warn(at(line, 1), "hm", "do"));
    assert!(page.has_errors());
}

#[test]
fn an_override_is_called_by_its_name() {
    let page = Page::overridden("node.toml", vec!["GRATICULE_NAME".to_owned()]);
    page.error(Spot::Override(0), "no");
    page.error(Spot::Override(1), "of nobody");
    assert_eq!(shown(page), ["GRATICULE_NAME: error: no", "node.toml: error: of nobody"]);
}

#[test]
fn unknown_names_come_with_the_nearest_or_the_first_few() {
    let page = Page::new("x.toml");
    page.unknown(at(1, 1), "region", "eu-centrl", ["eu-central", "us"].into_iter());
    let many: Vec<String> = (0..20).map(|at| format!("r{at:02}")).collect();
    page.unknown(at(2, 1), "region", "elsewhere", many.iter().map(String::as_str));
    page.unknown(at(3, 1), "set", "EU", std::iter::empty());
    let found = shown(page);
    assert!(found[0].ends_with("unknown region `eu-centrl`\n  help: did you mean `eu-central`?"));
    assert!(found[1].ends_with("`r10`, `r11` and more"), "{}", found[1]);
    assert!(found[2].ends_with("help: fleet.toml names no set yet: add it there"));
}

#[test]
fn long_texts_are_shortened_and_none_steers_a_terminal() {
    assert_eq!(shortened(&"a".repeat(64)), "a".repeat(64));
    assert_eq!(shortened(&"\u{e4}".repeat(65)), format!("{}...", "\u{e4}".repeat(64)));
    let page = Page::new("x.toml");
    page.error(at(1, 1), "found `\u{1b}[2J\n`");
    assert_eq!(shown(page), ["x.toml:1:1: error: found `\u{fffd}[2J\u{fffd}`"]);
}
