//! A tenant's document is read whole, or everything that is wrong with it is said.

use insta::assert_snapshot;

use super::*;
use crate::document::testing::{shown, tenant, tenant_known_by};
use crate::document::{Documents, check_tenant};
use crate::policy::{CheckKind, Protocol};

fn errors(source: &Source) -> String {
    let (document, diagnostics) = check_tenant(source, None);
    assert!(document.is_none());
    shown(&diagnostics)
}

fn read(source: &Source) -> Arc<TenantDocument> {
    let (document, diagnostics) = check_tenant(source, None);
    document.unwrap_or_else(|| panic!("{}", shown(&diagnostics)))
}

/// The claims of a document that is known by `recognised`.
fn claims(recognised: &str) -> Vec<String> {
    let document = read(&tenant_known_by("a", recognised, "allow = [\"any\"]"));
    document.claims.iter().map(|claim| claim.value.to_string()).collect()
}

/// What is wrong with `recognised`, without the position of the file.
fn wrong_match(recognised: &str) -> String {
    let found = errors(&tenant_known_by("a", recognised, "allow = [\"any\"]"));
    found.replace("tenants/a.toml:", "")
}

fn wrong_rules(rules: &str) -> String {
    errors(&tenant("a", rules)).replace("tenants/a.toml:", "")
}

#[test]
fn every_host_of_a_match_is_a_claim() {
    assert_eq!(claims("host = \"A.example\""), ["host `a.example`"]);
    assert_eq!(
        claims("hosts = [\"a.example\", \"*.a.example\"]\npath_prefix = \"/x/\""),
        ["host `a.example`, path `/x`", "host `*.a.example`, path `/x`"]
    );
    assert_eq!(claims("header = { name = \"X-Tenant\", value = \"a\" }"), ["any host, header `x-tenant: a`"]);
    assert_eq!(claims("host = \"a\"\n[[match]]\npath_prefix = \"/\""), ["host `a`", "any host"]);
}

