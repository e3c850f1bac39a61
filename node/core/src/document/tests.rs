//! Whole sets of documents: everything wrong in one go, and no bytes that bring the checker down.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::testing::{FLEET, errors, fleet_source, loaded, shown, tenant};
use super::*;

#[test]
fn everything_that_is_wrong_anywhere_is_said_in_one_go() {
    let fleet = Source::new(
        "fleet.toml",
        FLEET.replace("country = \"CH\"", "country = \"Suisse\"").replace("mesh", "mehs"),
    );
    let tenants = [
        tenant("a", "allow = [\"set:EUU\"]"),
        Source::new("tenants/b.toml", "version = 1\nid = \"b\"\nmatch = [{ host = \"a.example\" }]\n"),
    ];
    // Line 1 of the fleet is empty; `mesh` is in line 3, `ch` in line 6 with its country behind `ch = { country = `.
    assert_snapshot!(shown(&load(&fleet, &tenants).unwrap_err()), @r#"
    fleet.toml:1:1: error: missing key `mesh`
      help: add `mesh = "example"`
    fleet.toml:3:1: error: unknown key `mehs`
      help: did you mean `mesh`?
    fleet.toml:6:18: error: `Suisse` is no country code: expected two capital letters (ISO 3166-1), such as `DE`
    tenants/a.toml:6:10: error: unknown set `EUU`
      help: did you mean `EU`?
    tenants/b.toml:1:1: error: missing key `residency`
      help: add `residency = { allow = ["set:EU"] }`
    tenants/b.toml:1:1: error: missing key `pools`
      help: add `pools = { eu-central = { backends = ["127.0.0.1:9001"] } }`
    tenants/b.toml:3:19: error: tenant `b` claims host `a.example`, which tenant `a` claims already
      help: the first claim is tenants/a.toml:4:8; give one of them another host, path_prefix or header value
    "#);
}

#[test]
fn broken_text_is_said_with_what_can_be_read_of_the_rest() {
    let text = "version = \nid = \"a\nmatch = [{ host = \"a.example\" }]\nresidency = { allow = [\"EU\"] }\nallow = 1\n";
    let found = errors(&[Source::new("a.toml", text)]);
    let places: Vec<&str> =
        found.lines().filter_map(|line| line.split_once(": error").map(|(at, _)| at)).collect();
    // The value of line 1, the open string of line 2, the place in line 4, the key in line 5.
    assert_eq!(places, ["a.toml:1:11", "a.toml:2:8", "a.toml:4:24", "a.toml:5:1"], "{found}");
}

#[test]
fn names_are_not_compared_with_a_fleet_document_that_could_not_be_read() {
    let fleet = Source::new("fleet.toml", FLEET.replace("[sets]", "[sets"));
    let found = shown(&load(&fleet, &[tenant("a", "allow = [\"set:EU\"]")]).unwrap_err());
    assert!(!found.contains("tenants/a.toml"), "{found}");
}

#[test]
fn one_document_can_be_checked_alone() {
    let source = tenant("a", "allow = [\"set:EUU\"]");
    assert!(check_tenant(&source, None).0.is_some());
    let fleet = check_fleet(&fleet_source()).0;
    let (document, found) = check_tenant(&source, fleet.as_deref());
    assert!(document.is_none());
    assert!(shown(&found).contains("unknown set `EUU`"));
}

#[test]
fn a_hostile_document_has_a_bounded_number_of_diagnostics() {
    let keys: Vec<String> = (0..50_000).map(|at| format!("k{at}=1\n")).collect();
    let found = load(&fleet_source(), &[Source::new("a.toml", keys.concat())]).unwrap_err();
    assert_eq!(found.len(), 1_001);
    assert!(found[1_000].message.contains("more than 1000 diagnostics"));
}

#[test]
fn a_document_does_not_steer_its_reader_s_terminal() {
    let found = errors(&[Source::new("a.toml", "\"\\u001b[31m\" = 1\n")]);
    assert!(!found.contains('\u{1b}'), "{found:?}");
}

#[test]
fn ten_thousand_tenants_load() {
    let tenants: Vec<Source> = (0..10_000).map(|at| tenant(&format!("t{at}"), "allow = [\"any\"]")).collect();
    assert_eq!(loaded(&tenants).policy.tenants.len(), 10_000);
}

/// Documents that are right, as they are changed by [`mutated`].
fn originals() -> Vec<String> {
    let mut texts: Vec<String> = starter::files().into_iter().map(|(_, text)| text).collect();
    texts.push(FLEET.to_owned());
    texts
}

/// One of the originals with parts removed, doubled or replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::option::of("[\\[\\]{}=.,\"'# \na0-]{0,6}"),
    );
    (prop::sample::select(originals()), prop::collection::vec(change, 1..6)).prop_map(|(text, changes)| {
        let mut bytes = text.into_bytes();
        for (from, length, replacement) in changes {
            let from = from.index(bytes.len().max(1)).min(bytes.len());
            let to = (from + length.index(24)).min(bytes.len());
            let part: Vec<u8> = bytes[from..to].to_vec();
            let new = replacement.map_or_else(|| part.repeat(2), String::into_bytes);
            bytes.splice(from..to, new);
        }
        bytes
    })
}

/// Every diagnostic is at a place that the text has.
fn check_places(text: &[u8], found: &[Diagnostic]) {
    let lines = text.split(|byte| *byte == b'\n').count() as u32;
    for diagnostic in found {
        let last = diagnostic.message.contains("diagnostics; the rest");
        assert!(last || diagnostic.line <= lines, "{diagnostic}");
        assert!((diagnostic.line == 0) == (diagnostic.column == 0), "{diagnostic}");
        assert!(!diagnostic.message.is_empty());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_checked(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let source = Source::new("x.toml", text);
        let (document, found) = check_fleet(&source);
        prop_assert!(document.is_none());
        check_places(&source.text, &found);
        let (document, found) = check_tenant(&source, None);
        prop_assert!(document.is_none());
        check_places(&source.text, &found);
    }

    #[test]
    fn changed_documents_are_right_or_say_why_not(text in mutated()) {
        let source = Source::new("x.toml", text);
        let (document, found) = check_fleet(&source);
        prop_assert_eq!(document.is_none(), found.iter().any(Diagnostic::is_error));
        check_places(&source.text, &found);
        let (document, found) = check_tenant(&source, None);
        prop_assert_eq!(document.is_none(), found.iter().any(Diagnostic::is_error));
        check_places(&source.text, &found);
    }

    #[test]
    fn a_reload_never_loses_a_tenant_whose_file_is_there(text in mutated()) {
        let before = loaded(&[tenant("a", "allow = [\"any\"]"), tenant("b", "allow = [\"any\"]")]);
        let changed = Source::new("tenants/a.toml", text);
        let after = load_keeping(Some(&before.documents), &fleet_source(), &[changed, tenant("b", "allow = [\"any\"]")]);
        let policy = after.loaded.unwrap().policy;
        prop_assert!(policy.tenant_by_id(&"b".parse().unwrap()).is_some());
        let told = after.kept.len() + after.absent.len();
        prop_assert_eq!(policy.tenants.len() + after.absent.len() >= 2, true);
        prop_assert_eq!(told > 0, after.diagnostics.iter().any(Diagnostic::is_error));
    }
}
