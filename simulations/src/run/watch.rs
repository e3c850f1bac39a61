//! What is seen from outside while a run goes on: what backends receive, and what nodes think of each other.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_node_core::mesh::{Condition, MeshState};
use tokio::time::sleep;

use super::{Stage, invariants};

/// Looks for as long as the run goes on.
pub(super) async fn watch(stage: Rc<Stage>) {
    let mut seen = 0;
    let mut minds = BTreeMap::new();
    loop {
        seen += receive(&stage, seen);
        for machine in stage.fleet.machines() {
            // A node that does not run thinks nothing.
            let mesh = machine.snapshot().ok().map(|snapshot| Arc::clone(&snapshot.mesh));
            minds.entry(machine.name().to_owned()).or_insert_with(Mind::default).note(
                &stage,
                machine.name(),
                mesh,
            );
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Notes and checks what backends have received since the last look.
fn receive(stage: &Stage, seen: usize) -> usize {
    let new = stage.fleet.received_from(seen);
    for receipt in &new {
        let what = format!(
            "{} {} for {} via {}",
            receipt.method,
            receipt.target,
            receipt.host,
            receipt.via.join(", ")
        );
        stage.chronicle.note_at(receipt.at, "serve", &receipt.region, what);
        invariants::received(stage, receipt);
    }
    new.len()
}

/// What one node thought of the others when it was looked at last.
#[derive(Default)]
struct Mind {
    mesh: Option<Arc<MeshState>>,
    conditions: BTreeMap<String, &'static str>,
}

impl Mind {
    fn note(&mut self, stage: &Stage, node: &str, mesh: Option<Arc<MeshState>>) {
        let same = match (&self.mesh, &mesh) {
            (Some(known), Some(mesh)) => Arc::ptr_eq(known, mesh),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        let conditions = mesh.as_deref().map(conditions).unwrap_or_default();
        for (peer, condition) in &conditions {
            if self.conditions.get(peer) != Some(condition) {
                stage.chronicle.tunnel(node, peer, condition);
            }
        }
        for peer in self.conditions.keys().filter(|peer| !conditions.contains_key(*peer)) {
            stage.chronicle.tunnel(node, peer, "unknown");
        }
        (self.mesh, self.conditions) = (mesh, conditions);
    }
}

fn conditions(mesh: &MeshState) -> BTreeMap<String, &'static str> {
    let peers = mesh.regions.iter().flat_map(|region| &region.peers);
    peers.map(|peer| (peer.node.to_string(), word(peer.condition))).collect()
}

pub(super) fn word(condition: Condition) -> &'static str {
    match condition {
        Condition::Usable => "usable",
        Condition::Suspect => "suspect",
        Condition::Draining => "draining",
        Condition::Unreachable => "unreachable",
    }
}

const LOOK_INTERVAL: Duration = Duration::from_millis(10);
