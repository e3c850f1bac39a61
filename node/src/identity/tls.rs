//! What QUIC endpoints are configured with: TLS 1.3, our protocol, our certificate, our clock.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, ClientConfig, ServerConfig, SignatureScheme};

use super::verifier::PeerVerifier;
use super::{Identity, IdentityError};
use crate::world::Clock;

/// Given to every builder: a process with two providers linked in has no default one.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    // AES-256 costs 4 % more, ChaCha20 40 %; QUIC's first packets need AES-128 in any case.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

pub(super) fn server_config(
    identity: &Identity,
    verifier: Arc<PeerVerifier>,
) -> Result<quinn::ServerConfig, IdentityError> {
    let clock = Arc::new(WallClock(Arc::clone(&identity.0.world.clock)));
    let provider = Arc::clone(&identity.0.provider);
    let mut tls = ServerConfig::builder_with_details(provider, Arc::clone(&clock) as Arc<dyn TimeProvider>)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(IdentityError::library)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(OwnCertificate(identity.clone())));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.ignore_client_order = true;
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    let crypto = QuicServerConfig::try_from(tls).map_err(IdentityError::library)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.time_source(clock);
    Ok(config)
}

pub(super) fn client_config(
    identity: &Identity,
    verifier: Arc<PeerVerifier>,
) -> Result<quinn::ClientConfig, IdentityError> {
    let clock = Arc::new(WallClock(Arc::clone(&identity.0.world.clock)));
    let mut tls = ClientConfig::builder_with_details(Arc::clone(&identity.0.provider), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(IdentityError::library)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(OwnCertificate(identity.clone())));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_sni = false;
    tls.resumption = Resumption::disabled();
    let crypto = QuicClientConfig::try_from(tls).map_err(IdentityError::library)?;
    Ok(quinn::ClientConfig::new(Arc::new(crypto)))
}

/// Shows the certificate that is in use when it is asked for.
#[derive(Debug)]
struct OwnCertificate(Identity);

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().certified))
    }
}

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The world's wall clock, so that a simulation's certificates expire in simulated time.
pub(crate) struct WallClock(pub(crate) Arc<dyn Clock>);

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.wall().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

impl quinn::TimeSource for WallClock {
    fn now(&self) -> SystemTime {
        self.0.wall()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The protocol of a tunnel; its number rises when nodes of two versions cannot talk.
const ALPN: &[u8] = b"graticule/1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_suite_comes_first_and_no_other_is_lost() {
        let suites: Vec<_> =
            provider().cipher_suites.iter().map(rustls::SupportedCipherSuite::suite).collect();
        assert_eq!(suites[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(suites.len(), aws_lc_rs::DEFAULT_CIPHER_SUITES.len());
    }
}
