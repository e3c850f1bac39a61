//! `limits`: what every request of a tenant keeps to.

use std::time::Duration;

use crate::document::canonical::Canonical;
use crate::document::page::Page;
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::{duration, integer};
use crate::policy::RequestLimits;

/// Reads the table.
pub(super) fn read(page: &Page, node: &Node) -> Option<RequestLimits> {
    let table = Table::open(page, node, KEYS)?;
    let bytes = table.optional("body_bytes_max", integer(0..=BODY_BYTES_MAX));
    let timeout = table.optional("request_timeout", duration(TIMEOUT_MIN..=TIMEOUT_MAX));
    Some(RequestLimits {
        body_bytes_max: bytes.map(|at| at.value.unsigned_abs()),
        request_timeout: timeout.map(|at| at.value),
    })
}

pub(super) fn canonical(limits: RequestLimits) -> Canonical {
    let milliseconds = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let number = |number: u64| Canonical::default().number(number);
    Canonical::default()
        .maybe(limits.body_bytes_max.map(number))
        .maybe(limits.request_timeout.map(milliseconds).map(number))
}

const KEYS: &[Key] = &[key("body_bytes_max", "1048576"), key("request_timeout", "\"30s\"")];

/// 1 TiB.
const BODY_BYTES_MAX: i64 = 1 << 40;
const TIMEOUT_MIN: Duration = Duration::from_millis(1);
const TIMEOUT_MAX: Duration = Duration::from_hours(24);
