//! May this peer have a tunnel? Asked by both ends inside the handshake.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, PeerIncompatible, RootCertStore, SignatureScheme};

use super::authorities::Authorities;
use super::fault::{Fault, Refused};
use super::{Expect, Identity, PeerIdentity};

/// Which end of a tunnel a certificate is shown by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Who opened the connection.
    Dialler,
    /// Who accepted it.
    Acceptor,
}

/// Checks the other end's certificate against what the identity trusts at that moment.
pub(super) struct PeerVerifier {
    identity: Identity,
    expect: Expect,
}

impl PeerVerifier {
    pub(super) fn new(identity: Identity, expect: Expect) -> Self {
        Self { identity, expect }
    }

    fn check(
        &self,
        when: (End, UnixTime),
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        let current = self.identity.current();
        check_chain(&current.authorities, when, (leaf, intermediates), &self.identity.0.provider)
            .and_then(|()| PeerIdentity::read(leaf))
            .and_then(|peer| check_name(&peer, &current.own, &self.expect))
            .map_err(|fault| Refused::new(leaf, fault).into())
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.identity.0.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.identity.0.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Chain and dates: signed by an authority that is valid now, for this end of a tunnel.
pub(super) fn check_chain(
    authorities: &Authorities,
    (end, now): (End, UnixTime),
    chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
    provider: &Arc<CryptoProvider>,
) -> Result<(), Fault> {
    let (roots, unusable) = authorities.at(now);
    if roots.is_empty() {
        return Err(Fault::UnknownAuthority { unusable });
    }
    let checked = match end {
        End::Acceptor => check_acceptor(&roots, chain, now, provider),
        End::Dialler => check_dialler(roots, chain, now, provider),
    };
    checked.map_err(|error| Fault::of_chain(error, unusable))
}

fn check_acceptor(
    roots: &RootCertStore,
    (leaf, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<(), rustls::Error> {
    let algorithms = provider.signature_verification_algorithms.all;
    let leaf = ParsedCertificate::try_from(leaf)?;
    verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, now, algorithms)
}

/// The library has no plain function for this end, so a verifier is made for the authorities of this moment: a copy of
/// some hundred bytes in each of an accepted handshake's several hundred microseconds.
fn check_dialler(
    roots: RootCertStore,
    (leaf, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    now: UnixTime,
    provider: &Arc<CryptoProvider>,
) -> Result<(), rustls::Error> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?
        .verify_client_cert(leaf, intermediates, now)
        .map(|_| ())
}

fn check_name(peer: &PeerIdentity, own: &PeerIdentity, expect: &Expect) -> Result<(), Fault> {
    if peer.mesh != own.mesh {
        return Err(Fault::Mesh(own.mesh.clone()));
    }
    if let Some(node) = expect.node.as_ref().filter(|node| **node != peer.node) {
        return Err(Fault::Node(node.clone()));
    }
    match &expect.region {
        Some(region) if *region != peer.region => Err(Fault::Region(region.clone())),
        _ => Ok(()),
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check((End::Acceptor, now), leaf, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

/// A client certificate is mandatory: that is the trait's default.
impl ClientCertVerifier for PeerVerifier {
    /// None: every node has one certificate, so there is nothing to choose by a hint.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check((End::Dialler, now), leaf, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerVerifier")
            .field("identity", &self.identity)
            .field("expect", &self.expect)
            .finish()
    }
}
