//! A name is a DNS label, and nothing else is.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn every_label_is_a_name_and_stays_as_written(label in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
        let name: NodeName = label.parse().unwrap();
        prop_assert_eq!(name.as_str(), &label);
        prop_assert_eq!(name.to_string(), label.clone());
        prop_assert_eq!(String::from(name.clone()), label.clone());
        prop_assert_eq!(NodeName::try_from(label), Ok(name));
    }

    #[test]
    fn whatever_is_accepted_is_a_label(text in "[-a-zA-Z0-9._/é ]{0,70}") {
        let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if let Ok(name) = text.parse::<RegionName>() {
            prop_assert_eq!(name.as_str(), &text);
            prop_assert!((1..=63).contains(&text.len()) && text.bytes().all(label));
            prop_assert!(!text.starts_with('-') && !text.ends_with('-'));
        }
    }

    #[test]
    fn names_are_ordered_as_their_text(a in "[a-z]{1,4}", b in "[a-z]{1,4}") {
        let (first, second): (MeshName, MeshName) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert_eq!(first.cmp(&second), a.cmp(&b));
    }
}

#[test]
fn names_that_would_break_hosts_and_paths_are_refused() {
    for text in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "../a", "é", "a b", "a\n", &"a".repeat(64)] {
        assert!(text.parse::<NodeName>().is_err(), "{text:?}");
    }
}

#[test]
fn the_error_says_what_was_written_and_what_is_expected() {
    let error = format!("{}!", "x".repeat(1_000)).parse::<NodeName>().unwrap_err().to_string();
    assert!(error.contains("1 to 63 of a-z, 0-9 and `-`"));
    assert!(error.len() < 250, "a hostile name does not fill the log");
}
