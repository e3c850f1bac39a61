//! Do the certificates that clients see fit what tenants ask for?
//!
//! A client reuses a connection for every name in the certificate that it was shown. So a tenant that receives alone needs
//! certificates of its own, or requests for it would come over connections that were made for others. And whoever sends
//! their clients to TLS needs a certificate there.

use std::collections::{BTreeMap, BTreeSet};
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

/// A host of a tenant that the certificates there are do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFault {
    /// Whose host it is.
    pub tenant: TenantId,
    /// The host.
    pub host: HostPattern,
    /// Why not.
    pub problem: CertificateProblem,
}

/// Why certificates do not fit a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateProblem {
    /// None is for it, and its tenant receives alone.
    NoneAlone,
    /// None is for it, and its tenant sends clients to TLS.
    NoneRedirected,
    /// One that is for it is for a host of another tenant, too, and its own receives alone.
    Shared {
        /// The certificate's file.
        file: String,
        /// The other one.
        other: TenantId,
        /// The other one's host.
        theirs: HostPattern,
    },
}

/// Every host that the certificates do not fit, in the order of the tenants.
pub fn certificate_faults(policy: &Policy, certificates: &[ShownCertificate]) -> Vec<CertificateFault> {
    let asks = |tenant: &Tenant| receives_alone(tenant) || tenant.redirect_http;
    if !policy.tenants.iter().any(|tenant| asks(tenant)) {
        return Vec::new();
    }
    let hosts = Hosts::of(policy);
    let mut found = vec![Coverage::default(); hosts.all.len()];
    for certificate in certificates {
        let covered = hosts.covered(certificate);
        for at in &covered {
            found[*at].is_covered = true;
            let (tenant, _) = hosts.all[*at];
            let other = covered.iter().find(|other| hosts.all[**other].0.id != tenant.id);
            if let Some(other) = other.filter(|_| receives_alone(tenant)) {
                found[*at].shared.push((&certificate.file, *other));
            }
        }
    }
    let fault = |at: usize, problem| {
        let (tenant, host) = hosts.all[at];
        CertificateFault { tenant: tenant.id.clone(), host: host.clone(), problem }
    };
    let mut faults = Vec::new();
    for (at, coverage) in found.into_iter().enumerate() {
        let (tenant, _) = hosts.all[at];
        faults.extend(coverage.shared.into_iter().map(|(file, other)| {
            let (other, theirs) = hosts.all[other];
            let (file, other, theirs) = (file.to_owned(), other.id.clone(), theirs.clone());
            fault(at, CertificateProblem::Shared { file, other, theirs })
        }));
        if !coverage.is_covered && receives_alone(tenant) {
            faults.push(fault(at, CertificateProblem::NoneAlone));
        } else if !coverage.is_covered && tenant.redirect_http {
            faults.push(fault(at, CertificateProblem::NoneRedirected));
        }
    }
    faults
}

fn receives_alone(tenant: &Tenant) -> bool {
    let routes = tenant.routes.iter().map(|route| &route.residency);
    std::iter::once(&tenant.residency).chain(routes).any(|rules| rules.receive == Receive::Allowed)
}

/// What the certificates are for one host.
#[derive(Debug, Clone, Default)]
struct Coverage<'a> {
    is_covered: bool,
    /// The files of those that it shares, and the other's host by its number.
    shared: Vec<(&'a str, usize)>,
}

/// The hosts of all tenants, to be found by the names in certificates: there may be many of both.
struct Hosts<'p> {
    all: Vec<(&'p Tenant, &'p HostPattern)>,
    exact: BTreeMap<&'p str, Vec<usize>>,
    /// Of exact ones, by what stands behind their first label.
    by_parent: BTreeMap<&'p str, Vec<usize>>,
    wildcards: BTreeMap<&'p str, Vec<usize>>,
}

