//! A client's TLS: what it asks for and whom it believes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Broken;

/// How a client wants its TLS.
#[derive(Debug, Clone)]
pub struct Tls<'a> {
    /// The host that it asks for.
    pub host: &'static str,
    /// The one certificate that it believes.
    pub believes: &'a Path,
    /// The protocols that it offers.
    pub alpn: &'a [&'static str],
    /// The one version that it speaks.
    pub version: &'static SupportedProtocolVersion,
}

impl<'a> Tls<'a> {
    /// A client that asks for `host` and believes the certificate in `believes`: TLS 1.3, HTTP/2 or HTTP/1.1.
    pub fn to(host: &'static str, believes: &'a Path) -> Self {
        Self { host, believes, alpn: &["h2", "http/1.1"], version: &rustls::version::TLS13 }
    }

    pub(super) async fn shake_hands(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Broken> {
        let mut roots = RootCertStore::empty();
        let pem = fs::read(self.believes).expect("a certificate");
        roots.add(CertificateDer::from_pem_slice(&pem).expect("a certificate")).expect("a certificate");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[self.version]);
        let builder = builder.expect("a version of TLS").with_root_certificates(roots);
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let host = ServerName::try_from(self.host).expect("a host");
        TlsConnector::from(Arc::new(config)).connect(host, stream).await.map_err(Broken::of)
    }
}
