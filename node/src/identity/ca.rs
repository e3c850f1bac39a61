//! Who signs the certificates of a mesh: an authority made, loaded, and asked for a node's certificate.
//!
//! Keys are Ed25519 and serial numbers are random and of one length, so that two certificates for names of the same
//! lengths have the same size and a simulated handshake repeats to the byte.

use std::time::SystemTime;

use graticule_gossip_core::{MeshName, NodeName, RegionName};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::{authority_mesh, mesh_uri, node_uri, parse, system_time};
use super::fault::date;
use super::{IdentityError, tls};

mod files;
mod period;

pub use files::{Issue, IssuedFiles, init, issue};

use period::Period;

/// An authority with its key.
pub struct Authority {
    mesh: MeshName,
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
    period: Period,
}

/// A node's certificate and its key, both PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key: secret.
    pub key: String,
    /// When the certificate ends: as ordered, or with the authority if that is earlier.
    pub not_after: SystemTime,
}

impl Authority {
    /// Makes an authority for `mesh`, valid from an hour before `now`, so that clocks may differ, for `valid_days`
    /// (1 to 36,500) from `now`.
    pub fn create(mesh: &MeshName, valid_days: u32, now: SystemTime) -> Result<Self, IdentityError> {
        let period = Period::new(valid_days, now)?;
        let serial = serial()?;
        // Authorities of one mesh have different names, so that a bundle with several leads to the right one.
        let subject = format!("graticule mesh {mesh} authority {:08x}", number(&serial));
        let mut params = params(&subject, &mesh_uri(mesh), serial)?;
        period.write(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = key_pair()?;
        let certificate = params.self_signed(&key).map_err(IdentityError::library)?;
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Ok(Self { mesh: mesh.clone(), issuer: Issuer::new(params, key), der, pem, period })
    }

    /// The authority whose private key is `key`, among the certificates of `bundle`. Both PEM; the error says what is
    /// wrong with which.
    pub fn load(bundle: &str, key: &str) -> Result<Self, IdentityError> {
        let order = |problem: &str| IdentityError::Order(problem.to_owned());
        let key =
            KeyPair::from_pem(key).map_err(|_| order("the key file holds no private key in PEM form"))?;
        let public = key.subject_public_key_info();
        let der = CertificateDer::pem_slice_iter(bundle.as_bytes())
            .filter_map(Result::ok)
            .find(|der| parse(der).is_ok_and(|certificate| certificate.public_key().raw == public))
            .ok_or_else(|| order("the key is not that of the authority's certificate"))?;
        let certificate = parse(&der).map_err(|fault| order(&fault.to_string()))?;
        let mesh = authority_mesh(&certificate)
            .ok_or_else(|| order("the authority's certificate does not say of which mesh it is"))?;
        let validity = certificate.validity();
        let period = Period::of(system_time(validity.not_before), system_time(validity.not_after));
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(IdentityError::library)?;
        Ok(Self { mesh, issuer, period, pem: bundle.to_owned(), der })
    }

    /// Makes a key and a certificate for a node. The certificate ends `valid_days` (1 to 36,500) from `now`, but no
    /// later than the authority.
    pub fn issue(
        &self,
        region: &RegionName,
        node: &NodeName,
        valid_days: u32,
        now: SystemTime,
    ) -> Result<Issued, IdentityError> {
        if now >= self.period.end() {
            let ended = date(self.period.end());
            return Err(IdentityError::Order(format!(
                "the authority expired at {ended}: make a new one with `graticule ca init`"
            )));
        }
        let period = Period::new(valid_days, now)?.within(&self.period);
        let mut params = params(node.as_str(), &node_uri(&self.mesh, region, node), serial()?)?;
        period.write(&mut params);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params, &period)
    }

    /// The mesh that it signs for.
    pub fn mesh(&self) -> &MeshName {
        &self.mesh
    }

    /// When its certificate ends.
    pub fn not_after(&self) -> SystemTime {
        self.period.end()
    }

    /// What nodes get as their bundle of authorities, PEM: the certificate, or the bundle that it was loaded from.
    pub fn certificate(&self) -> &str {
        &self.pem
    }

    /// Its private key, PEM: secret.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    fn sign(&self, params: &CertificateParams, period: &Period) -> Result<Issued, IdentityError> {
        let key = key_pair()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(IdentityError::library)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem(), not_after: period.end() })
    }

    fn is_in(&self, bundle: &[u8]) -> bool {
        CertificateDer::pem_slice_iter(bundle).any(|found| found.is_ok_and(|der| der == self.der))
    }
}

/// What every certificate here has.
fn params(subject: &str, uri: &str, serial: [u8; SERIAL_BYTES]) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(uri).map_err(IdentityError::library)?)];
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn key_pair() -> Result<KeyPair, IdentityError> {
    KeyPair::generate_for(&PKCS_ED25519).map_err(IdentityError::library)
}

/// Random but for its first two bits, which make every serial positive and of the same length.
fn serial() -> Result<[u8; SERIAL_BYTES], IdentityError> {
    let mut serial = [0; SERIAL_BYTES];
    tls::provider()
        .secure_random
        .fill(&mut serial)
        .map_err(|_| IdentityError::library("no random bytes for a serial number"))?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

fn number(serial: &[u8; SERIAL_BYTES]) -> u32 {
    serial.last_chunk().copied().map(u32::from_be_bytes).unwrap_or_default()
}

/// What `graticule ca init` takes if it is not told: ten years.
pub const AUTHORITY_DAYS_DEFAULT: u32 = 3_650;
/// What `graticule ca issue` takes if it is not told.
pub const CERTIFICATE_DAYS_DEFAULT: u32 = 90;

const SERIAL_BYTES: usize = 16;

#[cfg(test)]
mod tests;
