//! Is a scenario read as it was meant, and is everything that is wrong with it said at its place.

use super::*;

const SMALL: &str = r#"
title = "A region is lost"
duration = "60s"

[regions.eu-central]
country = "DE"
latitude = 50.1
longitude = 8.7
labels = ["europe"]
nodes = 2

[regions.us-east]
country = "US"
latitude = 39.0
longitude = -77.5

[tenants.berlin]
pools = ["region:eu-central"]
residency = { allow = ["set:EU"] }

[load.steady]
tenant = "berlin"
edges = ["any"]
per_second = 10

[[fault]]
kind = "crash"
at = "10s"
for = "1s"
every = "5s"
until = "22s"
nodes = ["label:europe"]

[[objective]]
kind = "availability"
tenant = "berlin"
least = 0.9
"#;

fn parse_text(text: &str) -> (Option<Scenario>, Vec<String>) {
    let (scenario, found) = Scenario::parse("small", &Source::new("small.toml", text));
    (scenario, found.iter().map(ToString::to_string).collect())
}

/// What is reported when `from` is replaced by `to`.
#[track_caller]
fn broken(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from}");
    let (scenario, found) = parse_text(&SMALL.replace(from, to));
    assert!(scenario.is_none());
    found
}

#[test]
fn selectors_become_nodes_and_repetitions_moments() {
    let (scenario, found) = parse_text(SMALL);
    assert_eq!(found, [""; 0]);
    let scenario = scenario.unwrap();
    let Fault::Crash { nodes, disk } = &scenario.faults[0].fault else { panic!("{:?}", scenario.faults) };
    assert_eq!(
        (nodes.as_slice(), *disk),
        (&["eu-central-1".to_owned(), "eu-central-2".to_owned()][..], DiskFate::Kept)
    );
    let times: Vec<_> = scenario
        .occurrences()
        .iter()
        .map(|found| (found.at.as_secs(), found.ends.unwrap().as_secs()))
        .collect();
    assert_eq!(times, [(10, 11), (15, 16), (20, 21)]);
    assert_eq!(scenario.last_change(), Duration::from_secs(21));
    assert_eq!(scenario.loads[0].edges.len(), 3);
    assert_eq!(scenario.objectives[0].demand, Demand::Availability { least: 0.9 });
    assert_eq!(scenario.loads[0].timeout, Duration::from_secs(10), "unless another is written");
}

#[test]
fn what_is_wrong_is_said_with_line_and_column() {
    assert_eq!(
        broken("kind = \"crash\"", "kind = \"crush\""),
        ["small.toml:27:8: error: unknown kind of fault `crush`\n  help: did you mean `crash`?",]
    );
    assert_eq!(
        broken("nodes = [\"label:europe\"]", "nodes = [\"eu-central-3\"]"),
        [
            "small.toml:32:10: error: unknown node or place `eu-central-3`\n  help: did you mean `eu-central-1`?"
        ]
    );
    assert_eq!(
        broken("tenant = \"berlin\"\nedges", "tenant = \"bern\"\nedges"),
        ["small.toml:22:10: error: unknown tenant `bern`\n  help: there is `berlin`"]
    );
    assert_eq!(
        broken("least = 0.9", "least = 0.9\nwithin = \"1s\""),
        [
            "small.toml:38:1: error: `availability` has no key `within`\n  help: there is `kind`, `tenant`, `load`, `from`, `until`, `least`"
        ]
    );
    assert_eq!(
        broken("for = \"1s\"", "for = \"6s\""),
        [
            "small.toml:30:9: error: it begins again before it has ended\n  help: make `for` shorter than `every`"
        ]
    );
}

#[test]
fn what_requests_cannot_be_made_of_is_an_error() {
    for name in ["two words", "<b>", "a/b", "a#b", "ü"] {
        let found = broken("[load.steady]", &format!("[load.\"{name}\"]"));
        assert!(found[0].starts_with("small.toml:21:"), "{found:?}");
        assert!(found[0].contains(&format!("a load cannot be called `{name}`")), "{found:?}");
    }
    for path in ["/a b", "/<a>", "/a\\\"b", "/a#b", "a", "/ü", "/a?rehearsal=steady/1"] {
        let found = broken("per_second = 10", &format!("per_second = 10\npath = \"{path}\""));
        assert!(found[0].starts_with("small.toml:25:8: error: "), "{found:?}");
    }
    let (scenario, found) =
        parse_text(&SMALL.replace("per_second = 10", "per_second = 10\npath = \"/a%20b;v=1/?c=d&e\""));
    assert!(scenario.is_some(), "{found:?}");
}

