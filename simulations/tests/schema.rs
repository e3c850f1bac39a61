//! The schema of scenarios agrees with their reader: on every file that is there, and on what is none.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use graticule_node_core::document::Source;
use graticule_sim::generated;
use graticule_sim::scenario::Scenario;
use serde_json::Value;

fn schema() -> Value {
    serde_json::from_str(include_str!("../scenario.schema.json")).unwrap()
}

/// What the schema says against `value`: as much of JSON Schema as the schema uses, and a panic at anything else.
fn faults(whole: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, says) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$ref" => {
                let pointer = says.as_str().unwrap().trim_start_matches('#');
                found.extend(faults(whole, whole.pointer(pointer).unwrap(), value, at));
            }
            "type" => {
                let types = says.as_array().cloned().unwrap_or_else(|| vec![says.clone()]);
                if !types.iter().any(|name| is(value, name.as_str().unwrap())) {
                    found.push(format!("{at}: no {says}"));
                }
            }
            "oneOf" => {
                let tried = says.as_array().unwrap().iter().map(|branch| faults(whole, branch, value, at));
                let tried: Vec<_> = tried.collect();
                if tried.iter().filter(|faults| faults.is_empty()).count() != 1 {
                    found.push(format!("{at}: not one of the kinds: {tried:?}"));
                }
            }
            "const" if value != says => found.push(format!("{at}: not {says}")),
            "minItems" | "minProperties"
                if count(value).is_some_and(|count| count < says.as_u64().unwrap()) =>
            {
                found.push(format!("{at}: fewer than {says}"));
            }
            "maxItems" | "maxProperties"
                if count(value).is_some_and(|count| count > says.as_u64().unwrap()) =>
            {
                found.push(format!("{at}: more than {says}"));
            }
            "enum" if !says.as_array().unwrap().contains(value) => {
                found.push(format!("{at}: none of {says}"));
            }
            "minimum" if value.as_f64().is_some_and(|value| value < says.as_f64().unwrap()) => {
                found.push(format!("{at}: below {says}"));
            }
            "maximum" if value.as_f64().is_some_and(|value| value > says.as_f64().unwrap()) => {
                found.push(format!("{at}: above {says}"));
            }
            "$schema" | "$defs" | "title" | "description" | "properties" | "enum" | "minimum" | "maximum"
            | "const" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {}
            "pattern" => {
                let text = value.as_str().unwrap_or_default();
                let fits = match says.as_str().unwrap() {
                    "^[A-Z]{2}$" => text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
                    "^[0-9]+(ms|s|m|h)$" => {
                        let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
                        unit.len() < text.len() && ["ms", "s", "m", "h"].contains(&unit)
                    }
                    other => panic!("the test knows no pattern {other}"),
                };
                found.extend((!fits).then(|| format!("{at}: does not match {says}")));
            }
            "required" => {
                let missing =
                    says.as_array().unwrap().iter().filter(|key| value.get(key.as_str().unwrap()).is_none());
                found.extend(missing.map(|key| format!("{at}: without {key}")));
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(whole, says, item, &format!("{at}/{number}")));
                }
            }
            "additionalProperties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}/{key}");
                    match (schema.pointer(&format!("/properties/{key}")), says) {
                        (Some(known), _) => found.extend(faults(whole, known, item, &at)),
                        (None, Value::Bool(false)) => found.push(format!("{at}: unknown")),
                        (None, says) => found.extend(faults(whole, says, item, &at)),
                    }
                }
            }
            other => panic!("the test knows no keyword {other}"),
        }
    }
    found
}

/// How many items or keys it has.
fn count(value: &Value) -> Option<u64> {
    let length = value.as_array().map(Vec::len).or_else(|| value.as_object().map(serde_json::Map::len));
    length.map(|length| length as u64)
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the test knows no type {other}"),
    }
}

fn check(text: &str) -> Vec<String> {
    let value: Value =
        toml::from_str::<toml::Value>(text).map(|value| serde_json::to_value(value).unwrap()).unwrap();
    faults(&schema(), &schema(), &value, "")
}

