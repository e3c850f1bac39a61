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

/// Keeps a node unready until it reaches every other region, or has tried for long enough: before that it would refuse
/// requests that others can serve.
pub(super) async fn join(shared: Arc<Shared>) {
    let mut published = shared.published();
    let joined = async {
        while !unreached(&shared.snapshot()).is_empty() {
            if published.changed().await.is_err() {
                return;
            }
        }
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
/// How long the others need to dial this node in turn, control and workers, once it has dialled them.
const DIALLED_BACK_TIME: Duration = Duration::from_secs(1);