#[test]
fn backends_cannot_be_down_for_one_tenant() {
    let fault = "kind = \"backends\"\nregions = [\"any\"]\ntenant = \"berlin\"\ndown = true";
    let found = broken("kind = \"crash\"", fault);
    let expected = "small.toml:29:10: error: a backend refuses connections";
    assert!(found.iter().any(|found| found.starts_with(expected)), "{found:?}");
}

#[test]
fn nobody_can_agree_within_no_time() {
    let found = broken("duration = \"60s\"", "duration = \"60s\"\nconvergence = \"0s\"");
    assert!(found[0].starts_with("small.toml:4:15: error: "), "{found:?}");
}

#[test]
fn a_last_fault_without_time_to_settle_is_warned_of() {
    let (scenario, found) = parse_text(&SMALL.replace("60s", "30s"));
    assert!(scenario.is_some());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("small.toml:3:12: warning:"), "{found:?}");
}

#[test]
fn what_would_never_happen_is_an_error() {
    let ended =
        "it never begins: the scenario ends at 60s\n  help: let it begin earlier, or lengthen `duration`";
    assert_eq!(
        broken("at = \"10s\"", "at = \"60s\""),
        [
            format!("small.toml:28:6: error: {ended}"),
            "small.toml:31:9: error: it ends at 22s, and begins at 60s\n  help: let `until` be after `at`"
                .to_owned(),
        ]
    );
    assert_eq!(
        broken("per_second = 10", "per_second = 10\nfrom = \"90s\""),
        [format!("small.toml:25:8: error: {ended}")]
    );
    let nothing = "it ends at 9s, and begins at 9s\n  help: let `until` be after `from`";
    assert_eq!(
        broken("per_second = 10", "per_second = 10\nfrom = \"9s\"\nuntil = \"9s\""),
        [format!("small.toml:26:9: error: {nothing}")]
    );
    assert_eq!(
        broken("least = 0.9", "least = 0.9\nfrom = \"9s\"\nuntil = \"9s\""),
        [format!("small.toml:39:9: error: {nothing}")]
    );
    let surge = "per_second = 10\nuntil = \"9s\"\nsurge = { at = \"9s\", per_second = 20, hold = \"1s\" }";
    assert_eq!(
        broken("per_second = 10", surge),
        ["small.toml:26:16: error: it never begins: the load ends at 9s\n  \
         help: let it begin earlier, or the load end later"]
    );
}

#[test]
fn what_fits_into_no_machine_is_an_error_and_is_never_counted_out() {
    let often = ("every = \"5s\"\nuntil = \"22s\"", "every = \"1ms\"\nuntil = \"24h\"");
    let found = broken(often.0, often.1);
    assert!(found[0].contains("begin more than 10000 times"), "{found:?}");
    let found = broken("per_second = 10", "per_second = 100000\nbody_bytes = 16777216");
    assert!(found[0].contains("bytes of bodies a second"), "{found:?}");
    let day = SMALL.replace("duration = \"60s\"", "duration = \"24h\"");
    let (_, found) = parse_text(&day.replace("per_second = 10", "per_second = 1000"));
    assert!(found[0].contains("86400000 requests"), "{found:?}");
    let surge = "per_second = 0.001\nsurge = { at = \"1h\", per_second = 100000, hold = \"60s\" }";
    let (_, found) = parse_text(&day.replace("per_second = 10", surge));
    assert!(found[0].contains("a surge so high"), "{found:?}");
    let region =
        |at| format!("\n[regions.x{at}]\ncountry = \"DE\"\nlatitude = 1\nlongitude = 1\nnodes = 200");
    let found = broken("nodes = 2", &(0..10).map(region).fold("nodes = 2".to_owned(), |all, one| all + &one));
    assert!(found[0].contains("at most 2000 nodes in all regions, found 2003"), "{found:?}");
}

