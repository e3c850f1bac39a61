//! Which peers this node keeps tunnels to: a bounded number of every region's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::{Announcement, View};
use graticule_node_core::mesh::{self, PeerId};
use graticule_node_core::policy::{Fleet, Policy};
use graticule_node_core::{RegionIndex, Snapshot};
use tokio::sync::watch;

use super::Mesh;
use crate::shared::{PeerTarget, Shared};
use crate::task::{self, Task};

/// The tunnels being kept, by what they are kept to.
type Kept = BTreeMap<PeerId, (PeerTarget, Task)>;

impl Mesh {
    /// Keeps tunnels to the peers that the view and the documents call for, and tells the workers.
    pub(super) async fn keep_targets(self: Rc<Self>) {
        let mut view = self.view.clone();
        let mut published = self.shared.published();
        let mut kept = Kept::new();
        loop {
            let seen = Arc::clone(&view.borrow_and_update());
            self.links.learn_view(&seen);
            let snapshot = self.shared.snapshot();
            let wanted = self.wanted(&snapshot, &seen);
            self.retarget(&mut kept, &wanted);
            let here = snapshot.policy.fleet.region(snapshot.here.region).map(|region| &region.name);
            let elsewhere = wanted.into_iter().filter(|target| Some(&target.region) != here).collect();
            self.shared.retarget(elsewhere);
            tokio::select! {
                biased;
                changed = view.changed() => if changed.is_err() { return },
                () = another_policy(&self.shared, &snapshot.policy, &mut published) => {}
            }
        }
    }

    fn retarget(self: &Rc<Self>, kept: &mut Kept, wanted: &[PeerTarget]) {
        kept.retain(|id, (target, _)| {
            let stays = wanted.contains(target);
            if wanted.iter().all(|target| target.id != *id) {
                self.tracking.remove(*id);
            } else if !stays {
                self.tracking.disconnected(*id, "it has moved".to_owned());
            }
            stays
        });
        for target in wanted {
            kept.entry(target.id).or_insert_with(|| {
                self.tracking.keep(target);
                let keeping = Rc::clone(self).keep_link(target.clone());
                (target.clone(), task::spawn("control tunnel", keeping))
            });
        }
    }

    /// A bounded number of every region's live nodes, and as many of those that gossip calls dead: they are dialled
    /// until gossip has forgotten them, so that a mesh that was cut in two finds together again, and do not keep the
    /// living from having a tunnel. A node with a tunnel to it is alive, whatever is said of it.
    fn wanted(&self, snapshot: &Snapshot, view: &View) -> Vec<PeerTarget> {
        let fleet = &snapshot.policy.fleet;
        let own = &snapshot.here.node;
        let mut by_region: BTreeMap<_, Vec<&Announcement>> = BTreeMap::new();
        for (node, member) in &view.members {
            let announcement = &member.announcement;
            if node != own && !fleet.revoked.contains(node) {
                let alive = member.alive || self.links.to(node).is_some();
                by_region.entry((&announcement.region, alive)).or_default().push(announcement);
            }
        }
        let mut targets = Vec::new();
        for ((region, _), members) in by_region {
            let Some(index) = fleet.region_by_name(region) else { continue };
            let expected_rtt = expected_rtt(fleet, snapshot.here.region, index);
            let names = members.iter().map(|member| &member.node);
            let chosen = mesh::select(own, names, self.settings.tunnels_per_region_max);
            let chosen = members.iter().filter(|member| chosen.contains(&&member.node));
            targets.extend(chosen.filter_map(|member| self.target(member, expected_rtt)));
        }
        targets
    }

    /// `None` if too many are followed already.
    fn target(&self, announcement: &Announcement, expected_rtt: Duration) -> Option<PeerTarget> {
        Some(PeerTarget {
            id: self.tracking.add(&announcement.node, &announcement.region)?,
            node: announcement.node.clone(),
            region: announcement.region.clone(),
            base: self.dial_address(announcement),
            workers: announcement.mesh.workers,
            expected_rtt,
        })
    }

    fn dial_address(&self, announcement: &Announcement) -> SocketAddr {
        self.settings.dial.get(&announcement.node).copied().unwrap_or(announcement.mesh.base)
    }
}

/// Ends when the active policy is no longer `policy`; load and health change the snapshot all the time.
async fn another_policy(shared: &Shared, policy: &Arc<Policy>, published: &mut watch::Receiver<u64>) {
    while Arc::ptr_eq(&shared.snapshot().policy, policy) {
        if published.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn expected_rtt(fleet: &Fleet, here: RegionIndex, there: RegionIndex) -> Duration {
    match (fleet.region(here), fleet.region(there)) {
        (Some(here), Some(there)) => mesh::rtt_by_distance(here.coordinates, there.coordinates),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
