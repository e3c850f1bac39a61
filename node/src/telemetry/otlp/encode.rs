//! Spans and metrics in OTLP's JSON: protobuf's mapping, with ids in hexadecimal digits and 64-bit integers as strings.

use std::time::SystemTime;

use graticule_gossip_core::{NodeName, RegionName};
use graticule_node_core::metrics::{self as core, Family, Kind, Sample};
use graticule_node_core::outcome::Role;
use serde_json::{Map, Value, json};

use super::nanos;
use crate::shared::Span;

/// Who sends.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The node.
    pub node: NodeName,
    /// Its region.
    pub region: RegionName,
}

/// One request to `/v1/traces`.
pub(super) fn traces(resource: &Resource, spans: &[Span]) -> Value {
    let spans: Vec<_> = spans.iter().map(span).collect();
    json!({ "resourceSpans": [{ "resource": describe(resource), "scopeSpans": [{ "scope": scope(), "spans": spans }] }] })
}

/// One request to `/v1/metrics`: counters since the first time, gauges at the second.
pub(super) fn metrics(resource: &Resource, families: &[Family], times: (SystemTime, SystemTime)) -> Value {
    let times = (nanos(times.0), nanos(times.1));
    let metrics: Vec<_> = families.iter().map(|family| metric(family, &times)).collect();
    json!({ "resourceMetrics": [{ "resource": describe(resource), "scopeMetrics": [{ "scope": scope(), "metrics": metrics }] }] })
}

fn describe(resource: &Resource) -> Value {
    let attributes = [
        ("service.name", text("graticule")),
        ("service.version", text(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", text(resource.node.as_str())),
        ("cloud.region", text(resource.region.as_str())),
    ];
    json!({ "attributes": attributes.map(attribute) })
}

fn scope() -> Value {
    json!({ "name": "graticule", "version": env!("CARGO_PKG_VERSION") })
}

fn span(span: &Span) -> Value {
    let outcome = &span.outcome;
    let status = outcome.status;
    let known = known_method(&span.method);
    let mut attributes = vec![
        ("graticule.tenant", text(span.tenant.as_str())),
        ("graticule.role", text(outcome.role.label())),
        ("graticule.attempts", integer(outcome.attempts.into())),
        ("http.request.method", text(known.unwrap_or("_OTHER"))),
        ("server.address", text(&span.host)),
        ("url.path", text(&span.path)),
        ("http.request.body.size", integer(outcome.bytes_up)),
        ("http.response.body.size", integer(outcome.bytes_down)),
    ];
    attributes.extend(known.is_none().then(|| ("http.request.method_original", text(&span.method))));
    let version = span.protocol.version();
    attributes.extend(version.map(|version| ("network.protocol.version", text(version))));
    attributes.extend(status.map(|status| ("http.response.status_code", integer(status.into()))));
    attributes.extend(outcome.reason.map(|reason| ("error.type", text(reason.row().label))));
    attributes.extend(span.region.as_ref().map(|region| ("graticule.region", text(region.as_str()))));
    attributes.extend(span.accepted.map(|time| ("graticule.accepted_us", integer(time.as_micros() as u64))));
    if let Some((address, mask)) = span.client {
        let mut written = String::new();
        mask.write(address, &mut written);
        attributes.extend((!written.is_empty()).then(|| ("client.address", text(&written))));
    }
    let attributes: Vec<_> = attributes.into_iter().map(attribute).collect();
    let failed = status.is_none_or(|status| status >= 500) || !outcome.complete;
    let mut encoded = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": format!("{} {}", known.unwrap_or("HTTP"), match outcome.role { Role::Edge => "edge", Role::Serving => "serve" }),
        "kind": SERVER,
        "startTimeUnixNano": nanos(span.ended - outcome.total),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes,
        "status": { "code": if failed { ERROR } else { UNSET } },
    });
    if let Some(parent) = span.parent {
        encoded["parentSpanId"] = format!("{parent:016x}").into();
    }
    encoded
}

/// The method if it is one of those that the semantic conventions know: clients can send any word, and names of spans
/// must not be as many.
fn known_method(method: &str) -> Option<&str> {
    KNOWN_METHODS.contains(&method).then_some(method)
}

fn metric(family: &Family, times: &(String, String)) -> Value {
    let points: Vec<_> = family.samples.iter().map(|sample| point(sample, times)).collect();
    let mut metric = json!({ "name": family.name, "description": family.help });
    match family.kind {
        Kind::Gauge => metric["gauge"] = json!({ "dataPoints": points }),
        Kind::Counter => {
            metric["sum"] =
                json!({ "dataPoints": points, "isMonotonic": true, "aggregationTemporality": CUMULATIVE });
        }
        Kind::Histogram => {
            metric["unit"] = "s".into();
            metric["histogram"] = json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE });
        }
    }
    metric
}

fn point(sample: &Sample, (begun, now): &(String, String)) -> Value {
    let labels: Vec<_> = sample.labels.iter().map(|(name, value)| attribute((*name, text(value)))).collect();
    let mut point = Map::new();
    point.insert("attributes".to_owned(), labels.into());
    point.insert("startTimeUnixNano".to_owned(), begun.as_str().into());
    point.insert("timeUnixNano".to_owned(), now.as_str().into());
    match &sample.value {
        core::Value::Number(value) => {
            point.insert("asDouble".to_owned(), json!(value));
        }
        core::Value::Histogram { bounds_ms, counts, sum_us } => {
            let bounds: Vec<_> = bounds_ms.iter().map(|bound| *bound as f64 / 1_000.0).collect();
            let each: Vec<_> = counts.iter().map(ToString::to_string).collect();
            point.insert("count".to_owned(), counts.iter().sum::<u64>().to_string().into());
            point.insert("sum".to_owned(), json!(*sum_us as f64 / 1e6));
            point.insert("bucketCounts".to_owned(), each.into());
            point.insert("explicitBounds".to_owned(), bounds.into());
        }
    }
    point.into()
}

fn attribute((key, value): (&str, Value)) -> Value {
    json!({ "key": key, "value": value })
}

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

fn integer(value: u64) -> Value {
    json!({ "intValue": value.to_string() })
}

/// Those of RFC 9110 and 5789, and QUERY.
const KNOWN_METHODS: [&str; 10] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"];
/// Numbers of OTLP's enumerations.
const SERVER: u8 = 2;
const UNSET: u8 = 0;
const ERROR: u8 = 2;
const CUMULATIVE: u8 = 2;