#[test]
fn a_surge_comes_however_rare_requests_are_before_it() {
    let surge = "per_second = 0.05\nsurge = { at = \"10s\", per_second = 500, hold = \"10s\" }";
    let (scenario, found) = parse_text(&SMALL.replace("per_second = 10", surge));
    let scenario = scenario.unwrap_or_else(|| panic!("{found:?}"));
    for seed in 1..20 {
        let mut chance = crate::chance::generator(seed, crate::chance::Purpose::Load, &[0]);
        let moments: Vec<_> = scenario.loads[0].moments(&mut chance).collect();
        let in_surge = moments.iter().filter(|at| (10..20).contains(&at.as_secs())).count();
        assert!((4_700..5_300).contains(&in_surge), "{in_surge}");
        assert!(moments.len() - in_surge < 20 && moments.is_sorted(), "{}", moments.len());
    }
}

#[test]
fn objectives_about_no_request_are_errors() {
    let other = "[tenants.other]\npools = [\"any\"]\nresidency = { allow = [\"any\"] }\n\n[load.steady]";
    let text = SMALL.replace("[load.steady]", other);
    let text = text.replace("tenant = \"berlin\"\nleast", "load = \"steady\"\ntenant = \"other\"\nleast");
    assert_eq!(
        parse_text(&text).1,
        ["small.toml:40:8: error: the load `steady` is of the tenant `berlin`, not of `other`\n  \
         help: leave `tenant` out"]
    );
    let refusals = "kind = \"refusals\"\nonly = [\"no-answer\", \"over-loaded\", \"bad luck\"]";
    let text = SMALL.replace("kind = \"availability\"", refusals).replace("least = 0.9\n", "");
    assert_eq!(
        parse_text(&text).1,
        [
            "small.toml:36:22: error: unknown reason `over-loaded`\n  help: did you mean `overloaded`?",
            "small.toml:36:37: error: unknown reason `bad luck`\n  \
         help: docs/refusals.md lists them; besides, there is `no-answer`",
        ]
    );
}

#[test]
fn what_nodes_would_refuse_is_told_where_it_is_written() {
    let nowhere = "nodes refuse this tenant: these rules permit no region of the fleet\n  \
                   help: permit a country, set or label that a region is in, and do not deny all of them";
    assert_eq!(
        broken("allow = [\"set:EU\"]", "allow = [\"set:EU\"], deny = [\"set:EU\"]"),
        [format!("small.toml:19:13: error: {nowhere}")]
    );
    assert_eq!(
        broken("allow = [\"set:EU\"]", "allow = [\"set:EU\"], home = \"us-east\""),
        [
            "small.toml:19:13: error: nodes refuse this tenant: the home region `us-east` is not permitted by these \
         rules\n  help: choose a region that `allow` or `fallback` permits"
        ]
    );
    let document = "kind = \"document\"\ntenant = \"berlin\"\nresidency = { allow = [\"country:FR\"] }";
    assert_eq!(broken("kind = \"crash\"", document), [format!("small.toml:29:13: error: {nowhere}")]);
    let long = "a".repeat(62);
    assert_eq!(
        parse_text(&SMALL.replace("us-east", &long)).1,
        [format!(
            "small.toml:12:10: error: no node can be called `{long}-1`: names have at most 63 characters\n  \
         help: give the region a shorter name"
        )]
    );
}

#[test]
fn what_is_wrong_with_one_entry_is_not_said_again_of_those_who_name_it() {
    let region = "country = \"DE\"\nlatitude = 50.1";
    assert_eq!(
        broken(region, "country = \"DE\"\nlatitude = 150.1"),
        ["small.toml:7:12: error: expected a number from -90 to 90, found 150.1"]
    );
    assert_eq!(
        broken(region, "country = \"XX\"\nlatitude = 50.1"),
        [
            "small.toml:6:11: error: no country has the code `XX`\n  help: see ISO 3166-1 for the codes of countries"
        ]
    );
    assert_eq!(
        broken("[regions.eu-central]", "[regions.EU_Central]"),
        [
            "small.toml:5:10: error: `EU_Central` is no name: expected 1 to 63 of a-z, 0-9 and `-`, beginning and \
         ending with a letter or digit\n  help: write `eu-central`"
        ]
    );
    assert_eq!(
        broken("allow = [\"set:EU\"]", "alow = [\"set:EU\"]"),
        [
            "small.toml:19:13: error: missing key `allow`\n  help: add `allow = [\"set:EU\"]`",
            "small.toml:19:15: error: unknown key `alow`\n  help: did you mean `allow`?",
        ]
    );
    assert_eq!(
        broken("tenant = \"berlin\"\nleast = 0.9", "load = \"steady\"\nlest = 0.9\nleast = 90"),
        [
            "small.toml:37:1: error: unknown key `lest`\n  help: did you mean `least`?",
            "small.toml:38:9: error: expected a number from 0 to 1, found 90\n  help: write 0.9",
        ]
    );
    let text = SMALL.replace("tenant = \"berlin\"\nleast", "load = \"steady\"\nleast");
    let found = parse_text(&text.replace("per_second = 10", "per_second = -1")).1;
    assert_eq!(found, ["small.toml:24:14: error: expected a number from 0.001 to 100000, found -1"]);
}

