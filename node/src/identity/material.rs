//! Are the three files of an identity good, and good together?

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;

use super::authorities::Authorities;
use super::fault::Fault;
use super::verifier::{End, check_chain};
use super::{IdentityError, IdentityFiles, PeerIdentity, TunnelSecret, pem};
use crate::world::World;

/// What handshakes use: replaced whole.
pub(super) struct Material {
    pub(super) own: PeerIdentity,
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) authorities: Authorities,
    pub(super) secret: TunnelSecret,
    pub(super) stamps: [u64; 3],
}

impl Material {
    /// Reads the files and checks what [`super::Identity::load`] promises.
    pub(super) fn load(
        files: &IdentityFiles,
        world: &World,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, IdentityError> {
        // Stamped before it is read: a file that changes between the two is read again at the next reload.
        let stamps = stamps(files, world)?;
        let disk = &*world.disk;
        let authorities = Authorities::parse(&files.authorities, &pem::read(disk, &files.authorities)?)?;
        let (certified, secret) = certified_key(files, world, provider)?;
        let own = check_own(&certified, &authorities, world, provider).map_err(|fault| {
            IdentityError::file(&files.certificate, format_args!("refused: {fault}"), ISSUE)
        })?;
        Ok(Self { own, certified: Arc::new(certified), authorities, secret, stamps })
    }
}

/// Numbers that change when the files do.
pub(super) fn stamps(files: &IdentityFiles, world: &World) -> Result<[u64; 3], IdentityError> {
    let stamp = |path: &std::path::Path| {
        world.disk.stamp(path).map_err(|error| {
            IdentityError::file(path, format_args!("cannot be read: {error}"), pem::CHECK_PATH)
        })
    };
    Ok([stamp(&files.certificate)?, stamp(&files.key)?, stamp(&files.authorities)?])
}

/// The time by the world's wall clock, as the TLS library wants it.
pub(super) fn unix_time(world: &World) -> UnixTime {
    UnixTime::since_unix_epoch(world.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn certified_key(
    files: &IdentityFiles,
    world: &World,
    provider: &Arc<CryptoProvider>,
) -> Result<(CertifiedKey, TunnelSecret), IdentityError> {
    let disk = &*world.disk;
    let chain = pem::read(disk, &files.certificate)?;
    let chain = pem::certificates(&files.certificate, &chain, CHAIN_MAX, ISSUE)?;
    let key = pem::key(&files.key, &pem::read(disk, &files.key)?, ISSUE)?;
    let secret = TunnelSecret::of(key.secret_der());
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let problem = format!("is not the key of {}", files.certificate.display());
            IdentityError::file(&files.key, problem, ISSUE)
        }
        rustls::Error::InvalidCertificate(_) => {
            IdentityError::file(&files.certificate, Fault::Unreadable, ISSUE)
        }
        _ => IdentityError::file(&files.key, "holds no private key that can be used", ISSUE),
    })?;
    Ok((certified, secret))
}

/// A certificate that no peer would accept is better found here than in every peer's log.
fn check_own(
    certified: &CertifiedKey,
    authorities: &Authorities,
    world: &World,
    provider: &Arc<CryptoProvider>,
) -> Result<PeerIdentity, Fault> {
    let (leaf, intermediates) = certified.cert.split_first().ok_or(Fault::Unreadable)?;
    let own = PeerIdentity::read(leaf)?;
    let now = unix_time(world);
    for end in [End::Dialler, End::Acceptor] {
        check_chain(authorities, (end, now), (leaf, intermediates), provider)?;
    }
    Ok(own)
}

/// Most certificates between a node and its authority, the node's included.
const CHAIN_MAX: usize = 8;
const ISSUE: &str = "issue certificate and key together with `graticule ca issue`";
