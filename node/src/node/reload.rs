//! What changes while a node runs: certificates, documents and geo databases, looked for every second.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::RegionName;
use graticule_node_core::Policy;
use graticule_node_core::config::GeoConfig;
use graticule_node_core::document;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::geo;
use crate::documents::Documents;
use crate::identity::{Identity, Reloaded};
use crate::mesh::Tracking;
use crate::pool::checks::CheckedPolicy;
use crate::shared::Shared;
use crate::world::World;

/// What is looked at.
pub(super) struct Watched {
    pub(super) world: World,
    pub(super) identity: Identity,
    pub(super) documents: Documents,
    /// What is in force.
    pub(super) loaded: document::Documents,
    pub(super) geo: GeoConfig,
}

/// Reloads what has changed; what is broken keeps its last good form, and says so.
pub(super) async fn watch(mut watched: Watched, shared: Arc<Shared>, policies: watch::Sender<Arc<Policy>>) {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut documents = watched.documents.stamp();
    let mut databases = geo::stamp(&*watched.world.disk, &watched.geo.databases);
    let mut said = None;
    loop {
        ticks.tick().await;
        reload_identity(&watched.identity, &mut said);
        if std::mem::replace(&mut documents, watched.documents.stamp()) != documents {
            reload_documents(&mut watched, &shared, &policies);
        }
        let found = geo::stamp(&*watched.world.disk, &watched.geo.databases);
        if std::mem::replace(&mut databases, found) != databases {
            reload_geo(&watched, &shared);
        }
    }
}

/// Tells each failure once.
fn reload_identity(identity: &Identity, said: &mut Option<String>) {
    match identity.reload() {
        Ok(Reloaded::Unchanged) => *said = None,
        Ok(Reloaded::Changed) => {
            *said = None;
            tracing::info!("certificates reloaded");
        }
        Err(error) => {
            let error = error.to_string();
            if said.as_ref() != Some(&error) {
                tracing::error!(%error, "cannot reload the certificates; the old ones stay");
            }
            *said = Some(error);
        }
    }
}

fn reload_documents(watched: &mut Watched, shared: &Shared, policies: &watch::Sender<Arc<Policy>>) {
    let reloaded = watched.documents.reload(&watched.loaded);
    for diagnostic in &reloaded.diagnostics {
        tracing::error!(%diagnostic, "documents");
    }
    for tenant in &reloaded.kept {
        tracing::error!(%tenant, "this tenant's last good document stays in force");
    }
    for tenant in &reloaded.absent {
        tracing::error!(%tenant, "this tenant is not served: its only document is broken");
    }
    let Some(loaded) = reloaded.loaded else {
        return tracing::error!("documents not reloaded; the old ones stay");
    };
    watched.loaded = loaded.documents;
    if loaded.policy.digest != shared.snapshot().policy.digest {
        policies.send_replace(Arc::new(loaded.policy));
    }
}

fn reload_geo(watched: &Watched, shared: &Shared) {
    match geo::load(&watched.world, &watched.geo) {
        Ok(locator) => {
            shared.update(|snapshot| snapshot.locator = Arc::new(locator));
            tracing::info!("geo databases reloaded");
        }
        Err(error) => tracing::error!(%error, "geo databases not reloaded; the old ones stay"),
    }
}

/// Puts checked policies and health into the snapshot.
pub(super) async fn activate(
    shared: Arc<Shared>,
    tracking: Rc<Tracking>,
    own: RegionName,
    mut checked: watch::Receiver<CheckedPolicy>,
) {
    while checked.changed().await.is_ok() {
        let CheckedPolicy { policy, pools } = checked.borrow_and_update().clone();
        if Arc::ptr_eq(&policy, &shared.snapshot().policy) {
            shared.update(|snapshot| snapshot.pools = pools);
            continue;
        }
        let Some(region) = policy.fleet.region_by_name(&own) else {
            tracing::error!(region = %own, "the fleet document no longer has this node's region; not activated");
            continue;
        };
        let mesh = tracking.set_fleet(&policy.fleet);
        tracing::info!(version = policy.fleet.version.0, digest = %policy.digest, "documents activated");
        shared.update(|snapshot| {
            snapshot.here.region = region;
            (snapshot.policy, snapshot.pools, snapshot.mesh) = (policy, pools, mesh);
        });
    }
}

const WATCH_INTERVAL: Duration = Duration::from_secs(1);