impl<'p> Hosts<'p> {
    fn of(policy: &'p Policy) -> Self {
        let hosts = policy.tenants.iter().flat_map(|tenant| {
            let mut seen = BTreeSet::new();
            let hosts = tenant.claims.iter().filter_map(|claim| claim.host.as_ref());
            hosts.filter(move |host| seen.insert(*host)).map(|host| (&**tenant, host))
        });
        let all: Vec<_> = hosts.collect();
        let (mut exact, mut by_parent, mut wildcards) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let add = |map: &mut BTreeMap<&'p str, Vec<usize>>, name, at| map.entry(name).or_default().push(at);
        for (at, (_, host)) in all.iter().enumerate() {
            match host {
                HostPattern::Exact(name) => {
                    add(&mut exact, name.as_str(), at);
                    name.split_once('.').into_iter().for_each(|(_, parent)| add(&mut by_parent, parent, at));
                }
                HostPattern::Wildcard(suffix) => add(&mut wildcards, suffix.as_str(), at),
            }
        }
        Self { all, exact, by_parent, wildcards }
    }

    /// Those that a client which was shown it could ask for, wildcards with one such host included.
    fn covered(&self, certificate: &ShownCertificate) -> BTreeSet<usize> {
        let mut covered = BTreeSet::new();
        for name in &certificate.names {
            let (parent, one_of) = match name.strip_prefix("*.") {
                Some(parent) => (Some(parent), self.by_parent.get(parent)),
                None => (name.split_once('.').map(|(_, parent)| parent), self.exact.get(name.as_str())),
            };
            covered.extend(one_of.into_iter().flatten());
            let above = std::iter::successors(parent, |name| Some(name.split_once('.')?.1));
            covered.extend(above.filter_map(|suffix| self.wildcards.get(suffix)).flatten());
        }
        covered
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, host, problem } = self;
        match problem {
            CertificateProblem::NoneAlone => write!(
                f,
                "no certificate for `{host}`: tenant `{tenant}` has `receive = \"allowed\"` and needs one of its own"
            ),
            CertificateProblem::NoneRedirected => write!(
                f,
                "no certificate for `{host}`: tenant `{tenant}` has `redirect_http = true`, which sends its clients to TLS"
            ),
            CertificateProblem::Shared { file, other, theirs } => write!(
                f,
                "{file} is also for `{theirs}` of tenant `{other}`: tenant `{tenant}` has `receive = \"allowed\"` and \
                 needs one of its own"
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

    /// `redirected` is a tenant that sends its clients to TLS.
    fn policy(hosts: &[(&str, &str, bool)]) -> Policy {
        let tenant = |(id, host, alone): &(&str, &str, bool)| {
            let receive = if *alone { "receive = \"allowed\"\n" } else { "" };
            let redirect = if *id == "redirected" { "redirect_http = true\n" } else { "" };
            let text = format!(
                "version = 1\nid = \"{id}\"\n{redirect}[[match]]\nhost = \"{host}\"\n[residency]\nallow = [\"any\"]\n{receive}[pools.eu]\nbackends = [\"127.0.0.1:1\"]\n"
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
        certificate_faults(&policy(tenants), &certificates).iter().map(ToString::to_string).collect()
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

    #[test]
    fn a_host_whose_clients_are_sent_to_tls_needs_a_certificate_there_and_may_share_it() {
        let tenants = [("other", "b.example", false), ("redirected", "a.example", false)];
        let missing = "no certificate for `a.example`: tenant `redirected` has `redirect_http = true`, which sends its clients to TLS";
        assert_eq!(faults(&tenants, &[&["b.example"]]), [missing]);
        assert!(faults(&tenants, &[&["a.example", "b.example"]]).is_empty());
        assert!(faults(&tenants, &[&["*.example"]]).is_empty());
    }

    #[test]
    fn wildcards_are_covered_by_any_name_under_them_and_by_nothing_beside_them() {
        let tenants = [("a", "*.a.example", true)];
        for names in [&["x.a.example"][..], &["x.y.a.example"], &["*.a.example"], &["*.y.a.example"]] {
            assert!(faults(&tenants, &[names]).is_empty(), "{names:?}");
        }
        for names in [&["a.example"][..], &["*.example"], &["x.b.example"], &["xa.example"]] {
            assert_eq!(faults(&tenants, &[names]).len(), 1, "{names:?}");
        }
    }
}
