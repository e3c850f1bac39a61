//! Certificates for nodes, as the command issues them and as it never would, and for backends.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, PKCS_ED25519,
    SanType, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::run;

/// An authority of a mesh, made by `graticule ca init`.
#[derive(Debug, Clone)]
pub struct Authority {
    directory: PathBuf,
    mesh: String,
}

/// Where a node's certificate, key and authorities are.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whom the node trusts.
    pub authorities: PathBuf,
}

impl Authority {
    /// Makes one in `directory`.
    pub async fn init(directory: &Path, mesh: &str) -> Self {
        run(["ca", "init", text(directory), "--mesh", mesh]).await.succeeded();
        Self { directory: directory.to_owned(), mesh: mesh.to_owned() }
    }

    /// Its certificate, as nodes trust it.
    pub fn bundle(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Issues a certificate by the command.
    pub async fn issue(&self, region: &str, node: &str, out: &Path) -> Certificate {
        let (authority, out_text) = (text(&self.directory), text(out));
        run(["ca", "issue", "--ca", authority, "--region", region, "--node", node, "--out", out_text])
            .await
            .succeeded();
        Certificate {
            certificate: out.join(format!("{node}.pem")),
            key: out.join(format!("{node}.key")),
            authorities: out.join("ca.pem"),
        }
    }

    /// Signs a certificate that is good for the hour before `end`.
    pub fn issue_until(&self, region: &str, node: &str, end: SystemTime, out: &Path) -> Certificate {
        let read = |name| fs::read_to_string(self.directory.join(name)).expect("the authority's files");
        let key = KeyPair::from_pem(&read("ca.key")).expect("the authority's key");
        let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).expect("the authority's certificate");
        let name = format!("spiffe://{}/region/{region}/node/{node}", self.mesh);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, node);
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(name).expect("a URI"))];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let since_1970 = |at: SystemTime| at.duration_since(UNIX_EPOCH).expect("a time after 1970");
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(end);
        params.not_before = params.not_after - Duration::from_hours(1);
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let signed = params.signed_by(&key, &issuer).expect("a certificate");
        let files = Certificate {
            certificate: out.join(format!("{node}.pem")),
            key: out.join(format!("{node}.key")),
            authorities: self.bundle(),
        };
        fs::create_dir_all(out).expect("a directory for certificates");
        fs::write(&files.certificate, signed.pem()).expect("the certificate is written");
        fs::write(&files.key, key.serialize_pem()).expect("the key is written");
        files
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Writes `STEM.pem` and `STEM.key` for these names.
pub fn self_signed(directory: &Path, stem: &str, names: &[&str]) {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    fs::write(directory.join(format!("{stem}.pem")), made.cert.pem()).expect("a certificate is written");
    fs::write(directory.join(format!("{stem}.key")), made.signing_key.serialize_pem())
        .expect("a key is written");
}

/// An authority, as PEM, and a server's certificate by it for `name`; the server speaks HTTP/2 and HTTP/1.1.
pub fn tls_server(name: &str) -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(2100, 1, 1);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let authority = authority.expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    leaf.not_after = date_time_ymd(2100, 1, 1);
    let certificate = leaf.signed_by(&key, &authority).expect("a certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions of TLS").with_no_client_auth();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (authority.pem(), Arc::new(config))
}
