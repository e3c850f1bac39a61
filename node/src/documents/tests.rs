//! What is read, what is kept when it breaks, and what counts as a change.

use super::*;
use crate::identity::testing::Machine;
use crate::testing::{FLEET, tenant};

fn documents(machine: &Machine) -> Documents {
    Documents::new("docs".into(), Arc::clone(&machine.world.disk))
}

fn machine() -> Machine {
    let machine = Machine::new();
    machine.disk.put("docs/fleet.toml", FLEET);
    machine.disk.put("docs/tenants/acme.toml", acme());
    machine
}

fn acme() -> String {
    tenant("acme", &["DE"], &[("eu", "127.0.0.1:1".parse().unwrap())])
}

#[test]
fn fleet_and_tenants_are_read_together_and_other_files_are_not() {
    let machine = machine();
    machine.disk.put("docs/tenants/notes.txt", "not a document");
    let loaded = documents(&machine).load().unwrap();
    assert_eq!(loaded.policy.tenants.len(), 1);
    assert_eq!(loaded.policy.fleet.regions.len(), 3);
}

#[test]
fn every_error_is_told_with_its_file() {
    let machine = machine();
    machine.disk.put("docs/tenants/acme.toml", "version = ");
    machine.disk.put("docs/tenants/beta.toml", "id = 3");
    let errors = documents(&machine).load().unwrap_err();
    for file in ["docs/tenants/acme.toml", "docs/tenants/beta.toml"] {
        assert!(errors.iter().any(|error| error.file == file), "{file}: {errors:?}");
    }
    machine.disk.remove("docs/fleet.toml");
    let errors = documents(&machine).load().unwrap_err();
    assert!(errors[0].message.contains("cannot be read"), "{errors:?}");
}

#[test]
fn a_document_over_its_limit_is_an_error_and_not_read() {
    let machine = machine();
    machine.disk.put("docs/tenants/acme.toml", vec![b'#'; Source::BYTES_MAX + 1]);
    let errors = documents(&machine).load().unwrap_err();
    assert!(errors.iter().any(|error| error.file == "docs/tenants/acme.toml"), "{errors:?}");
}

#[test]
fn a_broken_tenant_keeps_its_last_good_document_and_disturbs_nobody() {
    let machine = machine();
    let documents = documents(&machine);
    let first = documents.load().unwrap();
    machine.disk.put("docs/tenants/acme.toml", "version = ");
    machine.disk.put("docs/tenants/beta.toml", acme().replace("acme", "beta"));
    machine.disk.put("docs/tenants/gamma.toml", "id = 3");
    let reloaded = documents.reload(&first.documents);
    let loaded = reloaded.loaded.unwrap();
    let ids: Vec<_> = loaded.policy.tenants.iter().map(|tenant| tenant.id.as_str()).collect();
    assert_eq!(ids, ["acme", "beta"]);
    assert_eq!(reloaded.kept.iter().map(ToString::to_string).collect::<Vec<_>>(), ["acme"]);
    assert!(!reloaded.diagnostics.is_empty());
}

#[test]
fn a_tenant_s_document_that_cannot_be_read_holds_nobody_else_back() {
    let machine = machine();
    let documents = documents(&machine);
    let first = documents.load().unwrap();
    machine.disk.put("docs/tenants/acme.toml", vec![b'#'; Source::BYTES_MAX + 1]);
    machine.disk.put("docs/tenants/beta.toml", acme().replace("acme", "beta"));
    let reloaded = documents.reload(&first.documents);
    let policy = reloaded.loaded.unwrap().policy;
    let ids: Vec<_> = policy.tenants.iter().map(|tenant| tenant.id.as_str()).collect();
    assert_eq!(ids, ["acme", "beta"]);
    assert_eq!(reloaded.kept.iter().map(ToString::to_string).collect::<Vec<_>>(), ["acme"]);
}

#[test]
fn a_fleet_that_cannot_be_read_keeps_everything() {
    let machine = machine();
    let documents = documents(&machine);
    let first = documents.load().unwrap();
    machine.disk.remove("docs/fleet.toml");
    let reloaded = documents.reload(&first.documents);
    assert!(reloaded.loaded.is_none());
    assert_eq!(reloaded.kept.len(), 1);
    assert_eq!(reloaded.diagnostics.len(), 1);
}

#[test]
fn the_stamp_changes_when_a_document_comes_changes_or_goes() {
    let machine = machine();
    let documents = documents(&machine);
    let mut stamps = vec![documents.stamp()];
    assert_eq!(documents.stamp(), stamps[0]);
    machine.disk.put("docs/tenants/acme.toml", "changed");
    stamps.push(documents.stamp());
    machine.disk.put("docs/tenants/beta.toml", "new");
    stamps.push(documents.stamp());
    machine.disk.put("docs/fleet.toml", "changed");
    stamps.push(documents.stamp());
    machine.disk.remove("docs/tenants/beta.toml");
    stamps.push(documents.stamp());
    let distinct: std::collections::BTreeSet<_> = stamps.iter().collect();
    assert_eq!(distinct.len(), stamps.len(), "{stamps:?}");
}
