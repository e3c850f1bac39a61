//! Where is it written what the certificates for clients do not fit? None of it keeps a node from starting.

use super::page::{Page, Spot};
use super::{Diagnostic, Loaded};
use crate::policy::{CertificateFault, CertificateProblem, ShownCertificate, certificate_faults};

impl Loaded {
    /// Hosts of tenants that `certificates` do not fit, where they are matched: a shared one is an error, because requests
    /// may be received where they must not; a missing one is a warning, because nobody is served without.
    pub fn certificate_faults(&self, certificates: &[ShownCertificate]) -> Vec<Diagnostic> {
        let faults = certificate_faults(&self.policy, certificates);
        faults.iter().flat_map(|fault| self.diagnostic(fault)).collect()
    }

    fn diagnostic(&self, fault: &CertificateFault) -> Vec<Diagnostic> {
        let tenants = &self.documents.tenants;
        let Ok(at) = tenants.binary_search_by(|document| document.id().cmp(&fault.tenant)) else {
            return Vec::new();
        };
        let document = &tenants[at];
        let claim = document.claims.iter().find(|claim| claim.value.host.as_ref() == Some(&fault.host));
        let page = Page::new(&document.file);
        let help = "put a certificate for it, and its key, into the directory of `ingress.certificates`";
        let spot = claim.map_or(Spot::Document, |claim| claim.spot);
        match fault.problem {
            CertificateProblem::Shared { .. } => page.error_with(spot, fault.to_string(), help),
            CertificateProblem::NoneAlone | CertificateProblem::NoneRedirected => {
                page.warn(spot, fault.to_string(), help);
            }
        }
        page.into_diagnostics()
    }
}

#[cfg(test)]
mod tests {
    use crate::document::{Severity, Source, load};

    #[test]
    fn a_host_without_certificate_is_told_where_it_is_matched() {
        let fleet =
            "version = 1\nmesh = \"m\"\n[regions.eu]\ncountry = \"DE\"\nlatitude = 50.0\nlongitude = 8.0\n";
        let tenant = "version = 1\nid = \"acme\"\nredirect_http = true\n[[match]]\nhost = \"a.example\"\n[[match]]\n\
             host = \"b.example\"\n[residency]\nallow = [\"any\"]\n[pools.eu]\nbackends = [\"127.0.0.1:1\"]\n";
        let tenants = [Source::new("tenants/acme.toml", tenant)];
        let loaded = load(&Source::new("fleet.toml", fleet), &tenants).unwrap();
        let warnings = loaded.certificate_faults(&[]);
        let places: Vec<_> =
            warnings.iter().map(|one| (one.file.as_str(), one.line, one.column, one.severity)).collect();
        let warning = |line| ("tenants/acme.toml", line, 8, Severity::Warning);
        assert_eq!(places, [warning(5), warning(7)]);
        assert!(warnings[0].message.contains("`a.example`"), "{warnings:?}");
        assert!(warnings[0].help.as_ref().unwrap().contains("ingress.certificates"), "{warnings:?}");
    }
}
