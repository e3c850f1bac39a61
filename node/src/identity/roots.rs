//! The authorities of a PEM file, for certificates that are not the mesh's.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::world::Disk;

/// The authorities of a file, at least one; an error says what is wrong with it.
pub fn read_roots(disk: &dyn Disk, path: &Path) -> Result<RootCertStore, String> {
    let contents = disk.read(path, PEM_BYTES_MAX).map_err(|error| format!("cannot be read: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&contents).take(AUTHORITIES_MAX + 1) {
        let certificate = certificate.map_err(|_| "is not well-formed PEM".to_owned())?;
        roots.add(certificate).map_err(|error| format!("holds what is no authority: {error}"))?;
    }
    match roots.len() {
        0 => Err("holds no certificate in PEM form".to_owned()),
        count if count > AUTHORITIES_MAX => Err(format!("holds more than {AUTHORITIES_MAX} certificates")),
        _ => Ok(roots),
    }
}

const PEM_BYTES_MAX: usize = 1024 * 1024;
const AUTHORITIES_MAX: usize = 256;
