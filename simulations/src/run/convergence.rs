//! Do all nodes agree again, a stated time after the last fault: on who there is, and on who can be given requests.

use std::collections::BTreeSet;
use std::rc::Rc;

use tokio::time::sleep_until;

use super::Stage;
use super::chronicle::Finding;
use super::truth::Part;
use super::watch::word;

/// Checks it once, when it is time; never if the scenario ends before.
pub(super) async fn check(stage: Rc<Stage>) {
    let last = stage.scenario.last_change();
    sleep_until(stage.zero + last + stage.scenario.convergence).await;
    let names: Vec<_> = stage.scenario.fleet.node_names().collect();
    let (alive, all_heard) = {
        let truth = stage.truth.borrow();
        let alive: BTreeSet<_> = names.iter().filter(|node| truth.speaks(node)).cloned().collect();
        (alive, !truth.any_way_is_hurt())
    };
    for node in names.iter().filter(|node| is_well(&stage, node)) {
        stage.count_check();
        conditions(&stage, node, &names);
        // Over hurt ways, who is alive is a matter of opinion.
        if all_heard {
            view(&stage, node, &alive).await;
        }
    }
}

fn is_well(stage: &Stage, node: &str) -> bool {
    stage.truth.borrow().is_unhurt(&Part::Node(node.to_owned()))
}

/// Peers are usable exactly if they are well.
fn conditions(stage: &Stage, node: &str, names: &[String]) {
    let opinions = stage.driver.opinions(node).unwrap_or_default();
    for peer in names.iter().filter(|peer| *peer != node) {
        let ways =
            [(node, &**peer), (&**peer, node)].map(|(from, to)| Part::Way(from.to_owned(), to.to_owned()));
        if ways.iter().any(|way| !stage.truth.borrow().is_unhurt(way)) {
            continue;
        }
        let condition = opinions.get(peer).copied().map(word);
        let (usable, well) = (condition == Some("usable"), is_well(stage, peer));
        // Of a large region a node keeps tunnels to some nodes only, and may have forgotten one that is gone.
        let chosen = condition.is_some() || (well && names.len() <= ALL_KNOWN_NODES_MAX);
        if usable != well && chosen {
            let condition = condition.unwrap_or("unknown");
            let is = if well { "well" } else { "not" };
            tell(stage, node, format!("{node} holds {peer} for {condition}, and it is {is}"));
        }
    }
}

/// The view has those who can be heard, and no others.
async fn view(stage: &Stage, node: &str, alive: &BTreeSet<String>) {
    let seen = match stage.driver.view(node).await {
        Ok(view) => view,
        Err(error) => return tell(stage, node, format!("{node} does not say whom it sees: {error}")),
    };
    let seen: BTreeSet<_> =
        seen.into_iter().filter(|node| node.alive).map(|node| node.name.to_string()).collect();
    let missing: Vec<_> = alive.difference(&seen).cloned().collect();
    let surplus: Vec<_> = seen.difference(alive).cloned().collect();
    if !missing.is_empty() || !surplus.is_empty() {
        let what = format!(
            "{node} does not see [{}], and sees [{}] who are gone",
            missing.join(", "),
            surplus.join(", ")
        );
        tell(stage, node, what);
    }
}

fn tell(stage: &Stage, node: &str, what: String) {
    stage.chronicle.violation(Finding { invariant: "views-converge", node: Some(node.to_owned()), what });
}

/// In a fleet of so many nodes, everybody keeps tunnels to everybody.
const ALL_KNOWN_NODES_MAX: usize = 9;
