//! Are a certificate and a key good, and good together, and whom do they speak for?

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use crate::identity::{IdentityError, pem, system_time};
use crate::world::Disk;

/// A certificate with its key.
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// The DNS names in the certificate, in lower case.
    pub(super) names: Vec<String>,
    /// When the certificate ends.
    pub(super) not_after: SystemTime,
}

impl Pair {
    /// Reads the files. Without a name only one that `may_be_nameless` is of use.
    pub(super) fn load(
        (certificate, key): (&Path, &Path),
        may_be_nameless: bool,
        disk: &dyn Disk,
        provider: &CryptoProvider,
    ) -> Result<Self, IdentityError> {
        let bad = |problem: &str| IdentityError::file(certificate, problem, RENEW);
        let chain = pem::certificates(certificate, &pem::read(disk, certificate)?, CHAIN_MAX, RENEW)?;
        let private = pem::key(key, &pem::read(disk, key)?, RENEW)?;
        let read = read(&chain[0]);
        let (names, not_after) = read.ok_or_else(|| bad("cannot be read as an X.509 certificate"))?;
        let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                IdentityError::file(key, format_args!("is not the key of {}", certificate.display()), RENEW)
            }
            rustls::Error::InvalidCertificate(_) => bad("cannot be read as an X.509 certificate"),
            _ => IdentityError::file(key, "holds no private key that can be used", RENEW),
        })?;
        if names.is_empty() && !may_be_nameless {
            return Err(bad("has no DNS name among its names"));
        }
        if names.len() > NAMES_MAX {
            return Err(bad("has more than 1,000 names"));
        }
        Ok(Self { certified: Arc::new(certified), names, not_after })
    }
}

/// The DNS names in a certificate, and when it ends.
fn read(leaf: &[u8]) -> Option<(Vec<String>, SystemTime)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let extension = certificate.subject_alternative_name().ok()?;
    let names = extension.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let dns = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Some((dns.collect(), system_time(certificate.validity().not_after)))
}

/// Most certificates in one file.
const CHAIN_MAX: usize = 8;
/// Names in one certificate.
const NAMES_MAX: usize = 1_000;
const RENEW: &str = "put a certificate and its key there, both in PEM form";
