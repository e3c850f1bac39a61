//! A fleet document is read whole, or everything that is wrong with it is said.

use insta::assert_snapshot;

use super::*;
use crate::document::check_fleet;
use crate::document::testing::{FLEET, fleet, shown};

fn errors(text: &str) -> String {
    let (document, diagnostics) = check_fleet(&Source::new("fleet.toml", text));
    assert!(document.is_none(), "{text}");
    shown(&diagnostics)
}

fn warnings(text: &str) -> String {
    let (document, diagnostics) = check_fleet(&Source::new("fleet.toml", text));
    assert!(document.is_some(), "{}", shown(&diagnostics));
    shown(&diagnostics)
}

fn positions(regions: RegionSet) -> Vec<usize> {
    regions.iter().map(RegionIndex::position).collect()
}

#[test]
fn a_right_document_is_read_whole() {
    assert_eq!(warnings(FLEET), "");
    let fleet = fleet();
    let read = fleet.fleet();
    assert_eq!((read.version, read.mesh.as_str()), (DocumentVersion(3), "test"));
    let names: Vec<&str> = read.regions.iter().map(|region| region.name.as_str()).collect();
    assert_eq!(names, ["ch", "de", "fr", "gb", "us"]);
    assert_eq!(read.regions[1].country, "DE".parse().unwrap());
    assert!((read.regions[4].coordinates.longitude() + 77.5).abs() < 1e-9);
    assert!(read.regions[1].labels.contains(&"sovereign".parse().unwrap()));
    assert!(read.revoked.contains(&"eu-1".parse().unwrap()));
}

#[test]
fn places_are_regions() {
    let fleet = fleet();
    let regions = |place: &str| fleet.regions_in(&place.parse().unwrap()).map(positions);
    assert_eq!(regions("country:FR"), Some(vec![2]));
    assert_eq!(regions("country:JP"), Some(vec![]));
    assert_eq!(regions("set:EU"), Some(vec![1, 2]));
    assert_eq!(regions("label:sovereign"), Some(vec![1]));
    assert_eq!(regions("set:EEA"), None);
    assert_eq!(regions("label:other"), None);
}

#[test]
fn every_error_is_said_at_its_place() {
    let text = r#"version = 0
mesh = "Test"
colour = "red"
[regions.EU]
country = "de"
latitude = 91
longitude = "east"
labels = ["a", "b c", "a"]
[regions.us]
contry = "US"
latitude = 39.0
[sets]
EU = ["DE", "UK", "DE"]
NONE = "DE"
"#;
    // Lines: 1 version, 2 mesh, 3 colour, 4 [regions.EU] (its name begins at column 10), 5 to 8 its keys,
    // 9 [regions.us], 10 and 11 its keys, 13 and 14 the sets.
    assert_snapshot!(errors(text), @r#"
    fleet.toml:1:11: error: expected an integer from 1 to 9223372036854775807, found 0
    fleet.toml:2:8: error: `Test` is no name: expected 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit
    fleet.toml:3:1: error: unknown key `colour`
      help: there is `version`, `mesh`, `regions`, `sets`, `revoked`
    fleet.toml:4:10: error: `EU` is no name: expected 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit
    fleet.toml:5:11: error: `de` is no country code of ISO 3166-1
      help: did you mean `DE`?
    fleet.toml:6:12: error: expected a number from -90 to 90, found 91
    fleet.toml:7:13: error: expected a number from -180 to 180, found "east"
    fleet.toml:8:16: error: `b c` is no name: expected 1 to 63 letters, digits, `-`, `_` or `.`
    fleet.toml:8:23: error: `a` is written twice
    fleet.toml:9:1: error: missing key `country`
      help: add `country = "DE"`
    fleet.toml:9:1: error: missing key `longitude`
      help: add `longitude = 8.7`
    fleet.toml:10:1: error: unknown key `contry`
      help: did you mean `country`?
    fleet.toml:13:13: error: `UK` is no country code of ISO 3166-1
      help: did you mean `GB`?
    fleet.toml:13:19: error: `DE` is written twice
    fleet.toml:14:8: error: expected a list, found "DE"
      help: write `["DE"]`
    "#);
}

#[test]
fn an_empty_document_says_what_is_missing() {
    assert_snapshot!(errors(""), @r#"
    fleet.toml:1:1: error: missing key `version`
      help: add `version = 1`
    fleet.toml:1:1: error: missing key `mesh`
      help: add `mesh = "example"`
    fleet.toml:1:1: error: missing key `regions`
      help: add `regions = { eu-central = { country = "DE", latitude = 50.1, longitude = 8.7 } }`
    "#);
}

#[test]
fn counts_are_bounded() {
    let regions = |count: usize| {
        let region = |at| format!("r{at} = {{ country = \"DE\", latitude = 0, longitude = 0 }}\n");
        (0..count).map(region).collect::<Vec<String>>().concat()
    };
    let text = |count| format!("version = 1\nmesh = \"m\"\n[regions]\n{}", regions(count));
    assert_eq!(warnings(&text(RegionSet::REGIONS_MAX)), "");
    assert!(errors(&text(RegionSet::REGIONS_MAX + 1)).ends_with("more than 256 regions"));

    let sets: Vec<String> = (0..=FleetDocument::SETS_MAX).map(|at| format!("S{at} = [\"DE\"]\n")).collect();
    assert!(errors(&format!("{}[sets]\n{}", text(1), sets.concat())).ends_with("more than 256 sets"));

    let nodes: Vec<String> = (0..=FleetDocument::REVOKED_MAX).map(|at| format!("\"n{at}\"")).collect();
    let found = errors(&format!("revoked = [{}]\n{}", nodes.join(","), text(1)));
    assert!(found.ends_with("more than 10000 items"), "{found}");
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let text = "version = 1\nmesh = \"m\"\n[regions]\na = { country = \"QQ\", latitude = 0, longitude = 0 }\n[sets]\nX = []\n";
    assert_snapshot!(warnings(text), @r"
    fleet.toml:4:17: warning: no country has the code `QQ`
      help: see ISO 3166-1 for the codes of countries
    fleet.toml:6:1: warning: `set:X` has no country
      help: add countries, or remove it
    ");
}

#[test]
fn the_digest_is_of_the_meaning() {
    let digest = |text: &str| check_fleet(&Source::new("x", text)).0.unwrap().digest();
    let same =
        FLEET.replace("\"DE\", \"FR\"", "'FR', # France\n  'DE'").replace("version = 3", "version = 0x3");
    assert_eq!(digest(FLEET), digest(&same));
    for (old, new) in [
        ("version = 3", "version = 4"),
        ("\"test\"", "\"rest\""),
        ("\"DE\", \"FR\"", "\"DE\", \"AT\""),
        ("47.4", "47.5"),
        ("\"sovereign\"", "\"sovereign\", \"x\""),
        ("\"eu-1\"", "\"eu-2\""),
    ] {
        assert_ne!(digest(FLEET), digest(&FLEET.replace(old, new)), "{old}");
    }
}

#[test]
fn names_of_a_broken_document_are_known_unless_its_text_is() {
    let page = Page::new("fleet.toml");
    let wrong = FLEET.replace("latitude = 47.4", "latitude = 470");
    let reading = read(&Source::new("fleet.toml", wrong), &page);
    assert!(reading.document.is_none());
    assert_eq!(reading.names.unwrap().regions.len(), 5);

    let page = Page::new("fleet.toml");
    let broken = FLEET.replace("[sets]", "[sets");
    assert!(read(&Source::new("fleet.toml", broken), &page).names.is_none());
}
