//! The description of the API against the API: every path, every answer.

use super::*;

/// What is wrong with `value` by `schema`; as much of JSON Schema as the types of the API use.
fn wrong(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return wrong(document, &document["components"]["schemas"][name], value);
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("a schema says {other}"),
    };
    if !kinds.iter().any(|kind| is(kind)) {
        return Some(format!("{value} is none of {kinds:?}"));
    }
    if let Some(items) = value.as_array() {
        return items.iter().find_map(|item| wrong(document, &schema["items"], item));
    }
    let fields = value.as_object()?;
    let known = schema["properties"].as_object().unwrap();
    let missing = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = missing.filter(|name| !fields.contains_key(*name)).map(|name| format!("no {name}")).next();
    let field = |(name, value): (&String, &Value)| match known.get(name) {
        None => Some(format!("{name} is not described")),
        Some(schema) => wrong(document, schema, value).map(|wrong| format!("{name}: {wrong}")),
    };
    missing.or_else(|| fields.iter().find_map(field))
}

#[test]
fn the_description_is_served_and_every_answer_is_as_it_says() {
    run(async {
        let server = start();
        let (status, document) = server.get("/openapi.json").await;
        assert_eq!((status, &document["openapi"]), (200, &"3.1.0".into()));
        let mut checked = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            let (method, operation) = operations.as_object().unwrap().iter().next().unwrap();
            let content = &operation["responses"]["200"]["content"];
            let Some(schema) = content.get("application/json").map(|json| &json["schema"]) else { continue };
            let query = if path == "/v1/why" { "?tenant=acme" } else { "" };
            let (status, answer) = server.ask(&method.to_uppercase(), &format!("{path}{query}")).await;
            assert_eq!(status, 200, "{path}");
            assert_eq!(wrong(&document, schema, &answer), None, "{path}");
            checked += 1;
        }
        assert!(checked >= 11, "{checked}");
    });
}

#[test]
fn errors_are_as_described_too() {
    run(async {
        let server = start();
        let (_, document) = server.get("/openapi.json").await;
        let described = &document["paths"]["/v1/why"]["get"]["responses"]["default"]["content"];
        let schema = &described["application/problem+json"]["schema"];
        let (status, problem) = server.get("/v1/why?tenant=nobody").await;
        assert_eq!((status, wrong(&document, schema, &problem)), (404, None));
    });
}

#[test]
fn the_judge_of_this_test_finds_what_is_wrong() {
    let document = serde_json::json!({});
    let schema = serde_json::json!({
        "type": "object", "required": ["a"],
        "properties": { "a": { "type": "integer" }, "b": { "type": ["string", "null"] } },
    });
    for (value, is_wrong) in [
        (serde_json::json!({"a": 1}), false),
        (serde_json::json!({"a": 1, "b": null}), false),
        (serde_json::json!({"b": "x"}), true),
        (serde_json::json!({"a": "1"}), true),
        (serde_json::json!({"a": 1, "c": 2}), true),
        (serde_json::json!([]), true),
    ] {
        assert_eq!(wrong(&document, &schema, &value).is_some(), is_wrong, "{value}");
    }
}

#[test]
fn metrics_are_a_page_for_prometheus() {
    run(async {
        let server = start();
        let answer =
            raw(server.address, "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
        assert!(answer.ends_with("graticule_ready 1\n"), "{answer}");
    });
}
