//! The certificates that clients see, as metrics.

use std::time::UNIX_EPOCH;

use graticule_node_core::metrics::{Exposition, Kind};

use crate::certificates::Certificates;

/// Writes the families: without samples where there is no TLS.
pub(super) fn write(certificates: Option<&Certificates>, page: &mut Exposition) {
    page.family(
        "graticule_ingress_certificate_expiry_timestamp_seconds",
        Kind::Gauge,
        "When certificates for clients end, in seconds since 1970: of those that end soonest, by the name of the pair.",
    );
    let mut expiries = certificates.map(Certificates::expiries).unwrap_or_default();
    expiries.sort_by_key(|(_, end)| *end);
    for (pair, end) in expiries.iter().take(EXPIRIES_MAX) {
        let since = end.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.sample(&[("pair", pair)], since.as_secs_f64());
    }
    page.family(
        "graticule_ingress_certificates_faulty",
        Kind::Gauge,
        "Pairs of certificate and key with which something is wrong; the log says what.",
    );
    if let Some(certificates) = certificates {
        page.sample(&[], certificates.faulty() as f64);
    }
}

/// Certificates with series of their own: whoever has ten thousand wants to hear of those that end.
const EXPIRIES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::world::World;

    #[test]
    fn those_that_end_soonest_are_told_and_those_that_are_broken_counted() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..=EXPIRIES_MAX {
            let mut params = CertificateParams::new([format!("host-{number}.example")]).unwrap();
            params.not_after = date_time_ymd(2100 - i32::try_from(number).unwrap(), 1, 1);
            let key = KeyPair::generate().unwrap();
            let file = |ending| directory.path().join(format!("pair-{number}.{ending}"));
            fs::write(file("pem"), params.self_signed(&key).unwrap().pem()).unwrap();
            fs::write(file("key"), key.serialize_pem()).unwrap();
        }
        fs::write(directory.path().join("broken.pem"), "no certificate").unwrap();
        let (certificates, _) = Certificates::load(directory.path().to_owned(), &World::system()).unwrap();
        let mut page = Exposition::default();
        write(Some(&certificates), &mut page);
        let text = page.text();
        // 2050-01-01.
        let expected =
            "graticule_ingress_certificate_expiry_timestamp_seconds{pair=\"pair-50\"} 2524608000\n";
        assert!(text.contains(expected), "{text}");
        assert_eq!(text.matches("{pair=").count(), EXPIRIES_MAX);
        assert!(!text.contains("\"pair-0\""), "it ends last: {text}");
        assert!(text.contains("\ngraticule_ingress_certificates_faulty 1\n"), "{text}");
    }
}
