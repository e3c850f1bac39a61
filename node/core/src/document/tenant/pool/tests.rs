//! What pools say: every key, its default, and what is wrong at its place.

use insta::assert_snapshot;

use crate::document::testing::shown;
use crate::document::{Source, check_tenant};
use crate::policy::{
    Backend, BackendHost, BackendTls, Balance, CheckKind, EjectionRule, HashKey, Pool, PoolLimits, Protocol,
    RetryRule,
};
use std::time::Duration;

/// A tenant's document with this in `[pools.de]`.
fn source(pool: &str) -> Source {
    let head =
        "version = 1\nid = \"a\"\nmatch = [{ host = \"a.example\" }]\nresidency = { allow = [\"any\"] }\n";
    Source::new("a.toml", format!("{head}[pools.de]\n{pool}\n"))
}

fn pool(text: &str) -> Pool {
    let (document, found) = check_tenant(&source(text), None);
    let document = document.unwrap_or_else(|| panic!("{}", shown(&found)));
    document.pools[&"de".parse().unwrap()].value.clone()
}

fn errors(text: &str) -> String {
    let (document, found) = check_tenant(&source(text), None);
    assert!(document.is_none(), "no error in {text}");
    shown(&found).replace("a.toml:", "")
}

#[test]
fn a_pool_that_says_nothing_else_has_the_defaults() {
    let defaults = Pool::of(["10.0.0.1:80".parse().unwrap()]);
    assert_eq!(pool("backends = [\"10.0.0.1:80\"]"), defaults);
    assert_eq!(pool("backends = [\"10.0.0.1:80\"]\nejection = {}\nlimits = {}\nretry = {}"), defaults);
}

