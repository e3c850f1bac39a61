//! What is seen from outside while a run goes on: what backends receive, and what nodes think of each other.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::{NodeName, View};
use graticule_node_core::mesh::Condition;
use tokio::time::sleep;

use super::driver::Opinions;
use super::{Stage, invariants};

/// Looks for as long as the run goes on.
pub(super) async fn watch(stage: Rc<Stage>) {
    let mut seen = 0;
    let nodes = stage.scenario.fleet.node_names();
    let mut nodes: Vec<_> = nodes.map(|node| (node, Mind::default(), Ear::default())).collect();
    loop {
        seen += receive(&stage, seen);
        for (node, mind, ear) in &mut nodes {
            mind.note(&stage, node, stage.driver.opinions(node));
            ear.note(&stage, node, stage.driver.hearsay(node));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Notes and checks what backends have received since the last look.
fn receive(stage: &Stage, seen: usize) -> usize {
    let new = stage.driver.received_from(seen);
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
struct Mind(Option<Rc<Opinions>>);

impl Mind {
    fn note(&mut self, stage: &Stage, node: &str, opinions: Option<Rc<Opinions>>) {
        let same = match (&self.0, &opinions) {
            (Some(known), Some(opinions)) => Rc::ptr_eq(known, opinions),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        let runs = opinions.is_some();
        let (before, now) = (self.0.take().unwrap_or_default(), opinions.clone().unwrap_or_default());
        for (peer, condition) in now.iter() {
            if before.get(peer) != Some(condition) {
                stage.chronicle.tunnel(node, peer, word(*condition));
            }
        }
        for peer in before.keys().filter(|peer| !now.contains_key(*peer)) {
            if runs {
                stage.chronicle.tunnel(node, peer, "unknown");
            } else {
                stage.chronicle.tunnel_gone(node, peer);
            }
        }
        self.0 = opinions;
    }
}

/// Whom gossip told one node to be alive when it was looked at last.
#[derive(Default)]
struct Ear(Option<Heard>);

struct Heard {
    view: Arc<View>,
    alive: BTreeSet<NodeName>,
}

impl Ear {
    fn note(&mut self, stage: &Stage, node: &str, view: Option<Arc<View>>) {
        let Some(view) = view else { return self.0 = None };
        if self.0.as_ref().is_some_and(|heard| Arc::ptr_eq(&heard.view, &view)) {
            return;
        }
        let alive: BTreeSet<_> = view.live().map(|member| member.node.clone()).collect();
        // What a node hears first is no news.
        if let Some(before) = &self.0 {
            for dead in before.alive.difference(&alive) {
                stage.chronicle.view(node, dead.as_str(), false);
                invariants::called_dead(stage, node, dead.as_str());
            }
            for back in alive.difference(&before.alive) {
                stage.chronicle.view(node, back.as_str(), true);
            }
        }
        self.0 = Some(Heard { view, alive });
    }
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