#[test]
fn selectors_that_fit_nothing_are_told_what_would() {
    let nodes = |selector: &str| {
        let found = broken("nodes = [\"label:europe\"]", &format!("nodes = [\"{selector}\"]"));
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].strip_prefix("small.toml:32:10: error: ").unwrap().to_owned()
    };
    assert_eq!(nodes("us-east"), "unknown node or place `us-east`\n  help: did you mean `region:us-east`?");
    assert_eq!(nodes("region:us-east-1"), "unknown region `us-east-1`\n  help: did you mean `us-east`?");
    assert_eq!(
        nodes("country:UK"),
        "`UK` is no country code of ISO 3166-1\n  help: did you mean `country:GB`?"
    );
    assert_eq!(nodes("set:EUU"), "unknown set `EUU`\n  help: did you mean `EU`?");
    assert_eq!(nodes("label:asia"), "unknown label `asia`\n  help: there is `europe`");
    assert_eq!(
        nodes("country:FR"),
        "no region is in `country:FR`\n  help: regions are in `country:DE`, `country:US`"
    );
    assert_eq!(
        nodes("zone:a"),
        "`zone:a` selects nothing\n  help: write a node's name, `region:x`, `country:DE`, `set:EU`, `label:x` or `any`"
    );
    assert_eq!(
        broken("edges = [\"any\"]", "edges = []"),
        ["small.toml:23:9: error: nobody is meant\n  help: write `[\"region:eu-central\"]`, or `[\"any\"]`"]
    );
    assert_eq!(
        broken("pools = [\"region:eu-central\"]", "pools = [\"eu-central\"]"),
        [
            "small.toml:18:10: error: unknown region or place `eu-central`\n  help: did you mean `region:eu-central`?"
        ]
    );
}

#[test]
fn rules_speak_of_places_and_home_of_a_region() {
    let rules = |written: &str| {
        let found = broken("allow = [\"set:EU\"]", written);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].split_once("error: ").unwrap().1.to_owned()
    };
    assert!(
        rules("allow = [\"region:eu-central\"]")
            .starts_with("`region:eu-central` is no place: rules speak of")
    );
    assert_eq!(rules("allow = [\"set:EUU\"]"), "unknown set `EUU`\n  help: did you mean `EU`?");
    assert_eq!(rules("allow = [\"label:asia\"]"), "unknown label `asia`\n  help: there is `europe`");
    assert!(rules("allow = [\"country:XX\"]").starts_with("no country has the code `XX`"));
    assert_eq!(
        rules("allow = [\"country:de\"]"),
        "`de` is no country code of ISO 3166-1\n  help: did you mean `country:DE`?"
    );
    for home in ["region:eu-central", "eu-central-2"] {
        assert_eq!(
            rules(&format!("allow = [\"any\"], home = \"{home}\"")),
            format!("expected the name of a region, found `{home}`\n  help: write `eu-central`")
        );
    }
    assert_eq!(
        rules("allow = [\"any\"], receive = \"allow\""),
        "expected one of `any`, `allowed`, found `allow`\n  help: did you mean `allowed`?"
    );
}

#[test]
fn what_the_scenario_does_not_have_is_asked_for_in_its_own_file() {
    let text = SMALL.replace("tenant = \"berlin\"\nleast", "load = \"steady\"\nleast");
    let load = &text[text.find("[load.steady]").unwrap()..text.find("[[fault]]").unwrap()];
    let found = parse_text(&text.replace(load, "")).1;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with("error: unknown load `steady`\n  help: the scenario has no load yet: add one"),
        "{found:?}"
    );
    assert_eq!(
        broken("[[objective]]", "[objective]"),
        ["small.toml:34:1: error: there may be several of `objective`\n  help: write `[[objective]]`"]
    );
}
