//! Tenants that cannot live side by side are told so, both by name and place.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::document::Source;
use crate::document::testing::{errors, loaded, tenant, tenant_known_by};

const ANYWHERE: &str = "allow = [\"any\"]";
const ALONE: &str = "allow = [\"any\"]\nreceive = \"allowed\"";

fn known_by(id: &str, recognised: &str) -> Source {
    tenant_known_by(id, recognised, ANYWHERE)
}

fn alone(id: &str, recognised: &str) -> Source {
    tenant_known_by(id, recognised, ALONE)
}

#[test]
fn two_documents_for_one_tenant_are_an_error_in_the_second() {
    let mut second = tenant("a", ANYWHERE);
    second.name = "tenants/b.toml".to_owned();
    assert_snapshot!(errors(&[tenant("a", ANYWHERE), second]), @r"
    tenants/b.toml:2:6: error: a second document for the tenant `a`
      help: the first is tenants/a.toml:2:6
    ");
}

#[test]
fn two_tenants_that_claim_the_same_are_both_named() {
    let both = [
        known_by("a", "hosts = [\"x.example\", \"shop.example\"]"),
        known_by("b", "host = \"Shop.example\""),
    ];
    assert_snapshot!(errors(&both), @r"
    tenants/b.toml:4:8: error: tenant `b` claims host `shop.example`, which tenant `a` claims already
      help: the first claim is tenants/a.toml:4:23; give one of them another host, path_prefix or header value
    ");
}

#[test]
fn headers_of_two_names_are_a_conflict_with_another_remedy() {
    let by = |id, name| {
        known_by(id, &format!("host = \"shop.example\"\nheader = {{ name = \"{name}\", value = \"{id}\" }}"))
    };
    assert_snapshot!(errors(&[by("a", "x-shop"), by("b", "x-tenant")]), @r"
    tenants/b.toml:4:8: error: tenant `b` claims host `shop.example`, header `x-tenant: b`, which tenant `a` claims already by another header
      help: the first claim is tenants/a.toml:4:8; use one header name for all tenants of this host and path
    ");
}

#[test]
fn one_tenant_that_claims_twice_is_told_once() {
    assert_snapshot!(errors(&[known_by("a", "hosts = [\"x\", \"y\", \"x\"]")]), @r"
    tenants/a.toml:4:20: error: host `x` is claimed already
      help: the first claim is tenants/a.toml:4:10
    ");
}

#[test]
fn conflicts_are_found_between_documents_that_are_wrong_otherwise() {
    let broken = tenant_known_by("b", "host = \"a.example\"", "allow = [\"EU\"]");
    let found = errors(&[tenant("a", ANYWHERE), broken]);
    assert!(found.contains("tenants/b.toml:4:8: error: tenant `b` claims host `a.example`"), "{found}");
    assert!(found.contains("tenants/b.toml:6:10: error: `EU` is no place"), "{found}");
}

#[test]
fn who_receives_alone_shares_no_host() {
    assert_snapshot!(errors(&[alone("a", "host = \"shop.example\"\npath_prefix = \"/a\""), known_by("b", "host = \"shop.example\"\npath_prefix = \"/b\"")]), @r#"
    tenants/a.toml:8:11: error: `receive = "allowed"`, but tenant `b` shares the host `shop.example` of tenant `a`
      help: see tenants/b.toml:4:8: give it a host of its own
    "#);
    assert_snapshot!(errors(&[alone("a", "header = { name = \"x\", value = \"a\" }")]), @r#"
    tenants/a.toml:7:11: error: `receive = "allowed"` for a tenant that is not known by host
      help: add `host` to the match at 3:1
    "#);
}

#[test]
fn hosts_that_overlap_are_shared() {
    for (mine, theirs, shared) in [
        ("shop.example", "*.example", true),
        ("*.example", "shop.example", true),
        ("*.example", "*.shop.example", true),
        ("*.shop.example", "*.example", true),
        ("shop.example", "*.shop.example", false),
        ("shop.example", "workshop.example", false),
        ("*.shop.example", "shop.example", false),
        ("*.shop.example", "*.workshop.example", false),
        ("shop.example", "example", false),
    ] {
        let both =
            [alone("a", &format!("host = \"{mine}\"")), known_by("b", &format!("host = \"{theirs}\""))];
        if shared {
            assert!(errors(&both).contains("shares the host"), "{mine} {theirs}");
        } else {
            loaded(&both);
        }
    }
}

#[test]
fn a_tenant_may_share_hosts_with_itself_and_others_may_do_without() {
    loaded(&[
        alone("a", "hosts = [\"*.a.example\", \"b.a.example\", \"a.example\"]"),
        known_by("b", "header = { name = \"x\", value = \"b\" }"),
    ]);
}

#[test]
fn a_policy_finds_its_tenants() {
    let policy = loaded(&[tenant("b", ANYWHERE), tenant("a", ANYWHERE)]).policy;
    let ids: Vec<&str> = policy.tenants.iter().map(|tenant| tenant.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    let found = policy.claims.recognise("b.example", "/", &http::HeaderMap::new());
    assert_eq!(found, Some(TenantIndex(1)));
    assert_eq!(found, policy.tenant_by_id(&"b".parse().unwrap()));
}

#[test]
fn the_digest_is_of_all_documents_in_any_order() {
    let digest = |tenants: &[Source]| loaded(tenants).policy.digest;
    let (a, b) = (tenant("a", ANYWHERE), tenant("b", ANYWHERE));
    let both = digest(&[a.clone(), b.clone()]);
    assert_eq!(both, digest(&[b.clone(), a.clone()]));
    assert_ne!(both, digest(std::slice::from_ref(&a)));
    assert_ne!(both, digest(&[a, tenant("b", "allow = [\"set:EU\"]")]));
}

proptest! {
    /// Two patterns overlap if some host matches both: tried with every host of up to four labels.
    #[test]
    fn overlap_is_what_some_host_shows(
        mine in "(\\*\\.)?[ab](\\.[ab]){0,2}",
        theirs in "(\\*\\.)?[ab](\\.[ab]){0,2}",
    ) {
        prop_assume!(mine != theirs);
        let mut hosts = vec![String::new()];
        for labels in 0..4 {
            let longest: Vec<String> =
                hosts.iter().filter(|host| host.split('.').filter(|label| !label.is_empty()).count() == labels).cloned().collect();
            hosts.extend(longest.iter().flat_map(|host| ["a", "b"].map(|label| format!("{label}.{host}"))));
        }
        let matches = |pattern: &str, host: &str| match pattern.strip_prefix("*.") {
            Some(suffix) => host.ends_with(&format!(".{suffix}")),
            None => host == pattern,
        };
        let overlap = hosts.iter().map(|host| host.trim_end_matches('.')).any(|host| matches(&mine, host) && matches(&theirs, host));
        let claim = |host: &str| At {
            value: Claim { host: Some(host.parse().unwrap()), path_prefix: None, header: None },
            spot: Spot::Document,
        };
        let id = |id: &str| At { value: id.parse().unwrap(), spot: Spot::Document };
        let (a, b) = (id("a"), id("b"));
        let (my_claims, their_claims) = ([claim(&mine)], [claim(&theirs)]);
        let tenants = [
            Claimant { file: "a", id: &a, claims: &my_claims, receives_alone: Some(Spot::Document) },
            Claimant { file: "b", id: &b, claims: &their_claims, receives_alone: None },
        ];
        prop_assert_eq!(!conflicts(&tenants).is_empty(), overlap);
    }
}
