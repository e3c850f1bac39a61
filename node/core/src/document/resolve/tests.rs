//! What rules mean in a fleet, in a table; and what an earlier fleet's rules mean in a later one.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::document::testing::{FLEET, errors, fleet, loaded, shown, tenant};
use crate::document::{Source, check_fleet, check_tenant};

/// The names of the regions of every tier.
fn tiers(permission: &Permission) -> Vec<Vec<&'static str>> {
    const NAMES: [&str; 5] = ["ch", "de", "fr", "gb", "us"];
    let names = |tier: &RegionSet| tier.iter().map(|at| NAMES[at.position()]).collect();
    permission.tiers.iter().map(names).collect()
}

/// What `rules` mean, without regard to warnings.
fn meant(rules: &str) -> Tenant {
    (*loaded(&[tenant("a", rules)]).policy.tenants[0]).clone()
}

fn meant_tiers(rules: &str) -> Vec<Vec<&'static str>> {
    tiers(&meant(rules).residency.permission)
}

#[test]
fn tiers_are_what_is_allowed_without_what_is_denied_or_was_there_before() {
    let cases: &[(&str, &[&[&str]])] = &[
        (r#"allow = ["any"]"#, &[&["ch", "de", "fr", "gb", "us"]]),
        (r#"allow = ["set:EU"]"#, &[&["de", "fr"]]),
        (r#"allow = ["country:US", "label:sovereign"]"#, &[&["de", "us"]]),
        (r#"allow = ["country:US", "country:JP"]"#, &[&["us"]]),
        ("allow = [\"any\"]\ndeny = [\"set:EU\", \"country:US\"]", &[&["ch", "gb"]]),
        ("allow = [\"set:EU\"]\ndeny = [\"label:sovereign\"]", &[&["fr"]]),
        ("allow = [\"set:EU\"]\nfallback = [[\"set:NEAR\"]]", &[&["de", "fr"], &["ch", "gb"]]),
        (
            "allow = [\"country:DE\"]\nfallback = [[\"set:EU\"], [\"any\"]]\ndeny = [\"country:US\"]",
            &[&["de"], &["fr"], &["ch", "gb"]],
        ),
        ("allow = []\nfallback = [[\"set:NEAR\"]]", &[&[], &["ch", "gb"]]),
    ];
    for (rules, expected) in cases {
        assert_eq!(meant_tiers(rules), *expected, "{rules}");
    }
}

#[test]
fn rules_by_client_stand_for_themselves_but_what_is_denied_around_them_stays_denied() {
    let tenant = meant(
        r#"allow = ["any"]
deny = ["country:GB"]
unknown = "refuse"
[[residency.client]]
when = ["country:US", "set:NEAR"]
allow = ["set:NEAR", "country:US"]
deny = ["country:US"]
[[residency.client]]
when = ["country:KP"]
allow = []"#,
    );
    let [(first, near), (second, nowhere)] = &tenant.residency.by_client[..] else { panic!() };
    let countries: Vec<&str> = ["CH", "GB", "US", "DE", "KP"]
        .into_iter()
        .filter(|code| first.contains(code.parse().unwrap()))
        .collect();
    assert_eq!(countries, ["CH", "GB", "US"]);
    assert_eq!(tiers(near), [["ch"]]);
    assert!(second.contains("KP".parse().unwrap()));
    assert!(nowhere.all.is_empty());
    assert_eq!(tenant.residency.unknown, UnknownLocation::Refuse);
}

#[test]
fn the_longest_route_comes_first_and_stands_for_itself() {
    let tenant = meant(
        r#"allow = ["set:EU"]
deny = ["country:US"]
[[route]]
path_prefix = "/a"
residency = { allow = ["country:US"], receive = "any" }
[[route]]
path_prefix = "/a/b"
residency = { allow = ["country:GB"] }"#,
    );
    let at = |path: &str| tiers(&tenant.residency_for(path).permission);
    assert_eq!(at("/"), [["de", "fr"]]);
    assert_eq!(at("/a"), [["us"]]);
    assert_eq!(at("/a/b/c"), [["gb"]]);
    assert_eq!(at("/ab"), [["de", "fr"]]);
}

#[test]
fn the_home_region_is_for_unknown_clients_and_must_be_permitted() {
    let home = |unknown: &str| {
        let client = "[[residency.client]]\nwhen = [\"country:US\"]\nallow = [\"any\"]";
        meant(&format!("allow = [\"set:EU\"]\nhome = \"fr\"\nunknown = \"{unknown}\"\n{client}"))
            .residency
            .unknown
    };
    assert_eq!(home("home"), UnknownLocation::Home(RegionIndex::new(2).unwrap()));
    assert_eq!(home("refuse"), UnknownLocation::Refuse);
    assert_snapshot!(errors(&[tenant("a", "allow = [\"set:EU\"]\nhome = \"us\"")]), @r"
    tenants/a.toml:7:8: error: the home region `us` is not permitted by these rules
      help: choose a region that `allow` or `fallback` permits
    ");
}

#[test]
fn unknown_names_are_errors_with_a_suggestion() {
    let rules = "allow = [\"set:UE\", \"label:sovereing\"]\nhome = \"dee\"\nfallback = [[\"set:ASIA\"]]";
    assert_snapshot!(errors(&[tenant("a", rules)]), @r"
    tenants/a.toml:6:10: error: unknown set `UE`
      help: did you mean `EU`?
    tenants/a.toml:6:20: error: unknown label `sovereing`
      help: did you mean `sovereign`?
    tenants/a.toml:7:8: error: unknown region `dee`
      help: did you mean `de`?
    tenants/a.toml:8:14: error: unknown set `ASIA`
      help: there is `EU`, `NEAR`
    ");
    let pools = Source::new(
        "b.toml",
        "version = 1\nid = \"b\"\nmatch = [{ host = \"b\" }]\nresidency = { allow = [\"any\"] }\n[pools.frr]\nbackends = [\"10.0.0.1:80\"]\n",
    );
    assert_snapshot!(errors(&[pools]), @r"
    b.toml:5:8: error: unknown region `frr`
      help: did you mean `fr`?
    ");
}

#[test]
fn rules_that_permit_nothing_at_all_are_an_error() {
    assert_snapshot!(errors(&[tenant("a", "allow = [\"country:DE\"]\ndeny = [\"set:EU\"]")]), @r"
    tenants/a.toml:6:9: error: these rules permit no region of the fleet
      help: permit a country, set or label that a region is in, and do not deny all of them
    ");
    let route =
        "allow = [\"any\"]\n[[route]]\npath_prefix = \"/x\"\nresidency = { allow = [\"country:JP\"] }";
    assert_snapshot!(errors(&[tenant("a", route)]), @r"
    tenants/a.toml:9:23: error: these rules permit no region of the fleet
      help: permit a country, set or label that a region is in, and do not deny all of them
    ");
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let text = r#"version = 1
id = "a"
match = [{ host = "a" }]
[residency]
allow = ["set:EU"]
unknown = "refuse"
[[residency.client]]
when = ["country:JP"]
allow = ["country:JP"]
[pools]
de = { backends = ["10.0.0.1:80"] }
us = { backends = ["10.0.0.1:80"] }
"#;
    assert_snapshot!(shown(&loaded(&[Source::new("a.toml", text)]).warnings), @r"
    a.toml:4:1: warning: no pool in `fr`
      help: the rules permit these regions: add pools, or `deny` them
    a.toml:9:9: warning: this permits no region of the fleet
      help: write `allow = []` if such clients are not to be served
    a.toml:12:1: warning: no rule permits `us`, so this pool is never used
      help: permit the region, or remove the pool
    ");
}

/// What a document that was right in the test fleet means after `change`.
fn later(rules: &str, change: &[(&str, &str)]) -> Tenant {
    let document = check_tenant(&tenant("a", rules), Some(&fleet())).0.unwrap();
    let text = change.iter().fold(FLEET.to_owned(), |text, (old, new)| text.replace(old, new));
    let (fleet, found) = check_fleet(&Source::new("fleet.toml", text));
    let fleet = fleet.unwrap_or_else(|| panic!("{}", shown(&found)));
    resolve(&document, &fleet, &Page::new("x"))
}

#[test]
fn what_a_later_fleet_does_not_know_permits_nothing() {
    let gone = &[("NEAR =", "FAR =")];
    assert!(later("allow = [\"any\"]\ndeny = [\"set:NEAR\"]", gone).residency.reach().is_empty());
    assert!(later("allow = [\"set:EU\", \"set:NEAR\"]", gone).residency.reach().is_empty());
    let client = "allow = [\"any\"]\nunknown = \"refuse\"\nclient = [{ when = [\"set:NEAR\"], allow = [] }]";
    assert!(later(client, gone).residency.reach().is_empty());
    let unlabelled = &[(", labels = [\"sovereign\"]", "")];
    assert!(
        later("allow = [\"any\"]\ndeny = [\"label:sovereign\"]", unlabelled).residency.reach().is_empty()
    );
    assert!(!later("allow = [\"any\"]", gone).residency.reach().is_empty());
}

#[test]
fn a_region_that_is_gone_takes_its_pool_with_it() {
    let without = later("allow = [\"any\"]\nhome = \"us\"", &[("us = {", "#us = {")]);
    assert_eq!(without.pools.len(), 4);
    assert_eq!(without.pool_regions.len(), 4);
    assert_eq!(without.residency.unknown, UnknownLocation::Refuse);
}

const PLACES: [&str; 7] =
    ["country:CH", "country:DE", "country:US", "country:JP", "set:EU", "set:NEAR", "label:sovereign"];

fn places() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(PLACES.to_vec()), 0..4)
}

/// The regions of a list, looked up in a table made by hand.
fn by_hand(places: &[&str]) -> RegionSet {
    let table = BTreeMap::from([
        ("country:CH", vec![0]),
        ("country:DE", vec![1]),
        ("country:US", vec![4]),
        ("country:JP", vec![]),
        ("set:EU", vec![1, 2]),
        ("set:NEAR", vec![0, 3]),
        ("label:sovereign", vec![1]),
    ]);
    places.iter().flat_map(|place| &table[place]).filter_map(|at| RegionIndex::new(*at)).collect()
}

proptest! {
    #[test]
    fn nothing_denied_is_permitted_and_tiers_are_disjoint(
        allow in places(),
        deny in places(),
        fallback in prop::collection::vec(places(), 0..3),
    ) {
        let rules = format!("allow = {allow:?}\ndeny = {deny:?}\nfallback = {fallback:?}");
        let document = check_tenant(&tenant("a", &rules), None).0.unwrap();
        let permission = resolve(&document, &fleet(), &Page::new("x")).residency.permission;
        let denied = by_hand(&deny);
        let wanted = fallback.iter().fold(by_hand(&allow), |all, tier| all.union(by_hand(tier)));
        prop_assert_eq!(permission.all, wanted.difference(denied));
        prop_assert_eq!(permission.tiers.len(), 1 + fallback.len());
        prop_assert_eq!(permission.tiers[0], by_hand(&allow).difference(denied));
        let counted: usize = permission.tiers.iter().map(RegionSet::len).sum();
        prop_assert_eq!(counted, permission.all.len());
    }
}
