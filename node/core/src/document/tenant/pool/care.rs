//! `ejection`, `limits` and `retry`: how backends are spared, and clients spared their failures.

use std::time::Duration;

use super::{HOUR, MILLISECOND, MINUTE, is_off, spot_of};
use crate::document::page::Page;
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::{duration, integer};
use crate::policy::{EjectionRule, PoolLimits, RetryRule};

/// Reads `ejection`, which `false` switches off.
pub(super) fn ejection(pool: &Table<'_>) -> Option<EjectionRule> {
    let written = pool.entry("ejection").map(|entry| &entry.node);
    if written.is_some_and(is_off) {
        return None;
    }
    Some(pool.or("ejection", EjectionRule::default(), rule))
}

fn rule(page: &Page, node: &Node) -> Option<EjectionRule> {
    let table = Table::open(page, node, EJECTION_KEYS)?;
    let default = EjectionRule::default();
    let base = table.optional("base", duration(SECOND..=HOUR));
    let max = table.optional("max", duration(SECOND..=HOUR));
    let rule = EjectionRule {
        failures: table.or("failures", default.failures.into(), integer(1..=1_000)).unsigned_abs() as u32,
        base: base.as_ref().map_or(default.base, |at| at.value),
        max: max.as_ref().map_or(default.max, |at| at.value),
        panic_percent: table
            .or("panic_percent", default.panic_percent.into(), integer(0..=100))
            .unsigned_abs() as u32,
    };
    if rule.base > rule.max {
        let spot = spot_of(base.as_ref(), max.as_ref(), node.spot);
        page.error_with(
            spot,
            "the first time out is longer than the longest",
            "shorten `base`, or lengthen `max`",
        );
    }
    Some(rule)
}

/// Reads `limits`.
pub(super) fn limits(page: &Page, node: &Node) -> Option<PoolLimits> {
    let table = Table::open(page, node, LIMIT_KEYS)?;
    let default = PoolLimits::default();
    let limit =
        |key, default: u32| table.or(key, default.into(), integer(1..=1_000_000)).unsigned_abs() as u32;
    Some(PoolLimits {
        requests_max: limit("requests_max", default.requests_max),
        connecting_max: limit("connecting_max", default.connecting_max),
    })
}

/// Reads `retry`.
pub(super) fn retry(page: &Page, node: &Node) -> Option<RetryRule> {
    let table = Table::open(page, node, RETRY_KEYS)?;
    let default = RetryRule::default();
    Some(RetryRule {
        retries_max: table.or("retries_max", default.retries_max.into(), integer(0..=5)).unsigned_abs()
            as u32,
        backoff: table.or("backoff", default.backoff, duration(MILLISECOND..=MINUTE)),
    })
}

const EJECTION_KEYS: &[Key] =
    &[key("failures", "5"), key("base", "\"30s\""), key("max", "\"5m\""), key("panic_percent", "50")];
const LIMIT_KEYS: &[Key] = &[key("requests_max", "1024"), key("connecting_max", "256")];
const RETRY_KEYS: &[Key] = &[key("retries_max", "2"), key("backoff", "\"25ms\"")];

const SECOND: Duration = Duration::from_secs(1);
