//! When files are read again, what is then taken, and when the end of a certificate is warned of.

use std::time::UNIX_EPOCH;

use graticule_node_core::document::Loaded;

use super::*;
use crate::identity::testing::{Machine, authority, issued, node_of};
use crate::testing::{FLEET, snapshot, tenant};

#[test]
fn the_end_of_a_certificate_is_told_from_thirty_days_before_and_once_a_day() {
    let end = UNIX_EPOCH + DAY * 1_000;
    let mut expiry = Expiry::default();
    let mut told = Vec::new();
    for hour in 0..24 * 40 {
        let now = end - DAY * 35 + Duration::from_hours(1) * hour;
        if expiry.due(end.duration_since(now).unwrap_or_default(), now).is_some() {
            told.push(hour);
        }
    }
    let expected: Vec<_> = (5 * 24..24 * 40).step_by(24).collect();
    assert_eq!(told, expected, "also when it has expired");
}

#[test]
fn a_clock_that_is_set_back_does_not_silence_the_warning() {
    let mut expiry = Expiry::default();
    let now = UNIX_EPOCH + DAY * 1_000;
    assert_eq!(expiry.due(DAY, now), Some(DAY));
    assert_eq!(expiry.due(DAY, now), None);
    assert_eq!(expiry.due(DAY, now - DAY * 100), Some(DAY));
}

#[test]
fn a_new_certificate_is_warned_of_anew() {
    let mut expiry = Expiry::default();
    let now = UNIX_EPOCH + DAY * 1_000;
    assert!(expiry.due(DAY, now).is_some());
    assert!(expiry.due(DAY * 90, now + DAY).is_none());
    assert!(expiry.due(DAY * 30, now + DAY * 61).is_some());
}

#[test]
fn a_file_is_read_again_when_it_has_changed_and_rests() {
    assert!(!settled(1, 1, 1), "nothing has changed");
    assert!(!settled(1, 1, 2), "it is being written, as far as one can see");
    assert!(!settled(1, 2, 3));
    assert!(settled(1, 3, 3));
    assert!(!settled(1, 3, 1), "it is again as it was");
}

/// A node in `eu` of `atlas` with one tenant, and what it would make of other documents.
struct Reloading {
    machine: Machine,
    watched: Watched,
    shared: Shared,
    policies: watch::Sender<Arc<Policy>>,
}

impl Reloading {
    fn new() -> Self {
        let (machine, identity) = machine_of("eu", "node-1");
        machine.disk.put("docs/fleet.toml", FLEET);
        machine.disk.put("docs/tenants/acme.toml", acme(&["DE"]));
        let documents = Documents::new("docs".into(), Arc::clone(&machine.world.disk));
        let geo = GeoConfig {
            databases: Vec::new(),
            embedded: false,
            overrides: std::collections::BTreeMap::new(),
        };
        let stamps = Stamps::now(&machine.world, &documents, &geo);
        let Loaded { policy, documents: loaded, .. } = documents.load().unwrap();
        let (shared, _refusals) = Shared::new(snapshot(policy.clone(), ("node-1", "eu"), &[]), 1);
        let policies = watch::Sender::new(Arc::new(policy));
        let world = machine.world.clone();
        Self {
            machine,
            watched: Watched { world, identity, certificates: None, documents, loaded, geo, stamps },
            shared,
            policies,
        }
    }

    /// Why what is on the disk is not in force after another look, if it is not.
    fn refusal(&mut self) -> Option<Refusal> {
        reload_documents(&mut self.watched, &self.shared, &self.policies)
    }

    /// The countries whose regions may serve the tenant, by what is to take force after another look.
    fn reach(&mut self) -> usize {
        reload_documents(&mut self.watched, &self.shared, &self.policies);
        self.policies.borrow().tenants[0].residency.reach().len()
    }
}

fn machine_of(region: &str, node: &str) -> (Machine, Identity) {
    let authority = authority("atlas");
    node_of(&issued(&authority, region, node), authority.certificate())
}

fn acme(countries: &[&str]) -> String {
    tenant("acme", countries, &[("eu", "127.0.0.1:1".parse().unwrap())])
}

#[test]
fn documents_of_another_mesh_or_without_this_region_are_not_taken() {
    let mut node = Reloading::new();
    node.machine.disk.put("docs/tenants/acme.toml", acme(&["DE", "US"]));
    for other in [FLEET.replace("\"atlas\"", "\"other\""), FLEET.replace("[regions.eu]", "[regions.north]")] {
        node.machine.disk.put("docs/fleet.toml", other.replace("version = 3", "version = 9"));
        assert_eq!(node.reach(), 1, "{other}");
        assert_eq!(node.watched.loaded.fleet.fleet().version.0, 3, "it is not the last good one either");
    }
    node.machine.disk.put("docs/fleet.toml", FLEET);
    assert_eq!(node.reach(), 2);
}

#[test]
fn a_document_that_is_kept_back_is_told_with_its_errors_until_it_is_right() {
    let mut node = Reloading::new();
    assert_eq!(node.refusal(), None);
    node.machine.disk.put("docs/tenants/acme.toml", "id = \"acme\"\nversion = ");
    let refusal = node.refusal().expect("it is broken");
    assert!(refusal.errors[0].starts_with("docs/tenants/acme.toml:2:"), "{refusal:?}");
    assert_eq!((refusal.kept[0].as_str(), refusal.absent.len()), ("acme", 0));
    node.machine.disk.put("docs/tenants/new.toml", "id = \"new\"\nversion = ");
    assert_eq!(node.refusal().unwrap().absent[0].as_str(), "new");
    node.machine.disk.put("docs/fleet.toml", "version = ");
    assert!(node.refusal().unwrap().errors.iter().any(|error| error.contains("fleet.toml")));
    node.machine.disk.put("docs/fleet.toml", FLEET.replace("\"atlas\"", "\"other\""));
    node.machine.disk.put("docs/tenants/acme.toml", acme(&["DE"]));
    node.machine
        .disk
        .put("docs/tenants/new.toml", tenant("new", &["DE"], &[("eu", "127.0.0.1:1".parse().unwrap())]));
    assert!(node.refusal().unwrap().errors[0].contains("mesh `other`"));
    node.machine.disk.put("docs/fleet.toml", FLEET);
    assert_eq!(node.refusal(), None);
}
