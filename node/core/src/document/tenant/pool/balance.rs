//! `balance` and `hash`: how a backend is chosen.

use http::HeaderName;

use crate::document::page::{At, Page, shortened};
use crate::document::table::Table;
use crate::document::tree::Node;
use crate::document::value::{one_of, text};
use crate::policy::{Backend, Balance, HashKey};

/// Reads both.
pub(super) fn read(page: &Page, table: &Table<'_>, backends: &[At<Backend>]) -> Balance {
    let written = table.optional("balance", one_of(KINDS));
    let key = table.optional("hash", hash);
    let kind = written.as_ref().map_or(Kind::PeakEwma, |at| at.value);
    // Which balance was meant is not known if it is written wrong.
    let known = written.is_some() || table.entry("balance").is_none();
    match (&kind, table.entry("hash").filter(|_| known)) {
        (Kind::Maglev, None) => {
            let spot = written.as_ref().map_or(table.spot, |at| at.spot);
            page.error_with(
                spot,
                "`maglev` without a key",
                "add `hash = \"address\"`, `\"header:NAME\"` or `\"cookie:NAME\"`",
            );
        }
        (Kind::Maglev, Some(_)) | (_, None) => {}
        (_, Some(entry)) => {
            page.error_with(
                entry.spot,
                "`hash` without `balance = \"maglev\"`",
                "add it, or leave `hash` out",
            );
        }
    }
    let weighted = backends.iter().find(|backend| backend.value.weight != 1);
    if let Some(At { spot, .. }) = weighted.filter(|_| kind == Kind::RoundRobin) {
        page.error_with(
            *spot,
            "a weight in a round robin",
            "use `balance = \"weighted\"`, or leave the weight out",
        );
    }
    match kind {
        Kind::PeakEwma => Balance::PeakEwma,
        Kind::LeastRequests => Balance::LeastRequests,
        Kind::RoundRobin => Balance::RoundRobin,
        Kind::Weighted => Balance::Weighted,
        Kind::Maglev => Balance::Maglev(key.map_or(HashKey::Address, |at| at.value)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    PeakEwma,
    LeastRequests,
    RoundRobin,
    Weighted,
    Maglev,
}

fn hash(page: &Page, node: &Node) -> Option<HashKey> {
    let written = text(page, node)?;
    let key = match written.split_once(':') {
        None if written == "address" => Some(HashKey::Address),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).ok().map(HashKey::Header),
        Some(("cookie", name)) if is_cookie_name(name) => Some(HashKey::Cookie(name.into())),
        _ => None,
    };
    if key.is_none() {
        let expected = "`address`, `header:NAME` or `cookie:NAME`";
        page.error(node.spot, format!("expected {expected}, found `{}`", shortened(&written)));
    }
    key
}

fn is_cookie_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=COOKIE_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(token)
}

pub(super) const MAGLEV: &str = "maglev";
const COOKIE_NAME_BYTES_MAX: usize = 128;

const KINDS: &[(&str, Kind)] = &[
    ("peak-ewma", Kind::PeakEwma),
    ("least-requests", Kind::LeastRequests),
    ("round-robin", Kind::RoundRobin),
    ("weighted", Kind::Weighted),
    (MAGLEV, Kind::Maglev),
];
