//! Why a certificate is refused, in words that both ends log.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use graticule_gossip_core::{MeshName, NodeName, RegionName};
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, OtherError};
use x509_parser::time::ASN1Time;

use super::PeerIdentity;

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no certificate, or its names cannot be read.
    Unreadable,
    /// It has no URI among its alternative names.
    NoUri,
    /// It has more than one.
    SeveralUris,
    /// Its URI is no node's name.
    OtherUri,
    /// It ended; by the clock of the end that checked it, whose reading comes second.
    Expired(UnixTime, UnixTime),
    /// It has not begun, by that clock.
    NotYetValid(UnixTime, UnixTime),
    /// No authority of the bundle signed it; so many of the bundle were not valid at the time.
    UnknownAuthority { unusable: usize },
    /// It names an authority of the bundle, but that one's key did not sign it.
    ForgedAuthority,
    /// It is not for this end of a tunnel.
    Purpose,
    /// It is of another mesh than this one.
    Mesh(MeshName),
    /// The dialler wanted to reach this node.
    Node(NodeName),
    /// The dialler wanted to reach a node of this region.
    Region(RegionName),
    /// Anything else that the TLS library found.
    Other(String),
}

/// A fault and the certificate it was found in, as the end that checked it tells the other.
#[derive(Debug)]
pub(super) struct Refused {
    /// The name that the certificate claims; unproven where its signature is the fault.
    claimed: Option<PeerIdentity>,
    fault: Fault,
}

impl Refused {
    pub(super) fn new(certificate: &[u8], fault: Fault) -> Self {
        Self { claimed: PeerIdentity::read(certificate).ok(), fault }
    }
}

impl Fault {
    /// What the chain check found, in our words; `unusable` authorities were left out of it.
    pub(super) fn of_chain(error: rustls::Error, unusable: usize) -> Self {
        use CertificateError as E;
        match error {
            rustls::Error::InvalidCertificate(error) => match error {
                E::ExpiredContext { time, not_after } => Self::Expired(not_after, time),
                E::NotValidYetContext { time, not_before } => Self::NotYetValid(not_before, time),
                E::UnknownIssuer => Self::UnknownAuthority { unusable },
                E::BadSignature => Self::ForgedAuthority,
                E::BadEncoding => Self::Unreadable,
                E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::Purpose,
                other => Self::Other(short(&other)),
            },
            other => Self::Other(short(&other)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => write!(f, "it cannot be read as an X.509 certificate"),
            Self::NoUri => write!(f, "it has no URI among its names; expected {EXPECTED_URI}"),
            Self::SeveralUris => {
                write!(f, "it has several URIs among its names; expected one, {EXPECTED_URI}")
            }
            Self::OtherUri => write!(f, "its URI is no node's name; expected {EXPECTED_URI}"),
            Self::Expired(at, clock) => write!(f, "it expired at {}{}", Date(*at), Checked(*clock)),
            Self::NotYetValid(at, clock) => {
                write!(f, "it is not valid before {}{}", Date(*at), Checked(*clock))
            }
            Self::UnknownAuthority { unusable: 0 } => {
                write!(f, "no trusted authority issued it")
            }
            Self::UnknownAuthority { unusable } => {
                write!(
                    f,
                    "no trusted authority issued it ({unusable} in the bundle expired or not yet valid)"
                )
            }
            Self::ForgedAuthority => {
                write!(f, "no trusted authority issued it (one has the issuer's name, but another key)")
            }
            Self::Purpose => write!(f, "it is not issued for this end of a tunnel (extended key usage)"),
            Self::Mesh(own) => write!(f, "it is of another mesh than `{own}`"),
            Self::Node(expected) => write!(f, "expected node `{expected}`"),
            Self::Region(expected) => write!(f, "expected region `{expected}`"),
            Self::Other(problem) => f.write_str(problem),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.claimed {
            Some(name) => write!(f, "certificate of {name} refused: {}", self.fault),
            None => write!(f, "certificate refused: {}", self.fault),
        }
    }
}

impl std::error::Error for Refused {}

/// `Other` is the one error of the TLS library whose text it prints as it is.
impl From<Refused> for rustls::Error {
    fn from(refused: Refused) -> Self {
        Self::Other(OtherError(Arc::new(refused)))
    }
}

/// A date for people: `2026-11-23T05:48:17Z`.
pub(super) fn date(time: SystemTime) -> impl fmt::Display {
    Date(UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)))
}

struct Date(UnixTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX);
        let Ok(time) = ASN1Time::from_timestamp(seconds) else { return f.write_str("the end of time") };
        let time = time.to_datetime();
        let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
        write!(f, "{year:04}-{month:02}-{day:02}T")?;
        write!(f, "{:02}:{:02}:{:02}Z", time.hour(), time.minute(), time.second())
    }
}

/// Whose clock it was: what is expired for one end may not be for the other.
struct Checked(UnixTime);

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", and the clock of the node that checked says {}", Date(self.0))
    }
}

fn short(problem: &impl fmt::Display) -> String {
    problem.to_string().chars().take(OTHER_CHARS_MAX).collect()
}

const EXPECTED_URI: &str = "spiffe://<mesh>/region/<region>/node/<node>";
/// A reason must fit into one packet of a handshake with everything else.
const OTHER_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn dates_are_utc_to_the_second() {
        assert_eq!(Date(at(0)).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Date(at(951_827_696)).to_string(), "2000-02-29T12:34:56Z");
        assert_eq!(Date(at(u64::MAX)).to_string(), "the end of time");
    }

    #[test]
    fn an_expiry_says_whose_clock_it_was() {
        assert_eq!(
            Fault::Expired(at(0), at(86_400)).to_string(),
            "it expired at 1970-01-01T00:00:00Z, and the clock of the node that checked says 1970-01-02T00:00:00Z"
        );
    }

    #[test]
    fn a_long_text_of_the_library_is_cut() {
        let fault = Fault::of_chain(rustls::Error::General("x".repeat(10_000)), 0);
        assert_eq!(fault.to_string().len(), OTHER_CHARS_MAX);
    }

    #[test]
    fn the_library_prints_the_text_as_it_is() {
        let error = rustls::Error::from(Refused::new(b"", Fault::NoUri));
        assert_eq!(error.to_string(), format!("other error: certificate refused: {}", Fault::NoUri));
    }
}
