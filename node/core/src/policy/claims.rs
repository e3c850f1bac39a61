//! Which tenant is asked for: the hosts, paths and headers that tenants claim, indexed for lookup.
//!
//! Of several claims that match a request the most special wins: an exact host before a wildcard, a longer wildcard
//! before a shorter, any host before none; within that the longest path prefix; within that a claim with a header
//! before one without. Two claims that would be equal are a conflict, found when the index is built.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{PathPrefix, TenantIndex};

mod host;
mod scope;

pub use host::{HostPattern, HostPatternError};
use scope::Scope;

/// One way to recognise a tenant: everything that is given must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The `Host`.
    pub host: Option<HostPattern>,
    /// The beginning of the path.
    pub path_prefix: Option<PathPrefix>,
    /// A header with a value.
    pub header: Option<HeaderClaim>,
}

/// A header that must be there once, with exactly this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderClaim {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

/// Two claims that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimConflict {
    /// Who claimed first.
    pub first: TenantIndex,
    /// Which of its claims, by position.
    pub first_claim: usize,
    /// Who claimed the same; the first tenant itself, if it repeats itself.
    pub second: TenantIndex,
    /// Which of its claims, by position.
    pub second_claim: usize,
    /// What both claim, for people.
    pub claim: String,
}

/// All claims of all tenants. A lookup is a few hash lookups, and allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    exact: HashMap<Box<str>, Scope>,
    wildcard: HashMap<Box<str>, Scope>,
    any_host: Scope,
}

/// Whose a claim is: the tenant, and the claim's position among the tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    tenant: TenantIndex,
    claim: usize,
}

impl Claims {
    /// Indexes every tenant's claims; or every conflict between them, in the order of the tenants.
    pub fn build<C: AsRef<[Claim]>>(
        tenants: impl IntoIterator<Item = (TenantIndex, C)>,
    ) -> Result<Self, Vec<ClaimConflict>> {
        let mut index = Self::default();
        let mut conflicts = Vec::new();
        for (tenant, claims) in tenants {
            for (at, claim) in claims.as_ref().iter().enumerate() {
                let second = Owner { tenant, claim: at };
                if let Err(first) = index.scope(claim.host.as_ref()).insert(claim, second) {
                    conflicts.push(ClaimConflict::between(first, second, claim));
                }
            }
        }
        if conflicts.is_empty() { Ok(index) } else { Err(conflicts) }
    }

    /// The tenant that claims a request for `host` (lower case, without port) and `path` (without query).
    pub fn recognise(&self, host: &str, path: &str, headers: &HeaderMap) -> Option<TenantIndex> {
        let by_host = || {
            // A longer or headless host can be claimed by nobody, and a short walk is a promise.
            if host.len() > HostPattern::BYTES_MAX || host.starts_with('.') {
                return None;
            }
            let exact = self.exact.get(host).and_then(|scope| scope.find(path, headers));
            exact.or_else(|| suffixes(host).find_map(|suffix| self.wildcard.get(suffix)?.find(path, headers)))
        };
        by_host().or_else(|| self.any_host.find(path, headers))
    }

    /// Whether a client that has named `host` (lower case) can mean `tenant`: the tenant is known by it, or nobody is.
    pub fn can_mean(&self, host: &str, tenant: TenantIndex) -> bool {
        let wildcards = suffixes(host).filter_map(|suffix| self.wildcard.get(suffix));
        let mut claimed = self.exact.get(host).into_iter().chain(wildcards).peekable();
        claimed.peek().is_none()
            || self.any_host.is_claimed_by(tenant)
            || claimed.any(|scope| scope.is_claimed_by(tenant))
    }

    fn scope(&mut self, host: Option<&HostPattern>) -> &mut Scope {
        match host {
            Some(HostPattern::Exact(host)) => self.exact.entry(host.as_str().into()).or_default(),
            Some(HostPattern::Wildcard(suffix)) => self.wildcard.entry(suffix.as_str().into()).or_default(),
            None => &mut self.any_host,
        }
    }
}

impl ClaimConflict {
    fn between(first: Owner, second: Owner, claim: &Claim) -> Self {
        Self {
            first: first.tenant,
            first_claim: first.claim,
            second: second.tenant,
            second_claim: second.claim,
            claim: claim.to_string(),
        }
    }
}

/// What is left of a host without its first label, without its first two, and so on.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |rest| rest.split_once('.').map(|(_, rest)| rest)).skip(1)
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Some(host) => write!(f, "host `{host}`")?,
            None => f.write_str("any host")?,
        }
        if let Some(prefix) = self.path_prefix.as_ref().filter(|prefix| !prefix.as_str().is_empty()) {
            write!(f, ", path `{}`", prefix.as_str())?;
        }
        if let Some(header) = &self.header {
            write!(f, ", header `{}: {}`", header.name, header.value.to_str().unwrap_or("..."))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
