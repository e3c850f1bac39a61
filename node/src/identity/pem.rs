//! What a PEM file holds, with an error that names the file and never its contents.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::IdentityError;
use crate::world::Disk;

/// The certificates of a file, at least one and at most `max`, in their order.
pub(crate) fn certificates(
    path: &Path,
    contents: &[u8],
    max: usize,
    remedy: &'static str,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let bad = |problem: &str| Err(IdentityError::file(path, problem, remedy));
    let Ok(found) = CertificateDer::pem_slice_iter(contents).take(max + 1).collect::<Result<Vec<_>, _>>()
    else {
        return bad("is not well-formed PEM");
    };
    match found.len() {
        _ if contents.is_empty() => bad("is empty"),
        0 => bad("holds no certificate in PEM form"),
        count if count > max => bad(&format!("holds more than {max} certificates")),
        _ => Ok(found),
    }
}

/// The private key of a file.
pub(crate) fn key(
    path: &Path,
    contents: &[u8],
    remedy: &'static str,
) -> Result<PrivateKeyDer<'static>, IdentityError> {
    if contents.is_empty() {
        return Err(IdentityError::file(path, "is empty", remedy));
    }
    PrivateKeyDer::from_pem_slice(contents)
        .map_err(|_| IdentityError::file(path, "holds no private key in PEM form", remedy))
}

/// A file's contents, through the world's disk.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, IdentityError> {
    disk.read(path, PEM_BYTES_MAX)
        .map_err(|error| IdentityError::file(path, format_args!("cannot be read: {error}"), CHECK_PATH))
}

/// Largest PEM file that is read: dozens of certificates fit.
pub(super) const PEM_BYTES_MAX: usize = 256 * 1024;
/// What to do about a file that the disk does not give.
pub(super) const CHECK_PATH: &str = "check the path and that the node's user may read it";
