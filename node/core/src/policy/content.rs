//! Which pools does a request go to: by its method, path, query and headers.

use http::{HeaderMap, Method};

use super::{HeaderClaim, PathPrefix, PoolIndex};

/// What content rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, in the form of [`path`](crate::path).
    pub path: &'a str,
    /// What follows `?`, as it came; empty if there is nothing.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// One rule: everything that it names must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRule {
    /// The paths it is about; `None` for all.
    pub path_prefix: Option<PathPrefix>,
    /// The methods it is about; empty for all.
    pub methods: Vec<Method>,
    /// A header that must have a value, and which.
    pub header: Option<HeaderClaim>,
    /// A parameter of the query that must have a value, and which.
    pub query: Option<QueryClaim>,
    /// Where such requests go.
    pub split: Split,
}

/// A parameter `name=value` of a query, spelt as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryClaim {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: Box<str>,
}

/// Pools with their shares: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split(Vec<PoolShare>);

/// One pool's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShare {
    /// Which.
    pub pool: PoolIndex,
    /// Its part of the sum of all weights.
    pub weight: u32,
}

impl Split {
    /// Everything to the pool without a name.
    pub const UNNAMED: &'static Self = &Self(Vec::new());

    /// These pools; those without a share get nothing.
    pub fn new(shares: impl IntoIterator<Item = PoolShare>) -> Self {
        Self(shares.into_iter().filter(|share| share.weight > 0).collect())
    }

    /// Everything to one pool.
    pub fn all_to(pool: PoolIndex) -> Self {
        Self(vec![PoolShare { pool, weight: 1 }])
    }

    /// The shares.
    pub fn shares(&self) -> &[PoolShare] {
        const UNNAMED: &[PoolShare] = &[PoolShare { pool: PoolIndex::UNNAMED, weight: 1 }];
        if self.0.is_empty() { UNNAMED } else { &self.0 }
    }

    /// One of the pools that are `able`, drawn by their shares: what an unable pool would have got goes to the others.
    /// `chance` is uniform over all values.
    pub fn draw(&self, able: impl Fn(PoolIndex) -> bool, chance: u32) -> Option<PoolIndex> {
        let shares = || self.shares().iter().filter(|share| able(share.pool));
        let total: u64 = shares().map(|share| u64::from(share.weight)).sum();
        let mut left = (u64::from(chance) * total) >> 32;
        for share in shares() {
            match left.checked_sub(share.weight.into()) {
                None => return Some(share.pool),
                Some(rest) => left = rest,
            }
        }
        None
    }
}

impl ContentRule {
    /// Whether it is about a request.
    pub fn matches(&self, content: &Content<'_>) -> bool {
        self.path_prefix.as_ref().is_none_or(|prefix| prefix.matches(content.path))
            && (self.methods.is_empty() || self.methods.contains(content.method))
            && self.header.as_ref().is_none_or(|header| has(content.headers, header))
            && self.query.as_ref().is_none_or(|query| query.matches(content.query))
    }
}

fn has(headers: &HeaderMap, header: &HeaderClaim) -> bool {
    headers.get_all(&header.name).iter().any(|value| *value == header.value)
}

impl QueryClaim {
    fn matches(&self, query: &str) -> bool {
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.any(|(name, value)| name == &*self.name && value == &*self.value)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn rule() -> ContentRule {
        ContentRule {
            path_prefix: PathPrefix::new("/api"),
            methods: vec![Method::GET, Method::POST],
            header: Some(HeaderClaim {
                name: HeaderName::from_static("x-canary"),
                value: HeaderValue::from_static("1"),
            }),
            query: Some(QueryClaim { name: "v".into(), value: "2".into() }),
            split: Split::all_to(PoolIndex(1)),
        }
    }

    fn matches(method: &Method, path: &str, query: &str, canary: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in canary {
            headers.append("x-canary", HeaderValue::from_static(value));
        }
        rule().matches(&Content { method, path, query, headers: &headers })
    }

    #[test]
    fn everything_that_a_rule_names_must_hold() {
        assert!(matches(&Method::GET, "/api/x", "v=2", &["1"]));
        assert!(matches(&Method::POST, "/api", "a&v=2&b=1", &["0", "1"]));
        assert!(!matches(&Method::PUT, "/api/x", "v=2", &["1"]));
        assert!(!matches(&Method::GET, "/apix", "v=2", &["1"]));
        assert!(!matches(&Method::GET, "/api/x", "v=20&xv=2", &["1"]));
        assert!(!matches(&Method::GET, "/api/x", "", &["1"]));
        assert!(!matches(&Method::GET, "/api/x", "v=2", &["2"]));
        assert!(!matches(&Method::GET, "/api/x", "v=2", &[]));
    }

    #[test]
    fn without_a_rule_everything_goes_to_the_pool_without_a_name() {
        assert_eq!(Split::UNNAMED.draw(|_| true, u32::MAX), Some(PoolIndex::UNNAMED));
        assert_eq!(Split::UNNAMED.draw(|_| false, 0), None);
    }

    proptest! {
        #[test]
        fn shares_are_kept_among_those_that_are_able(weights in prop::collection::vec(0u32..1_000, 1..6), able: u8) {
            let share = |(at, weight): (usize, &u32)| PoolShare { pool: PoolIndex(at as u8), weight: *weight };
            let split = Split::new(weights.iter().enumerate().map(share));
            let is_able = |pool: PoolIndex| able & (1 << pool.0) != 0;
            let draws = 10_000u32;
            let mut got = vec![0u32; weights.len()];
            for draw in 0..draws {
                let chance = (u64::from(draw) * (1 << 32) / u64::from(draws)) as u32;
                if let Some(pool) = split.draw(is_able, chance) {
                    got[usize::from(pool.0)] += 1;
                }
            }
            if weights.iter().any(|weight| *weight > 0) {
                let usable = |at: &usize| is_able(PoolIndex(*at as u8));
                let total: u64 = (0..weights.len()).filter(usable).map(|at| u64::from(weights[at])).sum();
                for at in 0..weights.len() {
                    let weight = if usable(&at) { u64::from(weights[at]) } else { 0 };
                    // Within one draw of the share. In whole numbers: a fraction would be off by its rounding.
                    let (drawn, due) = (u64::from(got[at]) * total, weight * u64::from(draws));
                    prop_assert!(drawn.abs_diff(due) <= total);
                    prop_assert!(weight > 0 || got[at] == 0);
                }
            }
        }
    }
}
