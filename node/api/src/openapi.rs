//! The admin API as programs read it: in the form of `OpenAPI` 3.1, made of the table of paths and the types themselves.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::Route;
use crate::types::{
    Change, DrainQuery, Drained, Health, Node, Pool, Problem, Ready, Region, Reload, Tenant, Tunnel, Why,
    WhyQuery,
};

/// The description of the API, of this version of the software.
pub fn openapi(version: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for route in Route::ALL {
        let method = if route.is_change() { "post" } else { "get" };
        let operation = operation(route, &mut schemas);
        paths.insert(route.path().to_owned(), json!({ method: operation }));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Graticule admin API", "version": version },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: Route, schemas: &mut SchemaGenerator) -> Value {
    let (kind, answer) = answer(route, schemas);
    let content = json!({ kind: { "schema": answer } });
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({ "description": route.summary(), "content": content }));
    if route == Route::Ready {
        responses.insert("503".to_owned(), json!({ "description": "It does not", "content": content }));
    }
    let problem = json!({ "application/problem+json": { "schema": schemas.subschema_for::<Problem>() } });
    responses.insert("default".to_owned(), json!({ "description": "What is wrong", "content": problem }));
    let security = if route.is_open() { json!([]) } else { json!([{ "token": [] }]) };
    json!({
        "operationId": route.path().trim_start_matches("/v1").trim_matches('/').replace(['/', '.'], "-"),
        "summary": route.summary(),
        "parameters": parameters(route),
        "responses": responses,
        "security": security,
    })
}

fn answer(route: Route, schemas: &mut SchemaGenerator) -> (&'static str, Schema) {
    let json = "application/json";
    match route {
        Route::Health => (json, schemas.subschema_for::<Health>()),
        Route::Ready => (json, schemas.subschema_for::<Ready>()),
        Route::Nodes => (json, schemas.subschema_for::<Vec<Node>>()),
        Route::Regions => (json, schemas.subschema_for::<Vec<Region>>()),
        Route::Tenants => (json, schemas.subschema_for::<Vec<Tenant>>()),
        Route::Pools => (json, schemas.subschema_for::<Vec<Pool>>()),
        Route::Tunnels => (json, schemas.subschema_for::<Vec<Tunnel>>()),
        Route::Reloads => (json, schemas.subschema_for::<Vec<Reload>>()),
        Route::Why => (json, schemas.subschema_for::<Why>()),
        // Each event has one of these as its data.
        Route::Events => ("text/event-stream", schemas.subschema_for::<Change>()),
        Route::Drain | Route::Undrain => (json, schemas.subschema_for::<Vec<Drained>>()),
        Route::Metrics => ("text/plain", schemas.subschema_for::<String>()),
        Route::OpenApi => (json, Schema::from(true)),
    }
}

fn parameters(route: Route) -> Vec<Value> {
    match route {
        Route::Why => query::<WhyQuery>(),
        Route::Drain | Route::Undrain => query::<DrainQuery>(),
        _ => Vec::new(),
    }
}

/// The fields of a query's type, one parameter each.
fn query<T: JsonSchema>() -> Vec<Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let required = |name: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|known| known == name))
    };
    let fields = schema.get("properties").and_then(Value::as_object);
    let parameter = |(name, schema): (&String, &Value)| json!({ "name": name, "in": "query", "required": required(name), "schema": schema });
    fields.into_iter().flatten().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_described_with_its_method_and_a_schema_that_is_there() {
        let document = openapi("1.2.3");
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), Route::ALL.len());
        for route in Route::ALL {
            let method = if route.is_change() { "post" } else { "get" };
            assert!(paths[route.path()][method].is_object(), "{}", route.path());
        }
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#/components/schemas/").skip(1);
        let named: Vec<_> = references.map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(named.len() > 10, "{text}");
        for name in named {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn of_a_query_only_what_must_be_given_is_required() {
        let parameters = parameters(Route::Why);
        let required: Vec<_> =
            parameters.iter().filter(|parameter| parameter["required"] == true).map(|p| &p["name"]).collect();
        assert_eq!(required, ["tenant"]);
        assert_eq!(parameters.len(), 4);
    }
}
