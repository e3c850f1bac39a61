//! Places as operators write them.

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use super::{Label, Place, PlaceError, SetName};
use crate::testing::country;

#[test]
fn the_three_kinds() {
    assert_eq!("country:DE".parse(), Ok(Place::Country(country("DE"))));
    assert_eq!("set:EU".parse(), Ok(Place::Set("EU".parse().unwrap())));
    assert_eq!("label:gdpr.v2".parse(), Ok(Place::Label("gdpr.v2".parse().unwrap())));
}

#[test]
fn what_is_no_place_is_told_why() {
    let why = |text: &str| text.parse::<Place>().unwrap_err();
    for text in ["", "DE", "region:eu", "Country:DE", "country", " set:EU"] {
        assert!(matches!(why(text), PlaceError::Kind(_)), "{text}");
        assert!(why(text).to_string().contains("expected `country:DE`, `set:EU` or `label:x`"));
    }
    assert!(matches!(why("country:Germany"), PlaceError::Country(_)));
    assert!(why("country:de").to_string().contains("such as `DE`"));
    for text in ["set:", "set:E U", "label:ü", "label:a/b", "set:a:b"] {
        assert!(matches!(why(text), PlaceError::Name(_)), "{text}");
        assert!(why(text).to_string().contains("expected 1 to 63 letters"));
    }
}

#[test]
fn a_name_has_at_most_63_bytes() {
    assert!("a".repeat(63).parse::<SetName>().is_ok());
    assert!("a".repeat(64).parse::<SetName>().is_err());
    let hostile = "ä".repeat(1 << 20);
    assert!(hostile.parse::<Label>().unwrap_err().to_string().len() < 400);
    assert!(hostile.parse::<Place>().unwrap_err().to_string().len() < 400);
}

#[test]
fn names_that_are_read_are_checked_too() {
    let set = |text| SetName::deserialize(StrDeserializer::<Error>::new(text));
    let label = |text| Label::deserialize(StrDeserializer::<Error>::new(text));
    assert_eq!(set("EU"), Ok("EU".parse().unwrap()));
    assert_eq!(label("gdpr"), Ok("gdpr".parse().unwrap()));
    assert!(set("E U").unwrap_err().to_string().contains("`E U` is no name"));
    assert!(label("").is_err());
    assert_eq!(String::from(set("EU").unwrap()), "EU");
    assert_eq!(String::from(label("gdpr").unwrap()), "gdpr");
}

proptest! {
    #[test]
    fn a_place_is_read_as_it_is_written(text in "(country:[A-Z]{2}|(set|label):[A-Za-z0-9_.-]{1,63})") {
        let place: Place = text.parse().unwrap();
        prop_assert_eq!(place.to_string(), text);
    }

    #[test]
    fn any_text_is_a_place_or_an_error(text in "((country|set|label)?:)?\\PC{0,100}") {
        match text.parse::<Place>() {
            Ok(place) => prop_assert_eq!(place.to_string(), text),
            Err(error) => prop_assert!(error.to_string().contains("is no ")),
        }
    }
}
