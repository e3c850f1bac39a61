//! Which requests go to which pools, as documents say it, and what is wrong with that.

use http::{HeaderMap, HeaderValue, Method};
use insta::assert_snapshot;

use crate::document::testing::{loaded, shown};
use crate::document::{Source, check_tenant};
use crate::policy::{Content, PoolIndex, Tenant};

const POOLS: &str = r#"
[pools]
de = { backends = ["10.0.0.1:80"] }
us = { backends = ["10.0.0.1:80"] }
[named_pools.canary]
de = { backends = ["10.0.0.2:80"] }
[named_pools.api]
de = { backends = ["10.0.0.3:80"] }
us = { backends = ["10.0.0.3:80"] }
"#;

fn source(content: &str) -> Source {
    let head = "version = 1\nid = \"a\"\nmatch = [{ host = \"a.example\" }]\n";
    let residency = "residency = { allow = [\"country:DE\", \"country:US\"] }\n";
    Source::new("a.toml", format!("{head}{residency}{content}{POOLS}"))
}

fn meant(content: &str) -> Tenant {
    (*loaded(&[source(content)]).policy.tenants[0]).clone()
}

fn found(content: &str) -> String {
    shown(&check_tenant(&source(content), None).1).replace("a.toml:", "")
}

/// The shares of a request, by the names of the pools.
fn shares(tenant: &Tenant, method: &Method, target: &str, canary: bool) -> Vec<(String, u32)> {
    let mut headers = HeaderMap::new();
    if canary {
        headers.insert("x-canary", HeaderValue::from_static("1"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let split = tenant.split_for(&Content { method, path, query, headers: &headers });
    let name = |pool: PoolIndex| tenant.pool_name(pool).map_or("default".to_owned(), ToString::to_string);
    split.shares().iter().map(|share| (name(share.pool), share.weight)).collect()
}

fn only(name: &str) -> Vec<(String, u32)> {
    vec![(name.to_owned(), 1)]
}

#[test]
fn the_first_rule_that_is_about_a_request_says_where_it_goes() {
    let tenant = meant(
        r#"
[[content]]
header = { name = "X-Canary", value = "1" }
methods = ["GET", "HEAD"]
pool = "canary"
[[content]]
path_prefix = "/api"
pool = "api"
[[content]]
query = { name = "v", value = "2" }
split = { default = 95, canary = 5, api = 0 }
"#,
    );
    assert_eq!(shares(&tenant, &Method::GET, "/api/x", true), only("canary"));
    assert_eq!(shares(&tenant, &Method::POST, "/api/x", true), only("api"));
    assert_eq!(shares(&tenant, &Method::POST, "/apis", true), only("default"));
    let split = shares(&tenant, &Method::POST, "/?a&v=2", false);
    assert_eq!(
        split.iter().map(|(name, weight)| (name.as_str(), *weight)).collect::<Vec<_>>(),
        [("canary", 5), ("default", 95)]
    );
    let regions = |index| tenant.regions_of(PoolIndex(index)).iter().count();
    assert_eq!([0, 1, 2].map(regions), [2, 2, 1], "unnamed, api, canary");
    let port = |index| {
        tenant
            .pool_at(tenant.regions_of(PoolIndex(2)).iter().next().unwrap(), PoolIndex(index))
            .unwrap()
            .backends[0]
            .to_string()
    };
    assert_eq!([0, 1, 2].map(port), ["10.0.0.1:80", "10.0.0.3:80", "10.0.0.2:80"]);
}

#[test]
fn a_pool_that_no_rule_names_is_a_warning() {
    assert_snapshot!(found("content = [{ pool = \"api\" }]\n"), @r#"
    10:14: warning: no content rule names the pool `canary`, so it is never used
      help: add `[[content]]` with `pool` or `split`, or remove the pool
    "#);
}

#[test]
fn what_is_wrong_with_a_rule_is_said_at_its_place() {
    let content = r#"
[[content]]
methods = ["get", 7]
header = { name = "connection", value = "x" }
query = { name = "a=b", value = "" }
pool = "cnary"
[[content]]
path_prefix = "api"
split = { default = 1, other = 2, canary = -1 }
[[content]]
path_prefix = "/a"
[[content]]
path_prefix = "/b"
pool = "api"
split = { api = 1, canary = 1 }
[[content]]
methods = []
pool = "api"
"#;
    assert_snapshot!(found(content), @r#"
    7:12: error: expected a method in capitals such as `GET`, found `get`
    7:19: error: expected a string, found 7
    8:19: error: `connection` belongs to one connection and cannot be matched
    9:18: error: expected 1 to 128 visible ASCII characters as they are sent, without `&`, `=`, `#`, found `a=b`
    9:33: error: expected 1 to 128 visible ASCII characters as they are sent, without `&`, `=`, `#`, found ``
    10:8: error: unknown pool `cnary`
      help: did you mean `canary`?
    12:15: error: expected a path that begins with `/`, found `api`
    13:24: error: unknown pool `other`
      help: there is `default`, `api`, `canary`
    13:44: error: expected an integer from 0 to 1000000, found -1
    14:1: error: this rule sends requests nowhere
      help: add `pool = ".."` or `split = { .. }`
    19:1: error: `pool` and `split` in one rule
      help: put every pool in `split`
    21:11: error: this rule is about no method
      help: add methods, or leave `methods` out
    "#);
}

#[test]
fn a_rule_behind_one_about_everything_is_an_error() {
    let content = "[[content]]\nsplit = { api = 1, canary = 0 }\n[[content]]\npath_prefix = \"/x\"\npool = \"canary\"\n";
    assert_snapshot!(found(content), @r#"
    7:1: error: no request gets as far as this rule
      help: the rule at 5:1 is about every request: move it to the end
    "#);
    assert_snapshot!(found("[[content]]\nsplit = { api = 0, canary = 0 }\n"), @r#"
    6:9: error: no pool has a share
      help: give one a weight above 0
    "#);
}

#[test]
fn a_rule_whose_methods_cannot_be_read_is_not_about_everything() {
    let content = "[[content]]\nmethods = [\"delete\"]\npool = \"api\"\n[[content]]\npool = \"canary\"\n";
    assert_snapshot!(found(content), @"6:12: error: expected a method in capitals such as `GET`, found `delete`");
}

#[test]
fn names_of_pools_are_checked() {
    let text = String::from_utf8(source("content = [{ pool = \"api\" }]\n").text).unwrap();
    let text = text
        .replace("[named_pools.canary]", "[named_pools.default]")
        .replace("[named_pools.api]", "[named_pools.\"A b\"]");
    let (_, found) = check_tenant(&Source::new("a.toml", text), None);
    assert_snapshot!(shown(&found).replace("a.toml:", ""), @r#"
    5:21: error: unknown pool `api`
      help: there is `default`
    10:14: error: a pool called `default`
      help: that is what content rules call `[pools]`: choose another name
    12:14: error: `A b` is no name: expected 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit
    "#);
}
