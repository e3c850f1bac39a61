//! Who is asking: the tenant that claims a request.

use http::HeaderMap;

use super::Arrival;
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

/// Whether the client named the same tenant when it set up TLS: else a connection that was made for one, under its
/// certificate, would carry the requests of another.
pub(super) fn named_alike(
    policy: &Policy,
    tenant: TenantIndex,
    host: &str,
    arrival: Arrival<'_>,
) -> Result<(), Reason> {
    match arrival {
        Arrival::Secured { server_name: Some(name) }
            if name != host && !policy.claims.can_mean(name, tenant) =>
        {
            Err(Reason::Misdirected)
        }
        _ => Ok(()),
    }
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
    fn a_connection_made_for_one_tenant_carries_no_request_of_another() {
        let policy = policy(2, vec![document("a", &[&[0]]), document("b", &[&[1]])]);
        let named = |server_name| {
            let (tenant, _) = recognise(&policy, "b.example", "/", &HeaderMap::new()).unwrap();
            named_alike(&policy, tenant, "b.example", Arrival::Secured { server_name })
        };
        assert_eq!(named(Some("b.example")), Ok(()));
        assert_eq!(named(Some("a.example")), Err(Reason::Misdirected));
        assert_eq!(named(Some("nobody.example")), Ok(()), "nobody is known by it");
        assert_eq!(named(None), Ok(()));
        let (tenant, _) = recognise(&policy, "b.example", "/", &HeaderMap::new()).unwrap();
        assert_eq!(named_alike(&policy, tenant, "b.example", Arrival::Cleartext), Ok(()));
    }

    #[test]
    fn claims_of_another_policy_lead_to_nobody() {
        let mut policy = policy(1, vec![document("a", &[&[0]])]);
        policy.tenants.clear();
        let found = recognise(&policy, "a.example", "/", &HeaderMap::new());
        assert_eq!(found.map(|(index, _)| index), Err(Reason::UnknownTenant));
    }
}
