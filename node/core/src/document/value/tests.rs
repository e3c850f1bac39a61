//! Every form takes what it should, and says what it expected of the rest.

use graticule_gossip_core::RegionName;
use proptest::prelude::*;

use super::*;
use crate::document::text::Text;
use crate::document::tree::parse;

/// Reads the value of `written` (TOML), and returns the messages.
fn read<T>(written: &str, form: impl Fn(&Page, &Node) -> Option<T>) -> (Option<T>, Vec<String>) {
    let page = Page::new("x.toml");
    let root = parse(&Text::new(&format!("x = {written}\n")), &page).unwrap();
    let value = form(&page, &root.as_table().unwrap()[0].node);
    (value, page.into_diagnostics().iter().map(|found| found.message.clone()).collect())
}

fn refused<T>(written: &str, form: impl Fn(&Page, &Node) -> Option<T>) -> String {
    let (value, messages) = read(written, form);
    assert!(value.is_none(), "{written}");
    assert_eq!(messages.len(), 1, "{written}: {messages:?}");
    messages[0].clone()
}

/// What to do about `written`, if that is said.
fn help<T>(written: &str, form: impl Fn(&Page, &Node) -> Option<T>) -> Option<String> {
    let page = Page::new("x.toml");
    let root = parse(&Text::new(&format!("x = {written}\n")), &page).unwrap();
    assert!(form(&page, &root.as_table().unwrap()[0].node).is_none(), "{written}");
    page.into_diagnostics().remove(0).help
}

#[test]
fn strings() {
    assert_eq!(read("\"a\"", text).0.as_deref(), Some("a"));
    assert_eq!(refused("1", text), "expected a string, found 1");
    assert_eq!(refused("[]", text), "expected a string, found a list");
    let long = format!("\"{}\"", "a".repeat(TEXT_BYTES_MAX + 1));
    assert_eq!(refused(&long, text), "a string of more than 4096 bytes");
}

#[test]
fn names() {
    assert_eq!(read("\"eu-1\"", parsed::<RegionName>).0.unwrap().as_str(), "eu-1");
    assert!(refused("\"EU\"", parsed::<RegionName>).starts_with("`EU` is no name: expected 1 to 63"));
    let address = || expecting::<std::net::SocketAddr>("an address with port");
    assert_eq!(read("\"[::1]:80\"", address()).0, Some("[::1]:80".parse().unwrap()));
    assert_eq!(refused("\"localhost\"", address()), "expected an address with port, found `localhost`");
}

#[test]
fn country_codes() {
    assert_eq!(read("\"DE\"", country).0.unwrap().as_str(), "DE");
    assert_eq!(refused("\"de\"", country), "`de` is no country code of ISO 3166-1");
    assert_eq!(
        read("\"XX\"", country),
        (Some("XX".parse().unwrap()), vec!["no country has the code `XX`".to_owned()])
    );
    assert_eq!(refused("\"XX\"", assigned_country), "no country has the code `XX`");
    assert_eq!(read("\"XK\"", assigned_country).1, [""; 0]);
    assert_eq!(meant_country("de").as_deref(), Some("DE"));
    assert_eq!(meant_country("UK").as_deref(), Some("GB"));
    assert_eq!(meant_country("DE"), None);
    assert_eq!(meant_country("deu"), None);
}

#[test]
fn integers() {
    let form = || integer(1..=64);
    assert_eq!(read("64", form()).0, Some(64));
    assert_eq!(refused("0", form()), "expected an integer from 1 to 64, found 0");
    assert_eq!(refused("65", form()), "expected an integer from 1 to 64, found 65");
    assert_eq!(refused("\"4\"", form()), "expected an integer from 1 to 64, found \"4\"");
    assert_eq!(refused("4.0", form()), "expected an integer from 1 to 64, found 4");
    let huge = refused("99999999999999999999", form());
    assert_eq!(huge, "expected an integer from 1 to 64, found an integer that does not fit");
}

