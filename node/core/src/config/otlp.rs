//! `[otlp]`: where traces and metrics are sent.

use super::mesh::HostAndPort;
use crate::document::page::Page;
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::{integer, number, text};

/// Where traces and metrics are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpConfig {
    /// The collector, which must be where the node's own region may send what it records.
    pub endpoint: HostAndPort,
    /// Of requests that come without a trace, the share that begins one: 0 to 1.
    pub traces_share: f64,
    /// Spans that are made in a second, whoever asks for them.
    pub spans_per_second_max: u32,
}

/// Reads the table.
pub(super) fn read(page: &Page, node: &Node) -> Option<OtlpConfig> {
    let table = Table::open(page, node, KEYS)?;
    let endpoint = table.required("endpoint", endpoint);
    let percent = table.or("traces_percent", TRACES_PERCENT, number(0.0..=100.0));
    let spans = table.or("spans_per_second_max", SPANS_PER_SECOND, integer(0..=SPANS_PER_SECOND_MOST));
    Some(OtlpConfig {
        endpoint: endpoint?.value,
        traces_share: percent / 100.0,
        spans_per_second_max: spans.unsigned_abs() as u32,
    })
}

fn endpoint(page: &Page, node: &Node) -> Option<HostAndPort> {
    let written = text(page, node)?;
    let authority = written.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let endpoint = authority.and_then(|authority| authority.parse().ok());
    if endpoint.is_none() {
        page.error_with(
            node.spot,
            "expected the address of a collector such as `http://127.0.0.1:4318`, without a path",
            "OTLP over HTTP, not encrypted: let a collector beside the node send it on",
        );
    }
    endpoint
}

const KEYS: &[Key] = &[
    key("endpoint", "\"http://127.0.0.1:4318\""),
    key("traces_percent", "1"),
    key("spans_per_second_max", "1000"),
];
const TRACES_PERCENT: f64 = 1.0;
const SPANS_PER_SECOND: i64 = 1_000;
/// As many as can wait until they are sent, once a second.
const SPANS_PER_SECOND_MOST: i64 = 4_096;
