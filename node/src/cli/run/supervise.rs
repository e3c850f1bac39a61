//! What the supervisor of a node's process is told, and when.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::node::Node;
use crate::world::{Notice, Supervisor};

/// Tells `supervisor` that the node is ready, that it lives, and that it ends. Never ends itself.
pub(super) async fn run(node: &Node, supervisor: &Supervisor) {
    let alive = async {
        node.joined().await;
        tell(supervisor, Notice::Ready);
        match supervisor.watchdog_interval() {
            Some(interval) => keep_alive(node, supervisor, interval).await,
            None => std::future::pending().await,
        }
    };
    let stopping = async {
        // Not before there is no way back: a supervisor takes it as final.
        node.closing().await;
        tell(supervisor, Notice::Stopping);
    };
    tokio::join!(alive, stopping);
}

/// Says that the node lives as long as all of it answers.
async fn keep_alive(node: &Node, supervisor: &Supervisor, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ailments = node.ailments(every / 2).await;
        if ailments.is_empty() {
            tell(supervisor, Notice::Alive);
        } else {
            tracing::error!(?ailments, "not well: the supervisor is not told that this node lives");
        }
    }
}

/// A supervisor that cannot be reached says so by what it does; the log says why.
pub(super) fn tell(supervisor: &Supervisor, notice: Notice) {
    if let Err(error) = supervisor.say(notice) {
        tracing::warn!(?notice, %error, "cannot tell the supervisor");
    }
}
