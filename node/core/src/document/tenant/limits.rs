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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::check_tenant;
    use crate::document::testing::{shown, tenant};

    fn limits(table: &str) -> Result<RequestLimits, String> {
        let mut source = tenant("a", "allow = [\"any\"]");
        source.text = format!("limits = {{ {table} }}\n{}", String::from_utf8_lossy(&source.text)).into();
        let (document, diagnostics) = check_tenant(&source, None);
        document.map(|document| document.limits).ok_or_else(|| shown(&diagnostics))
    }

    #[test]
    fn limits_are_read_and_none_is_said_for_the_tenant() {
        assert_eq!(limits(""), Ok(RequestLimits::default()));
        let read = RequestLimits { body_bytes_max: Some(0), request_timeout: Some(Duration::from_secs(30)) };
        assert_eq!(limits("body_bytes_max = 0, request_timeout = \"30s\""), Ok(read));
    }

    #[test]
    fn what_is_no_limit_is_an_error() {
        for wrong in [
            "body_bytes_max = -1",
            "body_bytes_max = 1e9",
            "request_timeout = 30",
            "request_timeout = \"0s\"",
        ] {
            assert!(limits(wrong).unwrap_err().contains("tenants/a.toml:1:"), "{wrong}");
        }
    }

    #[test]
    fn limits_are_part_of_what_identifies_a_document() {
        let (some, none) =
            (RequestLimits { body_bytes_max: Some(1), ..RequestLimits::default() }, RequestLimits::default());
        assert_ne!(canonical(some).digest(), canonical(none).digest());
    }
}
