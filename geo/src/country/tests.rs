//! Codes and sets of them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{CODES, Country, CountrySet};
use crate::testing::country;

#[test]
fn a_code_is_two_capitals() {
    for text in ["", "D", "DEU", "de", "De", "D1", "ÄÖ", "D ", "\u{0}\u{0}", "ＤＥ"] {
        let error = text.parse::<Country>().unwrap_err();
        assert!(error.to_string().contains("expected two capital letters"), "{error}");
    }
    assert_eq!(country("DE").as_str(), "DE");
    assert_eq!(String::from(country("SG")), "SG");
    assert_eq!(format!("{} {:?}", country("CH"), country("CH")), "CH CH");
}

#[test]
fn an_error_quotes_only_the_beginning() {
    let error = "x".repeat(1 << 20).parse::<Country>().unwrap_err();
    assert!(error.to_string().len() < 200);
}

#[test]
fn every_code_has_an_index_of_its_own() {
    let letters = || (b'A'..=b'Z').map(char::from);
    let codes = letters().flat_map(|a| letters().map(move |b| format!("{a}{b}")));
    let indices: Vec<usize> = codes.map(|code| country(&code).index()).collect();
    assert_eq!(indices, (0..CODES).collect::<Vec<_>>());
}

#[test]
fn a_set_shows_its_members() {
    let set: CountrySet = ["SE", "AT"].map(country).into_iter().collect();
    assert_eq!(format!("{set:?}"), "{AT, SE}");
    assert!(!set.is_empty());
    assert!(CountrySet::default().is_empty());
}

fn countries() -> impl Strategy<Value = Country> {
    "[A-Z]{2}".prop_map(|code| country(&code))
}

proptest! {
    #[test]
    fn a_code_is_read_as_it_is_written(code in countries()) {
        prop_assert_eq!(code.to_string().parse::<Country>(), Ok(code));
    }

    #[test]
    fn any_text_is_a_code_or_an_error(text in any::<String>()) {
        let two_capitals = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        prop_assert_eq!(text.parse::<Country>().is_ok(), two_capitals);
    }

    #[test]
    fn a_set_is_a_set(members in prop::collection::vec(countries(), 0..60), other in countries()) {
        let model: BTreeSet<Country> = members.iter().copied().collect();
        let mut set: CountrySet = members.iter().copied().collect();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(set.contains(other), model.contains(&other));
        prop_assert_eq!(set.is_empty(), model.is_empty());
        set.extend([other]);
        prop_assert!(set.contains(other));
    }
}
