//! Who is meant among the claims of one host: by the longest path prefix, and then by a header.

use std::collections::{BTreeSet, HashMap};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Claim, Owner};
use crate::policy::TenantIndex;

/// The claims of one host pattern, or those without a host.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// For every path.
    root: Claimants,
    /// By path prefix, without `/` at the end.
    by_prefix: HashMap<Box<str>, Claimants>,
    /// Who claims any of it.
    tenants: BTreeSet<TenantIndex>,
    /// How many segments the longest prefix has: a path is never searched deeper.
    segments_max: usize,
}

/// The claims of one host and one path prefix.
#[derive(Debug, Clone, Default)]
struct Claimants {
    plain: Option<Owner>,
    by_header: Option<ByHeader>,
}

/// The claims that want a header. All want the same one, so that a request can only ever mean one of them.
#[derive(Debug, Clone)]
struct ByHeader {
    name: HeaderName,
    values: HashMap<HeaderValue, Owner>,
}

impl Scope {
    /// Adds a claim, or returns whose it is already.
    pub(super) fn insert(&mut self, claim: &Claim, owner: Owner) -> Result<(), Owner> {
        self.tenants.insert(owner.tenant);
        let prefix = claim.path_prefix.as_ref().map_or("", |prefix| prefix.as_str());
        if prefix.is_empty() {
            return self.root.insert(claim, owner);
        }
        self.segments_max = self.segments_max.max(prefix.matches('/').count());
        self.by_prefix.entry(prefix.into()).or_default().insert(claim, owner)
    }

    /// Whether `tenant` claims any of it.
    pub(super) fn is_claimed_by(&self, tenant: TenantIndex) -> bool {
        self.tenants.contains(&tenant)
    }

    /// The tenant that claims `path` and `headers`, if one does.
    pub(super) fn find(&self, path: &str, headers: &HeaderMap) -> Option<TenantIndex> {
        let by_prefix =
            prefixes(path, self.segments_max).find_map(|prefix| self.by_prefix.get(prefix)?.find(headers));
        by_prefix.or_else(|| self.root.find(headers))
    }
}

/// The beginnings of `path` that end at a segment's border and have 1 to `segments_max` segments, longest first.
fn prefixes(path: &str, segments_max: usize) -> impl Iterator<Item = &str> {
    // The border behind segment n is the n-th slash not counting the first, or the end.
    let past_last = path.match_indices('/').nth(segments_max).map_or(path.len(), |(at, _)| at);
    let longest = path.get(..past_last).filter(|_| segments_max > 0);
    std::iter::successors(longest, |prefix| prefix.rsplit_once('/').map(|(shorter, _)| shorter))
        .take_while(|prefix| !prefix.is_empty())
}

impl Claimants {
    fn insert(&mut self, claim: &Claim, owner: Owner) -> Result<(), Owner> {
        let Some(header) = &claim.header else {
            let first = *self.plain.get_or_insert(owner);
            return if first == owner { Ok(()) } else { Err(first) };
        };
        let by_header = self
            .by_header
            .get_or_insert_with(|| ByHeader { name: header.name.clone(), values: HashMap::new() });
        if by_header.name != header.name {
            return Err(by_header.anybody().unwrap_or(owner));
        }
        let first = *by_header.values.entry(header.value.clone()).or_insert(owner);
        if first == owner { Ok(()) } else { Err(first) }
    }

    fn find(&self, headers: &HeaderMap) -> Option<TenantIndex> {
        let by_header = self.by_header.as_ref().and_then(|claims| claims.find(headers));
        by_header.or(self.plain).map(|owner| owner.tenant)
    }
}

impl ByHeader {
    /// A header that is there twice names nobody: whoever reads the other value would serve another tenant.
    fn find(&self, headers: &HeaderMap) -> Option<Owner> {
        let mut values = headers.get_all(&self.name).into_iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { self.values.get(value).copied() }
    }

    /// The first who claimed by this header.
    fn anybody(&self) -> Option<Owner> {
        self.values.values().copied().min_by_key(|owner| (owner.tenant, owner.claim))
    }
}
