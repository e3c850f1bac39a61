//! Who is asking: the tenant that claims a request.

use http::HeaderMap;

use crate::Reason;
use crate::policy::{Policy, Tenant, TenantIndex};

/// The tenant that claims this host, path and headers, with its document.
pub(super) fn recognise<'p>(
    policy: &'p Policy,
    host: &str,
    path: &str,
    headers: &HeaderMap,
) -> Result<(TenantIndex, &'p Tenant), Reason> {
    let tenant = policy.claims.recognise(host, path, headers).ok_or(Reason::UnknownTenant)?;
    let document = policy.tenant(tenant).ok_or(Reason::UnknownTenant)?;
    Ok((tenant, document))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{document, policy, region};

    #[test]
    fn the_tenant_that_claims_the_host_is_found_with_its_document() {
        let policy = policy(2, vec![document("a", &[&[0]]), document("b", &[&[1]])]);
        let (index, found) = recognise(&policy, "b.example", "/", &HeaderMap::new()).unwrap();
        assert_eq!((index, found.id.as_str()), (TenantIndex(1), "b"));
        assert!(found.residency.permission.all.contains(region(1)));
    }

    #[test]
    fn nobody_claims_a_strange_host() {
        let policy = policy(1, vec![document("a", &[&[0]])]);
        let found = recognise(&policy, "z.example", "/", &HeaderMap::new());
        assert_eq!(found.map(|(index, _)| index), Err(Reason::UnknownTenant));
    }

    #[test]
    fn claims_of_another_policy_lead_to_nobody() {
        let mut policy = policy(1, vec![document("a", &[&[0]])]);
        policy.tenants.clear();
        let found = recognise(&policy, "a.example", "/", &HeaderMap::new());
        assert_eq!(found.map(|(index, _)| index), Err(Reason::UnknownTenant));
    }
}