#[test]
fn what_is_wrong_with_a_match_is_said_at_its_place() {
    // The table [[match]] is line 3, what is in it begins in line 4.
    assert_snapshot!(wrong_match("host = \"a.example:80\""), @"4:8: error: expected a host without port");
    assert_snapshot!(wrong_match("hosts = [\"a\", \"b/c\"]"), @"4:15: error: expected a host alone, without scheme or path");
    assert_snapshot!(wrong_match("hosts = []"), @r"
    4:9: error: no host
      help: add one, or leave `hosts` out to match every host
    ");
    assert_snapshot!(wrong_match("host = \"a\"\nhosts = [\"b\"]"), @r"
    5:1: error: `host` and `hosts` in one match
      help: put every host in `hosts`
    ");
    assert_snapshot!(wrong_match(""), @r"
    3:1: error: this matches every request
      help: add `host`, `path_prefix` or `header`
    ");
    assert_snapshot!(wrong_match("hots = \"a\""), @r"
    3:1: error: this matches every request
      help: add `host`, `path_prefix` or `header`
    4:1: error: unknown key `hots`
      help: did you mean `host`?
    ");
}

#[test]
fn a_path_prefix_is_kept_as_paths_are_matched() {
    assert_eq!(claims("path_prefix = \"/%65u%2Fx%c3%a4/\""), ["any host, path `/eu/x%C3%A4`"]);
}

#[test]
fn what_is_wrong_with_a_path_or_header_is_said() {
    let path = |path: &str| wrong_match(&format!("path_prefix = \"{path}\""));
    assert_eq!(path("x"), "4:15: error: expected a path that begins with `/`, found `x`");
    for path in [path("/a//b"), path("/a/../b"), path("/./a")] {
        assert!(path.contains("expected a path without empty segments, `.` and `..`"), "{path}");
    }
    for path in [path("/a?b"), path("/a b"), path("/\u{e4}")] {
        assert!(path.contains("expected a path as it is sent"), "{path}");
    }
    for path in [path("/a;b"), path("/a%3Bb")] {
        assert!(path.contains("expected a path without `;`"), "{path}");
    }
    for path in [path("/a%"), path("/%2e%2E/b"), path("/a%00")] {
        assert!(path.contains("expected a path without escapes that are malformed"), "{path}");
    }
    assert!(path(&"/abc".repeat(200)).contains("a path prefix of more than 512 bytes"));

    let header = |name: &str, value: &str| {
        wrong_match(&format!("header = {{ name = \"{name}\", value = \"{value}\" }}"))
    };
    assert_eq!(header("x y", "a"), "4:19: error: `x y` is no header name");
    assert!(header("Host", "a").contains("`host` is not matched as a header"));
    assert!(header("Connection", "a").contains("belongs to one connection"));
    for value in [header("x", ""), header("x", " a"), header("x", "\u{e4}"), header("x", &"a".repeat(257))] {
        assert!(value.contains("expected 1 to 256 visible ASCII characters"), "{value}");
    }
}

#[test]
fn what_is_wrong_with_rules_is_said_at_its_place() {
    // The table [residency] is line 5, what is in it begins in line 6.
    assert_snapshot!(wrong_rules("deny = [\"EU\"]"), @r#"
    5:1: error: missing key `allow`
      help: add `allow = ["set:EU"]`
    6:9: error: `EU` is no place: expected `country:DE`, `set:EU` or `label:x`
      help: say which kind of place: `country:EU`, `set:EU` or `label:EU`
    "#);
    assert_snapshot!(wrong_rules("allow = [\"country:UK\", \"country:de\"]"), @r"
    6:10: error: `country:UK` is no country of ISO 3166-1
      help: did you mean `country:GB`?
    6:24: error: `de` is no country code: expected two capital letters (ISO 3166-1), such as `DE`
      help: did you mean `country:DE`?
    ");
    assert_snapshot!(wrong_rules("allow = [\"any\", \"set:EU\"]\ndeny = [\"any\"]"), @r"
    6:10: error: `any` beside other places
      help: `any` is every region: leave the rest out
    7:9: error: `any` is no place: expected `country:DE`, `set:EU` or `label:x`
      help: `any` can stand alone in `allow`, or as a tier of `fallback`
    ");
    assert_snapshot!(wrong_rules("allow = [\"any\"]\nunknown = \"home\"\nreceive = \"never\"\nfallback = [\"set:EU\"]"), @r#"
    7:11: error: `unknown = "home"` without `home`
      help: add `home = ".."` with a region
    8:11: error: expected one of `any`, `allowed`, found `never`
    9:13: error: expected a list, found "set:EU"
      help: write `["set:EU"]`
    "#);
}

#[test]
fn rules_by_client_want_countries_and_an_answer_for_the_unknown() {
    let rules = "allow = [\"any\"]\n[[residency.client]]\nwhen = [\"label:x\"]\n[[residency.client]]\nwhen = []\nallow = []";
    assert_snapshot!(wrong_rules(rules), @r#"
    5:1: error: missing key `unknown`
      help: add `unknown = "refuse"`
    7:1: error: missing key `allow`
      help: add `allow = ["country:US"]`
    8:9: error: `label:x` is said of regions, and `when` asks for the client
      help: use `country:DE` or `set:EU`
    10:8: error: this rule is about nobody
      help: add places, or remove the rule
    "#);
}

#[test]
fn pools_are_read_with_their_defaults() {
    let text =
        tenant("a", "allow = [\"any\"]\n[pools.de]\nbackends = [\"10.0.0.1:80\", \"[::1]:80\"]\ncheck = {}");
    let text = String::from_utf8(text.text).unwrap();
    let text = text.split("[pools]\n").next().unwrap();
    let document = read(&Source::new("a.toml", text));
    let pool = &document.pools[&"de".parse().unwrap()].value;
    assert_eq!(pool.backends.len(), 2);
    assert_eq!((pool.connect_timeout.as_secs(), pool.response_timeout.as_secs()), (1, 30));
    let check = pool.check.as_ref().unwrap();
    let kind = CheckKind::Http { path: "/".to_owned(), host: None, protocol: Protocol::Http1 };
    assert_eq!(check.kind, kind);
    assert_eq!((check.interval.as_secs(), check.timeout.as_secs()), (2, 1));
    assert_eq!((check.fall, check.rise), (3, 2));
}

#[test]
fn what_is_wrong_with_a_pool_is_said_at_its_place() {
    let text = r#"version = 1
id = "a"
[[match]]
host = "a"
[residency]
allow = ["any"]
[pools.de]
backends = ["localhost", "10.0.0.1:0", "10.0.0.2:80", "10.0.0.2:80"]
connect_timeout = 5
check = { path = "x", host = "*.a", interval = "1s", timeout = "2s", fall = 0 }
[pools.fr]
backends = []
[pools.Us]
backend = []
"#;
    assert_snapshot!(errors(&Source::new("a.toml", text)), @r#"
    a.toml:8:13: error: expected an address or name and a port such as `10.0.0.7:8080`, `[fd00::7]:8080` or `api.internal:8080`, found `localhost`
    a.toml:8:26: error: `10.0.0.1:0` has the port 0
    a.toml:8:55: error: `10.0.0.2:80` is written twice
    a.toml:9:19: error: expected a duration from "1ms" to "1m", found 5
      help: write a whole number and `ms`, `s`, `m` or `h`, such as "1m"
    a.toml:10:18: error: expected a path that begins with `/`, of at most 512 visible ASCII characters, found `x`
    a.toml:10:30: error: expected one host, found a wildcard
    a.toml:10:64: error: a check may take longer than its interval
      help: shorten `timeout`, or lengthen `interval`
    a.toml:10:77: error: expected an integer from 1 to 100, found 0
    a.toml:12:12: error: no backend
      help: add one, or remove the pool
    a.toml:13:1: error: missing key `backends`
      help: add `backends = ["127.0.0.1:9001"]`
    a.toml:13:8: error: `Us` is no name: expected 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit
    a.toml:14:1: error: unknown key `backend`
      help: did you mean `backends`?
    "#);
}

#[test]
fn two_routes_for_one_prefix_are_an_error() {
    let rules = "allow = [\"any\"]\n[[route]]\npath_prefix = \"/a\"\nresidency = { allow = [\"any\"] }\n[[route]]\npath_prefix = \"/a/\"\nresidency = { allow = [\"any\"] }";
    assert_snapshot!(wrong_rules(rules), @"11:15: error: a second route for `/a`");
}

#[test]
fn counts_are_bounded() {
    let many = |count: usize, item: &str| vec![item; count].join(", ");
    let hosts: Vec<String> = (0..=TenantDocument::CLAIMS_MAX).map(|at| format!("\"h{at}\"")).collect();
    assert!(wrong_match(&format!("hosts = [{}]", hosts.join(","))).ends_with("more than 1000 items"));
    let two =
        format!("hosts = [{0}]\n[[match]]\npath_prefix = \"/x\"\nhosts = [{0}]", hosts[..501].join(","));
    assert!(wrong_match(&two).ends_with("more than 1000 claims"));
    let places = many(TenantDocument::PLACES_MAX + 1, "\"set:EU\"");
    assert!(wrong_rules(&format!("allow = [{places}]")).ends_with("more than 256 items"));
    let tiers = many(TenantDocument::FALLBACK_TIERS_MAX + 1, "[\"set:EU\"]");
    assert!(wrong_rules(&format!("allow = [\"any\"]\nfallback = [{tiers}]")).ends_with("more than 15 items"));
    let clients = many(TenantDocument::CLIENT_RULES_MAX + 1, "{ when = [\"set:EU\"], allow = [] }");
    let clients = format!("allow = [\"any\"]\nunknown = \"refuse\"\nclient = [{clients}]");
    assert!(wrong_rules(&clients).ends_with("more than 64 of these"));
    let route = |at| format!("[[route]]\npath_prefix = \"/{at}\"\nresidency = {{ allow = [] }}\n");
    let routes: String = (0..=TenantDocument::ROUTES_MAX).map(route).collect();
    assert!(wrong_rules(&format!("allow = [\"any\"]\n{routes}")).ends_with("more than 256 of these"));
    assert_eq!(Documents::TENANTS_MAX, 100_000);
}

#[test]
fn the_digest_is_of_the_meaning() {
    let text = r#"version = 1
id = "a"
[[match]]
hosts = ["a.example", "b.example"]
path_prefix = "/x"
[residency]
allow = ["set:EU", "country:CH"]
fallback = [["any"]]
home = "de"
unknown = "refuse"
client = [{ when = ["country:US"], allow = ["country:US"] }]
[pools.de]
backends = ["10.0.0.1:80", "10.0.0.2:80"]
check = { path = "/h", host = "a.example" }
"#;
    let digest = |text: &str| read(&Source::new("a.toml", text)).digest();
    let same = text
        .replace("\"a.example\", \"b.example\"", "\"B.example\",\n # first\n \"a.example\"")
        .replace("\"set:EU\", \"country:CH\"", "\"country:CH\", \"set:EU\"")
        .replace("\"/h\",", "\"/h\", fall = 3,");
    assert_ne!(text, same);
    assert_eq!(digest(text), digest(&same));
    for (old, new) in [
        ("version = 1", "version = 2"),
        ("\"a\"", "\"b\""),
        ("b.example", "c.example"),
        ("/x", "/y"),
        ("\"country:CH\"]", "\"country:GB\"]"),
        ("[[\"any\"]]", "[]"),
        ("\"de\"", "\"fr\""),
        ("\"refuse\"", "\"home\""),
        ("when = [\"country:US\"]", "when = [\"country:CA\"]"),
        ("10.0.0.2", "10.0.0.3"),
        ("/h", "/i"),
        ("version", "expose_region = false\nversion"),
    ] {
        assert_ne!(digest(text), digest(&text.replacen(old, new, 1)), "{old}");
    }
}
