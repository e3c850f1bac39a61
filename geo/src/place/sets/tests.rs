//! Regions in places, and the starter sets against what is known of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{PlaceSets, STARTER_SETS, UndefinedSet};
use crate::testing::country;
use crate::{CountrySet, Label, Place, SetName};

fn place(text: &str) -> Place {
    text.parse().unwrap()
}

fn name(text: &str) -> SetName {
    text.parse().unwrap()
}

fn labels(names: &[&str]) -> BTreeSet<Label> {
    names.iter().map(|label| label.parse().unwrap()).collect()
}

/// The `[sets]` of the starter file, read by as much TOML as it uses.
fn starter() -> BTreeMap<String, Vec<String>> {
    let without_comments: Vec<&str> = STARTER_SETS.lines().filter(|line| !line.starts_with('#')).collect();
    let body = without_comments.join("\n").trim().strip_prefix("[sets]").unwrap().to_owned();
    let sets = body.split(']').filter(|entry| !entry.trim().is_empty());
    sets.map(|entry| {
        let (key, codes) = entry.split_once(" = [").unwrap();
        let codes = codes.split(',').map(str::trim).filter(|code| !code.is_empty());
        let unquoted = |code: &str| code.strip_prefix('"').unwrap().strip_suffix('"').unwrap().to_owned();
        (key.trim().to_owned(), codes.map(unquoted).collect())
    })
    .collect()
}

fn starter_sets() -> PlaceSets {
    let set = |codes: Vec<String>| codes.iter().map(|code| country(code)).collect();
    starter().into_iter().map(|(key, codes)| (name(&key), set(codes))).collect()
}

fn members(sets: &PlaceSets, key: &str) -> BTreeSet<String> {
    sets.get(&name(key)).unwrap().iter().map(|country| country.to_string()).collect()
}

#[test]
fn a_country_is_in_itself_in_its_sets_and_under_its_labels() {
    let sets = starter_sets();
    let sovereign = labels(&["sovereign"]);
    let includes = |text: &str, code: &str| sets.includes(&place(text), country(code), &sovereign).unwrap();
    assert!(includes("country:DE", "DE"));
    assert!(!includes("country:DE", "AT"));
    assert!(includes("set:EU", "DE"));
    assert!(!includes("set:EU", "CH"));
    assert!(includes("label:sovereign", "CH"));
    assert!(!includes("label:sovereig", "CH"));
}

#[test]
fn an_undefined_set_is_an_error_and_not_a_no() {
    let error = starter_sets().includes(&place("set:UE"), country("DE"), &labels(&[])).unwrap_err();
    assert_eq!(error.name, name("UE"));
    assert_eq!(
        error.to_string(),
        "`set:UE` is not defined in the fleet document: it has ADEQUATE, EEA, EFTA, EU, SCHENGEN"
    );
    let nothing = PlaceSets::default().get(&name("EU")).unwrap_err();
    assert_eq!(nothing.to_string(), "`set:EU` is not defined in the fleet document, which defines no sets");
}

#[test]
fn all_undefined_sets_are_listed_once() {
    let places = ["set:X", "set:EU", "country:DE", "set:A", "label:X", "set:X"].map(place);
    let missing: Vec<SetName> =
        starter_sets().undefined(&places).into_iter().map(|UndefinedSet { name, .. }| name).collect();
    assert_eq!(missing, [name("A"), name("X")]);
}

#[test]
fn an_error_lists_only_the_first_names() {
    let many = (0..1_000).map(|number| (name(&format!("set-{number:04}")), CountrySet::default()));
    let sets: PlaceSets = many.collect();
    assert_eq!(sets.get(&name("x")).unwrap_err().defined.len(), 16);
    assert_eq!(sets.iter().count(), 1_000);
}

/// Sizes as the institutions state them.
#[test]
fn starter_sets_have_the_stated_sizes() {
    let sizes: Vec<(String, usize)> = starter().into_iter().map(|(key, codes)| (key, codes.len())).collect();
    let expected = [("ADEQUATE", 14), ("EEA", 30), ("EFTA", 4), ("EU", 27), ("SCHENGEN", 29)];
    assert_eq!(sizes, expected.map(|(key, size)| (key.to_owned(), size)));
}

#[test]
fn starter_sets_name_assigned_countries_in_order() {
    for (key, codes) in starter() {
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{key} is not sorted or names one twice");
        assert!(codes.iter().all(|code| country(code).is_assigned()), "{key}");
    }
}

#[test]
fn starter_sets_are_related_as_the_treaties_say() {
    let sets = starter_sets();
    let [eu, eea, efta] = ["EU", "EEA", "EFTA"].map(|key| members(&sets, key));
    let codes = |list: &[&str]| list.iter().map(|code| (*code).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(&eea - &eu, codes(&["IS", "LI", "NO"]));
    assert_eq!(&efta - &eea, codes(&["CH"]));
    let free_movement = &members(&sets, "SCHENGEN") ^ &(&eu | &efta);
    assert_eq!(free_movement, codes(&["CY", "IE"]));
    assert!(members(&sets, "ADEQUATE").is_disjoint(&eea));
}

proptest! {
    #[test]
    fn a_set_includes_exactly_its_members(codes in prop::collection::btree_set("[A-Z]{2}", 0..40), probe in "[A-Z]{2}") {
        let set: CountrySet = codes.iter().map(|code| country(code)).collect();
        let sets: PlaceSets = [(name("S"), set)].into_iter().collect();
        let included = sets.includes(&place("set:S"), country(&probe), &labels(&["S"]));
        prop_assert_eq!(included, Ok(codes.contains(&probe)));
    }
}
