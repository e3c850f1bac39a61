//! Which authorities does this node trust, and which of them now?

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};

use super::{IdentityError, certificate, pem};

/// The authorities of a bundle, at least one.
pub(super) struct Authorities(Vec<Authority>);

struct Authority {
    anchor: TrustAnchor<'static>,
    /// The TLS library takes an anchor without its dates, so they are checked here.
    valid: RangeInclusive<SystemTime>,
}

impl Authorities {
    /// Reads a PEM bundle. Everything in it must be a certificate that may sign others.
    pub(super) fn parse(path: &Path, contents: &[u8]) -> Result<Self, IdentityError> {
        let certificates = pem::certificates(path, contents, AUTHORITIES_MAX, COPY_AUTHORITY)?;
        let read = |(index, certificate)| {
            Authority::read(certificate).ok_or_else(|| {
                let problem = format!("certificate {} is not one of an authority", index + 1);
                IdentityError::file(path, problem, COPY_AUTHORITY)
            })
        };
        certificates.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Those that are valid at `now`, and how many are not.
    pub(super) fn at(&self, now: UnixTime) -> (RootCertStore, usize) {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(now.as_secs());
        let valid = self.0.iter().filter(|authority| authority.valid.contains(&now));
        let roots: RootCertStore = valid.map(|authority| authority.anchor.clone()).collect();
        let unusable = self.0.len() - roots.len();
        (roots, unusable)
    }
}

impl Authority {
    fn read(der: CertificateDer<'static>) -> Option<Self> {
        let parsed = certificate::parse(&der).ok()?;
        parsed.basic_constraints().ok()?.filter(|constraints| constraints.value.ca)?;
        let validity = parsed.validity();
        let valid =
            certificate::system_time(validity.not_before)..=certificate::system_time(validity.not_after);
        let mut store = RootCertStore::empty();
        store.add(der).ok()?;
        Some(Self { anchor: store.roots.pop()?, valid })
    }
}

/// Most authorities in a bundle: a mesh needs one, two while one replaces the other.
const AUTHORITIES_MAX: usize = 32;
const COPY_AUTHORITY: &str =
    "put the ca.pem of the mesh's authority there, or several such files one after the other";
