//! What an authority issues, and how it lies on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use x509_parser::prelude::*;

use super::*;
use crate::identity::testing::{DAY, authority, issued, today};
use crate::identity::{Identity, PeerIdentity};
use crate::world::World;

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn an_authority_may_sign_nodes_and_no_other_authority() {
    let authority = authority("atlas");
    let der = der(authority.certificate());
    let certificate = parse(&der).unwrap();
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
    assert_eq!(authority_mesh(&certificate), Some("atlas".parse().unwrap()));
    assert_eq!(certificate.signature_algorithm.algorithm, oid_registry::OID_SIG_ED25519);
    assert_eq!(authority.not_after(), today() + 3_650 * DAY);
}

#[test]
fn a_nodes_certificate_says_who_it_is_and_for_what() {
    let issued = issued(&authority("atlas"), "eu", "a");
    let der = der(&issued.certificate);
    let certificate = parse(&der).unwrap();
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && usage.server_auth && !usage.any);
    assert!(!certificate.basic_constraints().unwrap().unwrap().value.ca);
    assert_eq!(system_time(certificate.validity().not_before), today() - Duration::from_hours(1));
    let identity = PeerIdentity::read(&der).unwrap();
    assert_eq!(identity.to_string(), "spiffe://atlas/region/eu/node/a");
    assert_eq!(identity.not_after, today() + 90 * DAY);
    assert_eq!(issued.not_after, identity.not_after);
}

#[test]
fn no_certificate_outlives_its_authority() {
    let authority = Authority::create(&"atlas".parse().unwrap(), 30, today()).unwrap();
    let order = |now| authority.issue(&"eu".parse().unwrap(), &"a".parse().unwrap(), 90, now);
    let issued = order(today() + 10 * DAY).unwrap();
    assert_eq!(issued.not_after, today() + 30 * DAY);
    assert_eq!(PeerIdentity::read(&der(&issued.certificate)).unwrap().not_after, today() + 30 * DAY);
    let error = order(today() + 30 * DAY).err().unwrap().to_string();
    assert!(error.contains("expired at 2026-12-23T00:00:00Z"), "{error}");
}

#[test]
fn serials_differ_and_sizes_do_not() {
    let authority = authority("atlas");
    let ders: Vec<_> = (0..64).map(|_| der(&issued(&authority, "eu", "a").certificate)).collect();
    let mut serials: Vec<_> = ders.iter().map(|der| PeerIdentity::read(der).unwrap().serial).collect();
    assert!(ders.iter().all(|der| der.len() == ders[0].len()));
    assert!(serials.iter().all(|serial| serial.to_string().len() == 2 * SERIAL_BYTES));
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), ders.len());
}

#[test]
fn a_loaded_authority_issues_as_the_made_one_did() {
    let made = authority("atlas");
    let loaded = Authority::load(made.certificate(), &made.key()).unwrap();
    assert_eq!(loaded.mesh(), made.mesh());
    assert_eq!(loaded.not_after(), made.not_after());
    let (by_loaded, by_made) = (issued(&loaded, "eu", "a"), issued(&made, "eu", "a"));
    let (by_loaded, by_made) = (der(&by_loaded.certificate), der(&by_made.certificate));
    assert_eq!(parse(&by_loaded).unwrap().issuer(), parse(&by_made).unwrap().issuer());
}

#[test]
fn the_key_finds_its_certificate_in_a_bundle() {
    let (one, two) = (authority("atlas"), authority("zeus"));
    let bundle = [one.certificate(), two.certificate()].concat();
    assert_eq!(Authority::load(&bundle, &two.key()).unwrap().mesh(), two.mesh());
    let problem = |bundle: &str, key: &str| Authority::load(bundle, key).err().unwrap().to_string();
    assert!(problem(one.certificate(), &two.key()).contains("not that of the authority"));
    assert!(problem(one.certificate(), "hello").contains("no private key"));
    assert!(problem("", &one.key()).contains("not that of the authority"));
    let node = issued(&one, "eu", "a");
    assert!(problem(&node.certificate, &node.key).contains("does not say of which mesh"));
}