#[test]
fn numbers() {
    let form = || number(-90.0..=90.0);
    assert_eq!(read("50.1", form()).0, Some(50.1));
    assert_eq!(read("50", form()).0, Some(50.0));
    assert_eq!(refused("90.5", form()), "expected a number from -90 to 90, found 90.5");
    assert_eq!(refused("nan", form()), "expected a number from -90 to 90, found NaN");
}

#[test]
fn words() {
    let form = || one_of(&[("refuse", 1), ("home", 2)]);
    assert_eq!(read("\"home\"", form()).0, Some(2));
    assert_eq!(refused("\"away\"", form()), "expected one of `refuse`, `home`, found `away`");
    assert_eq!(refused("true", form()), "expected one of `refuse`, `home`, found true");
    assert_eq!(help("\"refused\"", form()).as_deref(), Some("did you mean `refuse`?"));
    assert_eq!(help("\"away\"", form()), None);
    assert_eq!(read("true", boolean).0, Some(true));
    assert_eq!(refused("\"yes\"", boolean), "expected true or false, found \"yes\"");
}

#[test]
fn durations() {
    let form = || duration(Duration::from_millis(10)..=Duration::from_hours(1));
    assert_eq!(read("\"250ms\"", form()).0, Some(Duration::from_millis(250)));
    assert_eq!(read("\"2s\"", form()).0, Some(Duration::from_secs(2)));
    assert_eq!(read("\"1h\"", form()).0, Some(Duration::from_hours(1)));
    for wrong in
        ["\"5ms\"", "\"2h\"", "\"1.5s\"", "\"s\"", "\"2\"", "\"2 s\"", "2", "\"99999999999999999999h\""]
    {
        let message = refused(wrong, form());
        assert!(message.starts_with("expected a duration from \"10ms\" to \"1h\", found "), "{message}");
    }
}

#[test]
fn a_duration_in_another_form_is_told_how_to_write_one() {
    let up_to = |most| duration(Duration::ZERO..=most);
    for written in ["\"2.5s\"", "\"60sec\"", "\"-10s\"", "60"] {
        assert_eq!(
            help(written, up_to(Duration::from_hours(1))).as_deref(),
            Some("write a whole number and `ms`, `s`, `m` or `h`, such as \"90s\"")
        );
    }
    // Not one that would be too long.
    assert!(help("5", up_to(Duration::from_secs(1))).unwrap().ends_with("such as \"1s\""));
    assert_eq!(help("\"2h\"", up_to(Duration::from_hours(1))), None);
    let message = refused("\"2s\"", up_to(Duration::from_secs(1)));
    assert_eq!(message, "expected a duration from \"0s\" to \"1s\", found \"2s\"");
}

#[test]
fn lists_leave_out_what_is_wrong() {
    let (value, messages) = read("[1, \"x\", 3, 4]", list(3, integer(1..=9)));
    let values: Vec<i64> = value.unwrap().into_iter().map(|at| at.value).collect();
    assert_eq!(values, [1, 3]);
    assert_eq!(messages, ["expected an integer from 1 to 9, found \"x\"", "more than 3 items"]);
    assert_eq!(refused("1", list(3, boolean)), "expected a list, found 1");
    assert_eq!(help("\"set:EU\"", list(3, text)).as_deref(), Some("write `[\"set:EU\"]`"));
}

#[test]
fn what_is_written_twice_is_reported() {
    let page = Page::new("x.toml");
    let at = |value| At { value, spot: crate::document::page::Spot::Document };
    let set = distinct(&page, vec![at("b"), at("a"), at("b")], |text| text);
    assert_eq!(set.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(page.into_diagnostics()[0].message, "`b` is written twice");
}

proptest! {
    #[test]
    fn a_duration_is_read_as_it_is_shown(millis in 0..100_000_000u64) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&shown_duration(duration)), Some(duration));
    }

    #[test]
    fn any_text_is_a_duration_or_none(text in ".{0,30}") {
        if let Some(duration) = parse_duration(&text) {
            prop_assert!(duration.as_millis() > 0 || text.contains('0'));
        }
    }
}
