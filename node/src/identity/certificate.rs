//! What a certificate says of its holder: mesh, region, node, and until when.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use graticule_gossip_core::{MeshName, NodeName, RegionName};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;

use super::fault::Fault;

/// Who a certificate says its holder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The trust domain.
    pub mesh: MeshName,
    /// The region that the node belongs to.
    pub region: RegionName,
    /// The node.
    pub node: NodeName,
    /// When the certificate ends.
    pub not_after: SystemTime,
    /// The certificate's serial number, for logs.
    pub serial: Serial,
}

impl PeerIdentity {
    /// Reads a certificate's name and dates. No signature is checked.
    pub(super) fn read(der: &[u8]) -> Result<Self, Fault> {
        let certificate = parse(der)?;
        let (mesh, region, node) = parse_node_uri(&only_uri(&certificate)?)?;
        let not_after = system_time(certificate.validity().not_after);
        let serial = Serial::new(certificate.tbs_certificate.raw_serial());
        Ok(Self { mesh, region, node, not_after, serial })
    }

    /// Whether both certificates are of the same node of the same region and mesh.
    pub fn same_name(&self, other: &Self) -> bool {
        self.mesh == other.mesh && self.region == other.region && self.node == other.node
    }
}

/// The SPIFFE name.
impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&node_uri(&self.mesh, &self.region, &self.node))
    }
}

/// A certificate's serial number; prints as hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Box<[u8]>);

impl Serial {
    fn new(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().take(SERIAL_BYTES_MAX).collect())
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a node in its certificate.
pub(super) fn node_uri(mesh: &MeshName, region: &RegionName, node: &NodeName) -> String {
    format!("{}/region/{region}/node/{node}", mesh_uri(mesh))
}

/// The name of a mesh in the certificate of its authority.
pub(super) fn mesh_uri(mesh: &MeshName) -> String {
    format!("{SCHEME}{mesh}")
}

/// The mesh whose authority holds this certificate, if one does.
pub(super) fn authority_mesh(certificate: &X509Certificate<'_>) -> Option<MeshName> {
    only_uri(certificate).ok()?.strip_prefix(SCHEME)?.parse().ok()
}

/// A whole certificate and nothing behind it.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Fault> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Fault::Unreadable),
    }
}

/// A certificate's date; what lies before 1970 counts as 1970.
pub(crate) fn system_time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

fn only_uri(certificate: &X509Certificate<'_>) -> Result<String, Fault> {
    let extension = certificate.subject_alternative_name().map_err(|_| Fault::Unreadable)?;
    let names = extension.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri.to_owned()),
        (None, _) => Err(Fault::NoUri),
        (Some(_), Some(_)) => Err(Fault::SeveralUris),
    }
}

fn parse_node_uri(uri: &str) -> Result<(MeshName, RegionName, NodeName), Fault> {
    let names = uri.strip_prefix(SCHEME).and_then(|path| {
        let mut parts = path.split('/');
        let mesh = name(parts.next())?;
        let region = parts.next().filter(|word| *word == "region").and_then(|_| name(parts.next()))?;
        let node = parts.next().filter(|word| *word == "node").and_then(|_| name(parts.next()))?;
        parts.next().is_none().then_some((mesh, region, node))
    });
    names.ok_or(Fault::OtherUri)
}

fn name<T: FromStr>(part: Option<&str>) -> Option<T> {
    part?.parse().ok()
}

const SCHEME: &str = "spiffe://";
/// RFC 5280 allows 20; what is longer is cut.
const SERIAL_BYTES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(uri: &str) -> Option<String> {
        parse_node_uri(uri).ok().map(|(mesh, region, node)| node_uri(&mesh, &region, &node))
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let uri = "spiffe://mesh-1/region/eu-central/node/eu-a";
        let (mesh, region, node) = parse_node_uri(uri).unwrap();
        assert_eq!((mesh.as_str(), region.as_str(), node.as_str()), ("mesh-1", "eu-central", "eu-a"));
        assert_eq!(node_uri(&mesh, &region, &node), uri);
    }

    #[test]
    fn nothing_but_the_exact_form_is_a_name() {
        for uri in [
            "",
            "spiffe://",
            "spiffe://m",
            "spiffe://m/region/r",
            "spiffe://m/region/r/node",
            "spiffe://m/region/r/node/",
            "spiffe://m/region/r/node/n/",
            "spiffe://m/region/r/node/n/x",
            "spiffe://m/region/r/node/n?x=1",
            "spiffe://m/region/r/node/n#x",
            "spiffe://m/region//node/n",
            "spiffe://m/node/n/region/r",
            "spiffe://m//region/r/node/n",
            "spiffe:///region/r/node/n",
            "spiffe://m:443/region/r/node/n",
            "spiffe://u@m/region/r/node/n",
            "spiffe://M/region/r/node/n",
            "SPIFFE://m/region/r/node/n",
            "https://m/region/r/node/n",
            " spiffe://m/region/r/node/n",
            "spiffe://m/region/r/node/n ",
            "spiffe://m/region/r/node/n%6f",
            "spiffe://m/region/../node/n",
        ] {
            assert_eq!(parsed(uri), None, "{uri}");
        }
    }

    /// Every text one byte away from a name is either no name or exactly the name that it says.
    #[test]
    fn a_changed_byte_never_reads_as_the_unchanged_name() {
        let uri = "spiffe://m/region/r-1/node/n9";
        for at in 0..uri.len() {
            for byte in 0..128u8 {
                let mut changed = uri.as_bytes().to_vec();
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                assert!(parsed(&changed).is_none_or(|read| read == changed), "{changed:?}");
            }
            let cut = &uri[..at];
            assert!(parsed(cut).is_none_or(|read| read == cut), "{cut}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_unreadable() {
        for der in [&b""[..], b"\x30", b"\x30\x80", b"hello", &[0x30; 4096]] {
            assert_eq!(PeerIdentity::read(der), Err(Fault::Unreadable));
        }
    }

    #[test]
    fn serials_print_in_hexadecimal_and_are_bounded() {
        assert_eq!(Serial::new(&[0x0a, 0xff]).to_string(), "0aff");
        assert_eq!(Serial::new(&[7; 1_000]).to_string().len(), 2 * SERIAL_BYTES_MAX);
    }
}
