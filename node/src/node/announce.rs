//! What this node says of itself: to all by gossip, to each peer with every probe.

use std::rc::Rc;
use std::sync::Arc;

use graticule_gossip::Gossip;
use graticule_gossip_core::{Announcement, Generation, MeshAddress};
use graticule_node_core::Snapshot;
use graticule_node_core::mesh::{Exceptions, Report};
use graticule_node_core::policy::TenantIndex;
use graticule_node_core::pool::TenantPools;

use crate::identity::PeerIdentity;
use crate::mesh::Tracking;
use crate::shared::Shared;

/// What gossip says.
pub(super) fn announcement(
    snapshot: &Snapshot,
    own: &PeerIdentity,
    (generation, mesh): (Generation, MeshAddress),
    draining: bool,
) -> Announcement {
    Announcement {
        node: own.node.clone(),
        region: own.region.clone(),
        generation,
        mesh,
        software: env!("CARGO_PKG_VERSION").to_owned(),
        fleet_version: snapshot.policy.fleet.version.0,
        policy_digest: snapshot.policy.digest.to_string(),
        draining,
    }
}

/// What probes say, and the exceptions that peers ask for; the load is added by whoever probes.
pub(super) fn report(snapshot: &Snapshot, draining: bool) -> (Report, Exceptions) {
    let exceptions = exceptions(snapshot);
    let report = Report {
        load: 0.0,
        draining,
        fleet_version: snapshot.policy.fleet.version.0,
        policy_digest: snapshot.policy.digest.0,
        exceptions: exceptions.digest(),
    };
    (report, exceptions)
}

/// Tenants with pools here and no backend in any of them that is given requests.
fn exceptions(snapshot: &Snapshot) -> Exceptions {
    let tenants = snapshot.policy.tenants.iter().enumerate();
    let pools = |at: usize| snapshot.pools.of(TenantIndex(at as u32));
    let failed = tenants.filter(|(at, _)| pools(*at).is_some_and(TenantPools::is_exhausted));
    let mut tenants: Vec<_> = failed.map(|(_, tenant)| tenant.id.clone()).collect();
    let many = tenants.len() > Exceptions::TENANTS_MAX;
    tenants.truncate(Exceptions::TENANTS_MAX);
    Exceptions { tenants, many }
}

/// Keeps both up to date; gossip ends with the future.
pub(super) async fn run(shared: Arc<Shared>, gossip: Gossip, mut said: Announcement, tracking: Rc<Tracking>) {
    let mut published = shared.published();
    let mut known = shared.snapshot();
    while published.changed().await.is_ok() {
        let snapshot = shared.snapshot();
        let draining = shared.drain.is_draining();
        let same_policy = Arc::ptr_eq(&snapshot.policy, &known.policy);
        if same_policy && Arc::ptr_eq(&snapshot.pools, &known.pools) && draining == said.draining {
            continue;
        }
        let (report, exceptions) = report(&snapshot, draining);
        tracking.set_report(report, exceptions);
        said.draining = draining;
        said.fleet_version = snapshot.policy.fleet.version.0;
        said.policy_digest = snapshot.policy.digest.to_string();
        gossip.announce(said.clone());
        known = snapshot;
    }
}