#[test]
fn backends_are_addresses_or_names_with_or_without_a_weight() {
    let read =
        pool(r#"backends = ["[fd00::7]:80", "API.internal:8080", { address = "b.internal:1", weight = 9 }]"#);
    let named = |name: &str, port, weight| Backend { host: BackendHost::Name(name.into()), port, weight };
    let v6 = Backend::from("[fd00::7]:80".parse::<std::net::SocketAddr>().unwrap());
    assert_eq!(read.backends, [v6, named("api.internal", 8080, 1), named("b.internal", 1, 9)]);
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let read = pool(
        r#"backends = ["10.0.0.1:80"]
balance = "maglev"
hash = "cookie:session"
protocol = "http2"
tls = { name = "Backend.example", ca = "ca/backends.pem" }
check = { kind = "grpc", service = "acme.Shop", host = "shop.example", interval = "10s", timeout = "2s", fall = 1, rise = 1 }
ejection = { failures = 3, base = "5s", max = "20s", panic_percent = 0 }
limits = { requests_max = 10, connecting_max = 2 }
retry = { retries_max = 0, backoff = "1s" }
connect_timeout = "2s"
response_timeout = "3s""#,
    );
    let seconds = Duration::from_secs;
    let tls = BackendTls { name: "backend.example".into(), authorities: Some("ca/backends.pem".into()) };
    assert_eq!(read.balance, Balance::Maglev(HashKey::Cookie("session".into())));
    assert_eq!((read.protocol, read.tls.as_ref()), (Protocol::Http2, Some(&tls)));
    let check = read.check.unwrap();
    assert_eq!(
        check.kind,
        CheckKind::Grpc { service: "acme.Shop".into(), host: Some("shop.example".into()) }
    );
    assert_eq!((check.tls, check.interval, check.timeout), (Some(tls), seconds(10), seconds(2)));
    let rule = EjectionRule { failures: 3, base: seconds(5), max: seconds(20), panic_percent: 0 };
    assert_eq!(read.ejection, Some(rule));
    assert_eq!(read.limits, PoolLimits { requests_max: 10, connecting_max: 2 });
    assert_eq!(read.retry, RetryRule { retries_max: 0, backoff: seconds(1) });
    assert_eq!((read.connect_timeout, read.response_timeout), (seconds(2), seconds(3)));
}

#[test]
fn balances_have_their_names() {
    let balance = |text: &str| pool(&format!("backends = [\"10.0.0.1:80\"]\nbalance = {text}")).balance;
    assert_eq!(balance("\"peak-ewma\""), Balance::PeakEwma);
    assert_eq!(balance("\"least-requests\""), Balance::LeastRequests);
    assert_eq!(balance("\"round-robin\""), Balance::RoundRobin);
    assert_eq!(balance("\"weighted\""), Balance::Weighted);
    assert_eq!(balance("\"maglev\"\nhash = \"address\""), Balance::Maglev(HashKey::Address));
    let header = HashKey::Header(http::HeaderName::from_static("x-user"));
    assert_eq!(balance("\"maglev\"\nhash = \"header:X-User\""), Balance::Maglev(header));
}

#[test]
fn ejection_can_be_switched_off_and_slow_start_on() {
    let read = pool("backends = [\"10.0.0.1:80\"]\nejection = false\nslow_start = \"30s\"");
    assert_eq!((read.ejection, read.slow_start), (None, Duration::from_secs(30)));
}

#[test]
fn a_check_that_names_nobody_is_the_same_for_every_tenant() {
    let address = "10.0.0.1:80".parse().unwrap();
    let host = |more: &str| {
        let check = pool(&format!("backends = [\"{address}\"]\n{more}")).check.unwrap();
        check.kind.host(address).unwrap().into_owned()
    };
    assert_eq!(host("check = {}"), "10.0.0.1:80");
    assert_eq!(host("protocol = \"http2\"\ncheck = { kind = \"grpc\" }"), "10.0.0.1:80");
    assert_eq!(host("tls = { name = \"backend.internal\" }\ncheck = {}"), "backend.internal");
    assert_eq!(host("check = { host = \"Shop.example\" }"), "shop.example");
}

#[test]
fn a_tcp_check_asks_for_nothing_but_a_connection() {
    let text = "backends = [\"10.0.0.1:80\"]\ntls = { name = \"a.example\" }\ncheck = { kind = \"tcp\" }";
    let check = pool(text).check.unwrap();
    assert_eq!((check.kind, check.tls), (CheckKind::Tcp, None));
}

#[test]
fn what_does_not_fit_together_is_said_at_its_place() {
    assert_snapshot!(errors("backends = [\"10.0.0.1:80\"]\nbalance = \"maglev\""), @r#"
    7:11: error: `maglev` without a key
      help: add `hash = "address"`, `"header:NAME"` or `"cookie:NAME"`
    "#);
    assert_snapshot!(errors("backends = [\"10.0.0.1:80\"]\nhash = \"address\""), @r#"
    7:1: error: `hash` without `balance = "maglev"`
      help: add it, or leave `hash` out
    "#);
    assert_snapshot!(errors("backends = [{ address = \"10.0.0.1:80\", weight = 2 }]\nbalance = \"round-robin\""), @r#"
    6:13: error: a weight in a round robin
      help: use `balance = "weighted"`, or leave the weight out
    "#);
    let keyed = "backends = [\"10.0.0.1:80\"]\nbalance = \"maglev\"\nhash = \"address\"\nslow_start = \"1s\"";
    assert_snapshot!(errors(keyed), @r#"
    9:14: error: `slow_start` where a key chooses the backend
      help: leave it out, or use another `balance`
    "#);
    assert_snapshot!(errors("backends = [\"10.0.0.1:80\"]\ncheck = { kind = \"tcp\", path = \"/up\" }"), @r"
    7:25: error: `path` in a check of kind `tcp`
      help: leave it out
    ");
    assert_snapshot!(errors("backends = [\"10.0.0.1:80\"]\nejection = { base = \"10m\" }"), @r"
    7:21: error: the first time out is longer than the longest
      help: shorten `base`, or lengthen `max`
    ");
}

#[test]
fn what_is_wrong_in_itself_is_said_at_its_place() {
    let text = r#"backends = ["10.0.0.300:80", "*.internal:80", 7, { weight = 0 }, "a.internal:80", "A.internal:80"]
balance = "random"
hash = "query:x"
protocol = "h3"
tls = { name = "*.internal", ca = "../ca.pem" }
check = { kind = "ping", service = "a b" }
ejection = { failures = 0, panic_percent = 101 }
limits = { requests_max = 0 }
retry = { retries_max = 6, backoff = "0ms" }"#;
    assert_snapshot!(errors(text), @r#"
    6:13: error: expected an address or name and a port such as `10.0.0.7:8080`, `[fd00::7]:8080` or `api.internal:8080`, found `10.0.0.300:80`
    6:30: error: expected an address or name and a port such as `10.0.0.7:8080`, `[fd00::7]:8080` or `api.internal:8080`, found `*.internal:80`
    6:47: error: expected an address and port, or a table with `address` and `weight`, found 7
    6:50: error: missing key `address`
      help: add `address = "10.0.0.7:8080"`
    6:61: error: expected an integer from 1 to 1000, found 0
    6:83: error: `a.internal:80` is written twice
    7:11: error: expected one of `peak-ewma`, `least-requests`, `round-robin`, `weighted`, `maglev`, found `random`
    8:8: error: expected `address`, `header:NAME` or `cookie:NAME`, found `query:x`
    9:12: error: expected one of `http1`, `http2`, found `h3`
    10:16: error: expected one name, found a wildcard
    10:35: error: expected a file in the directory of the documents such as `ca/backends.pem`, without `..`, found `../ca.pem`
    11:18: error: expected one of `http`, `tcp`, `grpc`, found `ping`
    11:36: error: expected the name of a gRPC service, found `a b`
      help: leave it out to ask about the server as a whole
    12:25: error: expected an integer from 1 to 1000, found 0
    12:44: error: expected an integer from 0 to 100, found 101
    13:27: error: expected an integer from 1 to 1000000, found 0
    14:25: error: expected an integer from 0 to 5, found 6
    14:38: error: expected a duration from "1ms" to "1m", found "0ms"
    "#);
}
