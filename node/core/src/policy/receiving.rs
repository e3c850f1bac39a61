//! Do certificates keep apart tenants whose requests may be received in their own regions only?
//!
//! A client reuses a connection for every name in the certificate that it was shown. So a tenant that receives alone needs
//! certificates of its own, or requests for it would come over connections that were made for others.

use std::fmt;

use super::{HostPattern, Policy, Receive, Tenant, TenantId};

/// A certificate as a node would show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// Where it is kept.
    pub file: String,
    /// The DNS names in it, in lower case.
    pub names: Vec<String>,
}

/// Why a tenant cannot receive alone with the certificates there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceivingFault {
    /// No certificate is for this host.
    Uncovered {
        /// Whose host it is.
        tenant: TenantId,
        /// The host.
        host: HostPattern,
    },
    /// A certificate for a host of the tenant is for one of another tenant, too.
    Shared {
        /// Who receives alone.
        tenant: TenantId,
        /// The certificate's file.
        file: String,
        /// The other one.
        other: TenantId,
        /// The other one's host.
        host: HostPattern,
    },
}

/// What keeps tenants with `receive = "allowed"` from receiving alone, in the order of the tenants.
pub fn receiving_faults(policy: &Policy, certificates: &[ShownCertificate]) -> Vec<ReceivingFault> {
    let alone = policy.tenants.iter().filter(|tenant| receives_alone(tenant));
    alone.flat_map(|tenant| faults(policy, tenant, certificates)).collect()
}

fn receives_alone(tenant: &Tenant) -> bool {
    let routes = tenant.routes.iter().map(|route| &route.residency);
    std::iter::once(&tenant.residency).chain(routes).any(|rules| rules.receive == Receive::Allowed)
}

fn faults(policy: &Policy, tenant: &Tenant, certificates: &[ShownCertificate]) -> Vec<ReceivingFault> {
    let mut faults = Vec::new();
    for host in hosts(tenant) {
        let mut covered = false;
        for certificate in certificates.iter().filter(|certificate| certificate.covers(host)) {
            covered = true;
            let others = policy.tenants.iter().filter(|other| other.id != tenant.id);
            let mut shared = others.flat_map(|other| {
                hosts(other).filter(|host| certificate.covers(host)).map(move |host| (other, host))
            });
            if let Some((other, theirs)) = shared.next() {
                let (file, other, host) = (certificate.file.clone(), other.id.clone(), theirs.clone());
                faults.push(ReceivingFault::Shared { tenant: tenant.id.clone(), file, other, host });
            }
        }
        if !covered {
            faults.push(ReceivingFault::Uncovered { tenant: tenant.id.clone(), host: host.clone() });
        }
    }
    faults.dedup();
    faults
}

fn hosts(tenant: &Tenant) -> impl Iterator<Item = &HostPattern> {
    tenant.claims.iter().filter_map(|claim| claim.host.as_ref())
}

impl ShownCertificate {
    /// Whether a client that was shown it could ask for `host`, or for one that a wildcard means.
    fn covers(&self, host: &HostPattern) -> bool {
        self.names.iter().any(|name| match (name.strip_prefix("*."), host) {
            (None, HostPattern::Exact(host)) => name == host,
            (Some(parent), HostPattern::Exact(host)) => {
                host.split_once('.').is_some_and(|(_, under)| under == parent)
            }
            (None, HostPattern::Wildcard(suffix)) => {
                name.strip_suffix(suffix.as_str()).is_some_and(|label| label.ends_with('.'))
            }
            (Some(parent), HostPattern::Wildcard(suffix)) => {
                parent == suffix
                    || parent.strip_suffix(suffix.as_str()).is_some_and(|front| front.ends_with('.'))
            }
        })
    }
}

impl fmt::Display for ReceivingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncovered { tenant, host } => write!(
                f,
                "no certificate for `{host}`: tenant `{tenant}` has `receive = \"allowed\"` and needs one of its own"
            ),
            Self::Shared { tenant, file, other, host } => write!(
                f,
                "{file} is also for `{host}` of tenant `{other}`: tenant `{tenant}` has `receive = \"allowed\"` and needs one \
                 of its own"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Source, load};

    const FLEET: &str =
        "version = 1\nmesh = \"m\"\n[regions.eu]\ncountry = \"DE\"\nlatitude = 50.0\nlongitude = 8.0\n";

    fn policy(hosts: &[(&str, &str, bool)]) -> Policy {
        let tenant = |(id, host, alone): &(&str, &str, bool)| {
            let receive = if *alone { "receive = \"allowed\"\n" } else { "" };
            let text = format!(
                "version = 1\nid = \"{id}\"\n[[match]]\nhost = \"{host}\"\n[residency]\nallow = [\"any\"]\n{receive}[pools.eu]\nbackends = [\"127.0.0.1:1\"]\n"
            );
            Source::new(format!("{id}.toml"), text)
        };
        load(&Source::new("fleet.toml", FLEET), &hosts.iter().map(tenant).collect::<Vec<_>>()).unwrap().policy
    }

    fn faults(tenants: &[(&str, &str, bool)], certificates: &[&[&str]]) -> Vec<String> {
        let shown = |(at, names): (usize, &&[&str])| ShownCertificate {
            file: format!("{at}.pem"),
            names: names.iter().map(ToString::to_string).collect(),
        };
        let certificates: Vec<_> = certificates.iter().enumerate().map(shown).collect();
        receiving_faults(&policy(tenants), &certificates).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tenant_with_certificates_of_its_own_may_receive_alone() {
        let tenants = [("a", "a.example", true), ("b", "b.example", false)];
        assert!(faults(&tenants, &[&["a.example", "www.a.example"], &["b.example"]]).is_empty());
        assert!(faults(&[("a", "*.a.example", true)], &[&["*.a.example"]]).is_empty());
    }

    #[test]
    fn tenants_that_do_not_receive_alone_may_share() {
        let tenants = [("a", "a.example", false), ("b", "b.example", false)];
        assert!(faults(&tenants, &[&["a.example", "b.example"]]).is_empty());
        assert!(faults(&tenants, &[]).is_empty());
    }

    #[test]
    fn a_shared_certificate_is_named_with_who_shares_it() {
        let tenants = [("a", "a.example", true), ("b", "b.example", false)];
        let shared = "0.pem is also for `b.example` of tenant `b`: tenant `a` has `receive = \"allowed\"` and needs one of its own";
        assert_eq!(faults(&tenants, &[&["a.example", "b.example"]]), [shared]);
        assert_eq!(faults(&tenants, &[&["*.example"]]), [shared]);
    }

    #[test]
    fn a_host_without_certificate_is_named() {
        let missing =
            "no certificate for `a.example`: tenant `a` has `receive = \"allowed\"` and needs one of its own";
        assert_eq!(faults(&[("a", "a.example", true)], &[&["b.example"], &["*.a.example"]]), [missing]);
    }
}