fn files(directory: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    fs::read_dir(directory).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(entries) => {
                found.extend(entries.get("$ref").and_then(Value::as_str).map(str::to_owned));
                entries.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (schema, mut found) = (schema(), Vec::new());
    references(&schema, &mut found);
    assert!(found.len() > 10, "{found:?}");
    found.retain(|pointer| schema.pointer(pointer.trim_start_matches('#')).is_none());
    assert_eq!(found, [""; 0], "they lead nowhere");
}

#[test]
fn every_scenario_is_one_by_the_schema_too() {
    let written = ["scenarios", "regressions", "fleets"].into_iter().flat_map(files);
    for text in written.chain((0..50).map(generated::text)) {
        let (scenario, found) = Scenario::parse("file", &Source::new("file", text.clone()));
        assert!(scenario.is_some(), "{found:?}");
        assert_eq!(check(&text), [""; 0], "{text}");
    }
}

/// Keys are found by giving each table one that nobody has: the reader then names those that there are.
#[test]
fn reader_and_schema_know_the_same_keys() {
    let text = include_str!("../scenarios/region-lost.toml");
    let tables = [
        ("title =", "xyzzy = 1\ntitle =", "/properties"),
        ("[regions.eu-central]", "[regions.eu-central]\nxyzzy = 1", "/$defs/region/properties"),
        ("[tenants.union]", "[tenants.union]\nxyzzy = 1", "/$defs/tenant/properties"),
        ("[load.union]", "[load.union]\nxyzzy = 1", "/$defs/load/properties"),
    ];
    for (from, to, pointer) in tables {
        let broken = text.replacen(from, to, 1);
        let (scenario, found) = Scenario::parse("file", &Source::new("file", broken.clone()));
        assert!(scenario.is_none());
        let help = found.iter().find(|found| found.message.contains("xyzzy")).unwrap().help.clone().unwrap();
        let known: BTreeSet<_> = help.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let schema = schema();
        let properties = schema.pointer(pointer).unwrap().as_object().unwrap();
        // A long list is cut short by the reader.
        let odd: Vec<_> = known.iter().filter(|key| !properties.contains_key(*key)).collect();
        assert!(odd.is_empty() && known.len() >= 3, "{pointer}: {odd:?} of {known:?}");
        assert!(!check(&broken).is_empty(), "the schema lets an unknown key pass at {pointer}");
    }
}

/// The branches of `$defs/{table}`, each with its kind and its keys.
fn kinds(schema: &Value, table: &str) -> Vec<(String, BTreeSet<String>)> {
    let branches = schema.pointer(&format!("/$defs/{table}/oneOf")).unwrap().as_array().unwrap();
    let kind = |branch: &Value| {
        let properties = branch["properties"].as_object().unwrap();
        (properties["kind"]["const"].as_str().unwrap().to_owned(), properties.keys().cloned().collect())
    };
    branches.iter().map(kind).collect()
}

/// What the reader says of a table of faults or objectives with these lines.
fn read_with(table: &str, lines: &str) -> Vec<String> {
    let stage = include_str!("../src/run/first.toml");
    let text = format!("{stage}\n[[{table}]]\n{lines}\n");
    let (_, found) = Scenario::parse("file", &Source::new("file", text));
    found.into_iter().map(|found| format!("{} {}", found.message, found.help.unwrap_or_default())).collect()
}

#[test]
fn reader_and_schema_know_the_same_kinds_with_the_same_keys() {
    let schema = schema();
    for table in ["fault", "objective"] {
        let kinds = kinds(&schema, table);
        let said = read_with(table, "kind = \"xyzzy\"\nat = \"0s\"");
        let said = said.iter().find(|said| said.contains("unknown kind")).unwrap();
        let known = said.split('`').skip(3).step_by(2).map(str::to_owned);
        let names: BTreeSet<_> = kinds.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(known.collect::<BTreeSet<_>>(), names, "{said}");
        let all: BTreeSet<_> = kinds.iter().flat_map(|(_, keys)| keys).collect();
        for (kind, keys) in &kinds {
            for key in all.iter().filter(|key| **key != "kind") {
                let said = read_with(table, &format!("kind = \"{kind}\"\n{key} = []")).concat();
                let foreign = said.contains(&format!("`{kind}` has no key `{key}`"));
                assert!(
                    foreign != keys.contains(*key) && !said.contains("unknown key"),
                    "{kind}: {key}: {said}"
                );
            }
        }
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let text = include_str!("../scenarios/region-lost.toml");
    for (from, to) in [
        ("duration = \"60s\"", "duration = \"60\""),
        ("country = \"DE\"", "country = \"de\""),
        ("latitude = 50.11", "latitude = 95"),
        ("nodes = 3", "nodes = 0"),
        ("kind = \"crash\"", "kind = \"crush\""),
        ("least = 1", "least = 2"),
        ("at = \"20s\"", ""),
        ("kind = \"crash\"", "kind = \"crash\"\nloss = 0.5"),
        ("kind = \"availability\"\n", "kind = \"availability\"\nmost = 0.5\n"),
        ("only = [\"no-compliant-region\"]", "only = [\"no-complient-region\"]"),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text, "{from}");
        assert!(Scenario::parse("file", &Source::new("file", broken.clone())).0.is_none(), "{to}");
        assert!(!check(&broken).is_empty(), "{to}");
    }
}
