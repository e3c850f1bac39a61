//! What a node does when it is told to leave; what it does when is decided by the core.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use graticule_node_core::Snapshot;
use graticule_node_core::leaving::{Ending, LeavingOutput, Occupancy};
use graticule_node_core::mesh::Condition;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::shared::{Departure, Phase, Shared};
use crate::tunnel::Farewell;

/// Does what leaving asks for, and tells through `ended` when it is over.
pub(super) async fn run(
    departure: Arc<Departure>,
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    ended: watch::Sender<Option<Farewell>>,
) {
    loop {
        match departure.next().await {
            LeavingOutput::Announce => {
                shared.drain.begin();
                shared.republish();
                tracing::info!("draining: not ready any more, and still accepting");
            }
            LeavingOutput::Retract => {
                shared.drain.end();
                shared.republish();
                tracing::info!("no longer draining");
            }
            LeavingOutput::Close => {
                shared.drain.close();
                phase.send_replace(Phase::Closing);
                tracing::info!("closing: accepting nothing more, and finishing what is under way");
            }
            LeavingOutput::End(ending) => {
                ended.send_replace(Some(farewell(ending)));
                return std::future::pending().await;
            }
        }
    }
}

fn farewell(ending: Ending) -> Farewell {
    match ending {
        Ending::Finished => {
            tracing::info!("everything is finished");
            Farewell::Left
        }
        Ending::Deadline(Occupancy { connections, requests }) => {
            tracing::warn!(
                connections,
                requests,
                "the deadline for leaving has passed: cutting off what is left"
            );
            Farewell::Stopped
        }
        Ending::Interrupted(Occupancy { connections, requests }) => {
            tracing::warn!(connections, requests, "told to end twice: cutting off what is left");
            Farewell::Stopped
        }
    }
}

/// Keeps a node unready until it reaches every other region and is reached in turn, or has tried for long enough: before
/// that it would refuse requests that others can serve, and others would count on nodes that are about to leave.
pub(super) async fn join(shared: Arc<Shared>) {
    let joined = async {
        until(&shared, |snapshot| unreached(snapshot).is_empty()).await;
        // A node that is down is not waited for like a region.
        let _ = timeout(EVERY_PEER_TIMEOUT, until(&shared, reaches_every_peer)).await;
        tokio::time::sleep(DIALLED_BACK_TIME).await;
    };
    if timeout(JOINING_TIMEOUT, joined).await.is_err() {
        let regions = unreached(&shared.snapshot());
        tracing::warn!(?regions, "ready without having reached every region");
    }
    shared.joining.send_replace(false);
    // A task that has ended is a sign of trouble.
    std::future::pending::<()>().await;
}

/// Waits until `holds` is true of the newest snapshot.
async fn until(shared: &Shared, holds: impl Fn(&Snapshot) -> bool) {
    let mut published = shared.published();
    while !holds(&shared.snapshot()) {
        if published.changed().await.is_err() {
            return;
        }
    }
}

fn reaches_every_peer(snapshot: &Snapshot) -> bool {
    let mut peers = snapshot.mesh.regions.iter().flat_map(|region| &region.peers);
    peers.all(|peer| peer.condition != Condition::Unreachable)
}

/// The other regions of the fleet without a node that can be given requests.
fn unreached(snapshot: &Snapshot) -> BTreeSet<String> {
    let regions = snapshot.policy.fleet.regions.iter().enumerate();
    let others = regions.filter(|(at, _)| *at != snapshot.here.region.position());
    let is_reached = |at: usize| {
        let peers = snapshot.mesh.regions.get(at).map(|region| &region.peers);
        peers.is_some_and(|peers| peers.iter().any(|peer| peer.condition == Condition::Usable))
    };
    others.filter(|(at, _)| !is_reached(*at)).map(|(_, region)| region.name.to_string()).collect()
}

/// How long a node that starts waits for regions that may be down.
const JOINING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it then waits for nodes that may be down.
const EVERY_PEER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the others need to dial this node in turn, control and workers, once it has dialled them.
const DIALLED_BACK_TIME: Duration = Duration::from_secs(1);
