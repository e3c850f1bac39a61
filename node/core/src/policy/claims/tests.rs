//! Lookups find the most special claim, agree with a plain search, and conflicts are found.

use http::HeaderName;
use proptest::prelude::*;

use super::*;

/// A claim written as `host path header=value`, with `-` for what is not given.
fn claim(text: &str) -> Claim {
    let parts: Vec<&str> = text.split(' ').collect();
    let part = |at: usize| parts.get(at).filter(|part| **part != "-");
    Claim {
        host: part(0).map(|host| host.parse().unwrap()),
        path_prefix: part(1).map(|path| PathPrefix::new(path).unwrap()),
        header: part(2).map(|header| {
            let (name, value) = header.split_once('=').unwrap();
            HeaderClaim {
                name: HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value: HeaderValue::from_str(value).unwrap(),
            }
        }),
    }
}

/// One tenant for each text, which may have several claims separated by `;`.
fn tenants(texts: &[&str]) -> Vec<(TenantIndex, Vec<Claim>)> {
    let claims = |text: &&str| text.split("; ").map(claim).collect();
    texts.iter().enumerate().map(|(at, text)| (TenantIndex(at as u32), claims(text))).collect()
}

fn index(texts: &[&str]) -> Claims {
    Claims::build(tenants(texts)).unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn found(claims: &Claims, host: &str, path: &str) -> Option<u32> {
    claims.recognise(host, path, &HeaderMap::new()).map(|tenant| tenant.0)
}

#[test]
fn an_exact_host_wins_over_wildcards_and_longer_wildcards_over_shorter() {
    let claims = index(&["a.b.example", "*.b.example", "*.example", "- /"]);
    assert_eq!(found(&claims, "a.b.example", "/"), Some(0));
    assert_eq!(found(&claims, "x.b.example", "/"), Some(1));
    assert_eq!(found(&claims, "x.y.b.example", "/"), Some(1));
    assert_eq!(found(&claims, "b.example", "/"), Some(2));
    assert_eq!(found(&claims, "example", "/"), Some(3));
    assert_eq!(found(&claims, "", "/"), Some(3));
}

#[test]
fn a_wildcard_wants_a_label_in_front() {
    let claims = index(&["*.shop.example"]);
    assert_eq!(found(&claims, "shop.example", "/"), None);
    assert_eq!(found(&claims, ".shop.example", "/"), None);
    assert_eq!(found(&claims, "xshop.example", "/"), None);
    assert_eq!(found(&claims, "x.shop.example", "/"), Some(0));
}

#[test]
fn the_longest_path_prefix_wins_at_segment_borders() {
    let claims = index(&["a.example /x", "a.example /x/y/z", "a.example"]);
    assert_eq!(found(&claims, "a.example", "/x"), Some(0));
    assert_eq!(found(&claims, "a.example", "/x/y"), Some(0));
    assert_eq!(found(&claims, "a.example", "/x/y/z/more/and/more"), Some(1));
    assert_eq!(found(&claims, "a.example", "/xy"), Some(2));
    assert_eq!(found(&claims, "a.example", "*"), Some(2));
    assert_eq!(found(&claims, "a.example", ""), Some(2));
}

#[test]
fn where_no_path_matches_the_next_host_is_asked() {
    let claims = index(&["a.example /x", "*.example /y", "- /z"]);
    assert_eq!(found(&claims, "a.example", "/x"), Some(0));
    assert_eq!(found(&claims, "a.example", "/y"), Some(1));
    assert_eq!(found(&claims, "a.example", "/z"), Some(2));
    assert_eq!(found(&claims, "a.example", "/"), None);
}

#[test]
fn a_claim_with_a_header_wins_over_one_without() {
    let claims = index(&["a.example - x-tenant=one", "a.example - x-tenant=two", "a.example"]);
    let find = |pairs: &[(&str, &str)]| claims.recognise("a.example", "/", &headers(pairs)).map(|at| at.0);
    assert_eq!(find(&[("x-tenant", "one")]), Some(0));
    assert_eq!(find(&[("x-tenant", "two")]), Some(1));
    assert_eq!(find(&[("x-tenant", "three")]), Some(2));
    assert_eq!(find(&[]), Some(2));
}

#[test]
fn a_header_that_is_there_twice_names_nobody() {
    let claims = index(&["a.example - x-tenant=one", "a.example - x-tenant=two"]);
    let twice = headers(&[("x-tenant", "one"), ("x-tenant", "two")]);
    assert_eq!(claims.recognise("a.example", "/", &twice), None);
}

#[test]
fn the_same_claim_twice_is_a_conflict_of_both() {
    let conflicts = Claims::build(tenants(&["b.example; a.example /x/", "a.example /x"])).unwrap_err();
    let expected = ClaimConflict {
        first: TenantIndex(0),
        first_claim: 1,
        second: TenantIndex(1),
        second_claim: 0,
        claim: "host `a.example`, path `/x`".to_owned(),
    };
    assert_eq!(conflicts, [expected]);
}

#[test]
fn no_path_and_the_root_are_the_same_claim() {
    assert_eq!(Claims::build(tenants(&["a.example", "a.example /"])).unwrap_err().len(), 1);
    assert_eq!(Claims::build(tenants(&["-", "- /"])).unwrap_err().len(), 1);
}

#[test]
fn headers_of_two_names_for_the_same_host_and_path_are_a_conflict() {
    let conflicts = Claims::build(tenants(&["a.example - x=1", "a.example - y=1"])).unwrap_err();
    assert_eq!(conflicts[0].claim, "host `a.example`, header `y: 1`");
    assert!(Claims::build(tenants(&["a.example - x=1", "a.example - x=2"])).is_ok());
    assert!(Claims::build(tenants(&["a.example - x=1", "a.example /z y=1"])).is_ok());
}

#[test]
fn every_conflict_is_found() {
    let texts = ["a.example; *.b.example", "a.example; *.b.example", "a.example"];
    let conflicts = Claims::build(tenants(&texts)).unwrap_err();
    let pairs: Vec<(u32, u32)> = conflicts.iter().map(|found| (found.first.0, found.second.0)).collect();
    assert_eq!(pairs, [(0, 1), (0, 1), (0, 2)]);
}

#[test]
fn a_hostile_host_or_path_costs_no_more_than_the_longest_claim() {
    let claims = index(&["*.a.example /x", "-"]);
    let host = "a.".repeat(100_000) + "example";
    assert_eq!(found(&claims, &host, "/x"), Some(1));
    assert_eq!(found(&claims, "b.a.example", &"/x".repeat(100_000)), Some(0));
}

#[test]
fn ten_thousand_tenants_are_told_apart() {
    let all = (0..10_000).map(|at| (TenantIndex(at), vec![claim(&format!("t{at}.example /p{at}"))]));
    let claims = Claims::build(all).unwrap();
    assert_eq!(found(&claims, "t9999.example", "/p9999/x"), Some(9_999));
    assert_eq!(found(&claims, "t9999.example", "/p9998/x"), None);
}

/// How special a claim is, the more the greater; by the words of the documentation.
fn rank(claim: &Claim) -> (u8, usize, usize, bool) {
    let (kind, labels) = match &claim.host {
        Some(HostPattern::Exact(_)) => (2, 0),
        Some(HostPattern::Wildcard(suffix)) => (1, suffix.len()),
        None => (0, 0),
    };
    (
        kind,
        labels,
        claim.path_prefix.as_ref().map_or(0, |prefix| prefix.as_str().len()),
        claim.header.is_some(),
    )
}

fn matches(claim: &Claim, host: &str, path: &str, headers: &HeaderMap) -> bool {
    let host_matches = claim.host.as_ref().is_none_or(|pattern| match pattern {
        HostPattern::Exact(name) => host == name,
        HostPattern::Wildcard(suffix) => {
            host.strip_suffix(suffix.as_str()).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
        }
    });
    let path_matches = claim.path_prefix.as_ref().is_none_or(|prefix| prefix.matches(path));
    host_matches
        && path_matches
        && claim.header.as_ref().is_none_or(|header| headers.get(&header.name) == Some(&header.value))
}

fn any_claim() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec!["-", "a", "b.a", "*.a", "*.b.a", "c.b.a", "*.c.b.a"]);
    let path = prop::sample::select(vec!["-", "/x", "/x/y", "/y", "/x/y/x"]);
    let header = prop::sample::select(vec!["-", "t=1", "t=2"]);
    (host, path, header).prop_map(|(host, path, header)| format!("{host} {path} {header}"))
}

proptest! {
    #[test]
    fn agrees_with_a_plain_search(
        texts in prop::collection::btree_set(any_claim(), 0..12),
        host in "([abc]\\.){0,3}a?",
        path in "(/[xyz]){0,4}/?",
        header in prop::option::of("[123]"),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let tenants = tenants(&texts);
        let headers = header.iter().map(|value| ("t", value.as_str())).collect::<Vec<_>>();
        let headers = self::headers(&headers);
        let plain = tenants
            .iter()
            .filter(|(_, claims)| matches(&claims[0], &host, &path, &headers))
            .max_by_key(|(_, claims)| rank(&claims[0]))
            .map(|(tenant, _)| *tenant);
        let indexed = Claims::build(tenants.iter().map(|(tenant, claims)| (*tenant, claims))).unwrap();
        prop_assert_eq!(indexed.recognise(&host, &path, &headers), plain);
    }

    #[test]
    fn any_host_and_path_are_answered(host in ".{0,300}", path in ".{0,300}") {
        let claims = index(&["a.example /x t=1", "*.example /x/y", "- /z"]);
        let answer = claims.recognise(&host, &path, &HeaderMap::new());
        prop_assert!(answer.is_none() || path.starts_with("/z"));
    }
}