fn order(node: &str) -> Issue {
    let (region, node) = ("eu".parse().unwrap(), node.parse().unwrap());
    Issue { region, node, valid_days: 90, overwrite: false }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_written_with_their_modes_and_loaded_by_a_node() {
    let directory = tempfile::tempdir().unwrap();
    let (ca, out) = (directory.path().join("ca"), directory.path().join("nodes/a"));
    assert_eq!(init(&ca, &"atlas".parse().unwrap(), 3_650, today()), Ok(today() + 3_650 * DAY));
    assert_eq!(mode(&ca.join("ca.key")), 0o600);
    let written = issue(&ca, &out, &order("a"), today()).unwrap();
    assert_eq!(written.files.certificate, out.join("a.pem"));
    assert_eq!(mode(&written.files.key), 0o600);
    assert_eq!(written.not_after, today() + 90 * DAY);
    assert_eq!(fs::read(ca.join("ca.pem")).unwrap(), fs::read(&written.files.authorities).unwrap());
    let world = World { clock: crate::identity::testing::Machine::new().world.clock, ..World::system() };
    let identity = Identity::load(written.files, &world).unwrap();
    assert_eq!(identity.own().to_string(), "spiffe://atlas/region/eu/node/a");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3, "no temporary file stays");
}

#[test]
fn an_authority_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let (ca, mesh) = (directory.path(), "atlas".parse().unwrap());
    init(ca, &mesh, 10, today()).unwrap();
    let before = fs::read(ca.join("ca.key")).unwrap();
    let error = init(ca, &mesh, 10, today()).unwrap_err().to_string();
    assert!(error.contains("ca.pem: exists; an authority is never overwritten"), "{error}");
    fs::remove_file(ca.join("ca.pem")).unwrap();
    assert!(init(ca, &mesh, 10, today()).is_err(), "a key without its certificate counts too");
    assert!(!ca.join("ca.pem").exists());
    assert_eq!(fs::read(ca.join("ca.key")).unwrap(), before);
}

#[test]
fn a_nodes_files_are_replaced_only_by_force() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    init(path, &"atlas".parse().unwrap(), 3_650, today()).unwrap();
    let written = issue(path, path, &order("a"), today()).unwrap();
    let before = fs::read(&written.files.key).unwrap();
    let error = issue(path, path, &order("a"), today()).unwrap_err().to_string();
    assert!(error.contains("a.pem: exists; use --force"), "{error}");
    assert_eq!(fs::read(&written.files.key).unwrap(), before);
    let forced = Issue { overwrite: true, ..order("a") };
    issue(path, path, &forced, today()).unwrap();
    assert_ne!(fs::read(&written.files.key).unwrap(), before);
    assert_eq!(mode(&written.files.key), 0o600);
    issue(path, path, &order("b"), today()).expect("other nodes may share the directory");
}

#[test]
fn a_bundle_that_is_there_stays_and_must_hold_the_authority() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new, out) =
        (directory.path().join("old"), directory.path().join("new"), directory.path().join("out"));
    let mesh = "atlas".parse().unwrap();
    init(&old, &mesh, 3_650, today()).unwrap();
    init(&new, &mesh, 3_650, today()).unwrap();
    issue(&old, &out, &order("a"), today()).unwrap();
    let forced = Issue { overwrite: true, ..order("a") };
    let error = issue(&new, &out, &forced, today()).unwrap_err().to_string();
    assert!(error.contains("holds other authorities, not the one that issues; append"), "{error}");
    let both =
        fs::read_to_string(old.join("ca.pem")).unwrap() + &fs::read_to_string(new.join("ca.pem")).unwrap();
    fs::write(out.join("ca.pem"), &both).unwrap();
    issue(&new, &out, &forced, today()).unwrap();
    assert_eq!(fs::read_to_string(out.join("ca.pem")).unwrap(), both);
}

#[test]
fn an_order_that_cannot_be_filled_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    init(path, &"atlas".parse().unwrap(), 3_650, today()).unwrap();
    let key = fs::read(path.join("ca.key")).unwrap();
    let named_ca = Issue { overwrite: true, ..order("ca") };
    assert!(
        issue(path, path, &named_ca, today()).unwrap_err().to_string().contains("no node can be named `ca`")
    );
    assert_eq!(fs::read(path.join("ca.key")).unwrap(), key);
    let no_days = Issue { valid_days: 0, ..order("a") };
    assert!(issue(path, path, &no_days, today()).unwrap_err().to_string().contains("expected 1 to 36500"));
    assert_eq!(fs::read_dir(path).unwrap().count(), 2);
    let nowhere = path.join("nowhere");
    let error = issue(&nowhere, path, &order("a"), today()).unwrap_err().to_string();
    assert!(error.contains("nowhere/ca.pem: cannot be read"), "{error}");
    assert!(init(&nowhere, &"atlas".parse().unwrap(), 0, today()).is_err());
    assert!(!nowhere.exists());
}
