//! Does the judge read rules and faults as their authors mean them.

use graticule_geo::Coordinates;

use super::*;
use crate::fleet::RegionPlan;
use crate::scenario::Receive;

const SECOND: Duration = Duration::from_secs(1);

fn fleet() -> FleetPlan {
    let region = |name: &str, country: &str| {
        RegionPlan::new(name, country.parse().unwrap(), Coordinates::new(0.0, 0.0).unwrap())
    };
    FleetPlan {
        regions: vec![region("frankfurt", "DE"), region("zurich", "CH"), region("boston", "US")],
        tenants: Vec::new(),
        requests_in_flight_max: 1,
        jitter: Duration::ZERO,
    }
}

fn reach(places: &[&str]) -> Reach {
    Reach(places.iter().map(|&place| place.to_owned()).collect())
}

fn permission(allow: &[&str], deny: &[&str], fallback: &[&[&str]]) -> Permission {
    Permission {
        allow: reach(allow),
        deny: reach(deny),
        fallback: fallback.iter().map(|tier| reach(tier)).collect(),
    }
}

fn rules(everybody: Permission) -> Rules {
    Rules { everybody, by_client: Vec::new(), unknown: Unknown::Refuse, home: None, receive: Receive::Any }
}

fn names(regions: BTreeSet<String>) -> Vec<String> {
    regions.into_iter().collect()
}

#[test]
fn fallbacks_count_and_deny_wins() {
    let rules = rules(permission(&["set:EU"], &["country:US"], &[&["country:CH"], &["any"]]));
    assert_eq!(names(permitted(&rules, &fleet(), Whereabouts::Nowhere)), ["frankfurt", "zurich"]);
}

#[test]
fn the_clients_country_decides_where_rules_ask_for_it() {
    let by_client = vec![(reach(&["set:EU"]), permission(&["set:EU"], &[], &[]))];
    let mut rules = Rules { by_client, ..rules(permission(&["country:US"], &[], &[])) };
    let of = |rules: &Rules, client| names(permitted(rules, &fleet(), client));
    assert_eq!(of(&rules, Whereabouts::In("FR".parse().unwrap())), ["frankfurt"]);
    assert_eq!(of(&rules, Whereabouts::In("JP".parse().unwrap())), ["boston"]);
    assert_eq!(of(&rules, Whereabouts::Nowhere), [""; 0]);
    (rules.unknown, rules.home) = (Unknown::Home, Some("zurich".to_owned()));
    assert_eq!(of(&rules, Whereabouts::Nowhere), ["zurich"]);
    assert_eq!(names(permitted_to_anybody(&rules, &fleet())), ["boston", "frankfurt", "zurich"]);
}

#[test]
fn a_part_is_sound_once_its_last_wound_has_long_been_closed() {
    let (mut truth, part) = (Truth::default(), [Part::Geo("n".to_owned())]);
    assert!(truth.is_sound(&part[0], None));
    truth.hurt(&part, 1, SECOND);
    truth.hurt(&part, 2, 2 * SECOND);
    truth.heal(&part, 2, 3 * SECOND);
    assert!(!truth.is_unhurt(&part[0]) && !truth.is_sound(&part[0], Some(9 * SECOND)), "one of two is open");
    truth.heal(&part, 1, 4 * SECOND);
    assert!(truth.is_unhurt(&part[0]));
    assert!(!truth.is_sound(&part[0], None) && !truth.is_sound(&part[0], Some(4 * SECOND)));
    assert!(truth.is_sound(&part[0], Some(5 * SECOND)));
}

#[test]
fn what_was_undone_before_its_fault_ended_is_not_healed_again_then() {
    let (mut truth, part) = (Truth::default(), [Part::Geo("n".to_owned())]);
    truth.hurt(&part, 1, SECOND);
    truth.cure(&part[0], 2 * SECOND);
    assert!(truth.is_unhurt(&part[0]));
    truth.heal(&part, 1, 9 * SECOND);
    assert!(truth.is_sound(&part[0], Some(3 * SECOND)));
}

#[test]
fn what_becomes_of_a_node_begins_and_ends_with_its_process_and_not_with_faults() {
    let (mut truth, part) = (Truth::default(), Part::Node("n".to_owned()));
    truth.befalls("n", SECOND, |life| life.leave(1, SECOND));
    assert!(!truth.is_unhurt(&part) && truth.speaks("n"));
    truth.befalls("n", 2 * SECOND, |life| life.hold(2, 2 * SECOND));
    assert!(!truth.speaks("n"));
    truth.befalls("n", 4 * SECOND, |life| life.release(2));
    assert!(!truth.is_unhurt(&part), "it has not started yet");
    truth.befalls("n", 5 * SECOND, Life::start);
    assert!(truth.is_unhurt(&part) && !truth.is_sound(&part, Some(5 * SECOND)));
    assert!(truth.is_sound(&part, Some(6 * SECOND)));
    assert_eq!(truth.last_changes(), (Some(SECOND), Some(5 * SECOND)));
}

#[test]
fn a_document_counts_from_its_writing_and_the_one_before_until_then() {
    let mut truth = Truth::default();
    for (at, allow) in [(0, "any"), (5, "set:EU"), (9, "country:DE")] {
        truth.set_rules("n", "t", rules(permission(&[allow], &[], &[])), at * SECOND);
    }
    let known = |since| truth.rules_since("n", "t", since * SECOND).len();
    assert_eq!([known(0), known(4), known(5), known(8), known(9), known(20)], [3, 3, 2, 2, 1, 1]);
}

#[test]
fn a_partition_hurts_both_directions_between_groups_and_none_within() {
    let group = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let parts = parts_of(&Fault::Partition { groups: vec![group(&["a", "b"]), group(&["c"])] });
    let way = |from: &str, to: &str| Part::Way(from.to_owned(), to.to_owned());
    let mut expected = vec![way("a", "c"), way("b", "c"), way("c", "a"), way("c", "b")];
    expected.sort();
    let mut parts = parts;
    parts.sort();
    assert_eq!(parts, expected);
}
