//! Who this node is, and whom it lets into a tunnel.
//!
//! Every tunnel is TLS 1.3 with certificates on both ends. rustls checks the chain and the dates against a bundle of
//! authorities; the name, `spiffe://<mesh>/region/<region>/node/<node>`, is checked here, inside the verifiers, so
//! that a wrong peer never completes a handshake. Two things follow from TLS 1.3:
//!
//! - The dialler finishes first. Its `connect` may succeed before the other end has looked at its certificate; then the
//!   connection closes with the reason. Nothing that the dialler sends before that is ever read.
//! - The reason of a refusal travels in QUIC's `CONNECTION_CLOSE`, so both ends have it in the text of the
//!   `ConnectionError` they get. It names the refused certificate by its SPIFFE name.
//!
//! Sessions are never resumed and there is no early data: a resumed session would skip these checks.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use graticule_gossip_core::{NodeName, RegionName};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use crate::world::World;

mod authorities;
pub mod ca;
mod certificate;
mod error;
mod fault;
mod material;
pub(crate) mod pem;
pub mod refusal;
mod roots;
mod secret;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod verifier;

pub(crate) use certificate::system_time;
pub use certificate::{PeerIdentity, Serial};
pub use error::IdentityError;
pub use roots::read_roots;
pub use secret::TunnelSecret;
pub(crate) use tls::WallClock;

use material::Material;
use verifier::PeerVerifier;

/// Where a node's certificate, its key and the authorities it trusts are. All PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The node's certificate, then the intermediates up to an authority, if there are any.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The certificates of every authority whose nodes are let in; several while one replaces another.
    pub authorities: PathBuf,
}

/// Whom a dialler wants to reach. What is `None` may be anything within the own mesh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// The node that must answer.
    pub node: Option<NodeName>,
    /// The region that its certificate must name.
    pub region: Option<RegionName>,
}

impl Expect {
    /// Any node of the own mesh: what a seed address may lead to.
    pub const ANY: Self = Self { node: None, region: None };

    /// This node, in this region.
    pub fn node(node: NodeName, region: RegionName) -> Self {
        Self { node: Some(node), region: Some(region) }
    }
}

/// What a reload found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The files are those that are in use.
    Unchanged,
    /// New files were checked and are in use for every handshake from now on.
    Changed,
}

/// The node's own certificate and the authorities it trusts. Cheap to clone; all clones see a reload.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    files: IdentityFiles,
    world: World,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Material>,
}

impl Identity {
    /// Reads and checks the three files: they parse, the key is the certificate's, the certificate names a node, is
    /// valid now, and is signed by one of the authorities for both ends of a tunnel.
    pub fn load(files: IdentityFiles, world: &World) -> Result<Self, IdentityError> {
        let provider = tls::provider();
        let current = ArcSwap::from_pointee(Material::load(&files, world, &provider)?);
        Ok(Self(Arc::new(Inner { files, world: world.clone(), provider, current })))
    }

    /// Looks whether the files have changed; if so, checks them all and takes them all, or keeps what it has.
    ///
    /// New handshakes use the new files, with the configurations that exist already; connections that stand keep the
    /// certificates they were made with. Cheap when nothing changed: call it every few seconds. Files that cannot be
    /// used are an error at every call until they are mended; a certificate and key that are replaced one after the
    /// other are such files for a moment. A certificate with another name is refused: a running node cannot become
    /// another.
    pub fn reload(&self) -> Result<Reloaded, IdentityError> {
        let Inner { files, world, provider, current } = &*self.0;
        let old = current.load();
        if old.stamps == material::stamps(files, world)? {
            return Ok(Reloaded::Unchanged);
        }
        let new = Material::load(files, world, provider)?;
        if !new.own.same_name(&old.own) {
            return Err(IdentityError::renamed(&files.certificate, &old.own, &new.own));
        }
        current.store(Arc::new(new));
        Ok(Reloaded::Changed)
    }

    /// Who this node is by its certificate.
    pub fn own(&self) -> PeerIdentity {
        self.0.current.load().own.clone()
    }

    /// When the certificate in use ends.
    pub fn not_after(&self) -> SystemTime {
        self.0.current.load().own.not_after
    }

    /// How long the certificate in use is still valid; zero when it has expired.
    pub fn expires_in(&self, now: SystemTime) -> Duration {
        self.not_after().duration_since(now).unwrap_or_default()
    }

    /// What an endpoint needs to be dialled. Crypto and clock only: transport and migration are the caller's.
    pub fn server_config(&self) -> Result<quinn::ServerConfig, IdentityError> {
        tls::server_config(self, Arc::new(PeerVerifier::new(self.clone(), Expect::ANY)))
    }

    /// What endpoints of this node know again after a restart, as long as it has the same private key.
    pub fn tunnel_secret(&self) -> TunnelSecret {
        self.0.current.load().secret.clone()
    }

    /// What a dial needs that must reach `expect`; dial with the server name [`SERVER_NAME`]. Crypto only.
    pub fn client_config(&self, expect: Expect) -> Result<quinn::ClientConfig, IdentityError> {
        tls::client_config(self, Arc::new(PeerVerifier::new(self.clone(), expect)))
    }

    /// Who is at the other end of a connection whose handshake is complete.
    ///
    /// Chain and name were checked in the handshake; whether the peer is revoked is the caller's to check.
    pub fn peer(connection: &quinn::Connection) -> Result<PeerIdentity, IdentityError> {
        let chain = connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
        let leaf = chain.as_ref().and_then(|chain| chain.first()).ok_or_else(IdentityError::no_peer)?;
        PeerIdentity::read(leaf).map_err(|fault| IdentityError::Peer(fault.to_string()))
    }

    fn current(&self) -> Arc<Material> {
        self.0.current.load_full()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.0.current.load().own).finish()
    }
}

/// The server name to dial with. It is neither sent nor checked: names are in the certificates.
pub const SERVER_NAME: &str = "node.graticule.invalid";
