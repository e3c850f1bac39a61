//! What changes while a node runs: certificates, documents and geo databases, looked for every second.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use graticule_gossip_core::RegionName;
use graticule_node_core::config::GeoConfig;
use graticule_node_core::document::{self, Severity};
use graticule_node_core::{Policy, RegionIndex};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::geo;
use crate::certificates::Certificates;
use crate::documents::Documents;
use crate::identity::{Identity, PeerIdentity, Reloaded};
use crate::mesh::Tracking;
use crate::pool::checks::CheckedPolicy;
use crate::shared::{Refusal, Reloadable, Shared};
use crate::world::World;

/// What is looked at.
pub(super) struct Watched {
    pub(super) world: World,
    pub(super) identity: Identity,
    pub(super) certificates: Option<Certificates>,
    pub(super) documents: Documents,
    /// What is in force.
    pub(super) loaded: document::Documents,
    pub(super) geo: GeoConfig,
    /// Of the files that were read last.
    pub(super) stamps: Stamps,
}

/// Change whenever files do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamps {
    documents: u64,
    databases: u64,
}

impl Stamps {
    /// Those of the files as they are. To be taken before they are read.
    pub(super) fn now(world: &World, documents: &Documents, geo: &GeoConfig) -> Self {
        Self { documents: documents.stamp(), databases: geo::stamp(&*world.disk, &geo.databases) }
    }
}

/// Reloads what has changed; what is broken keeps its last good form, and says so.
/// Looks every second, and whenever one of `asked` comes, which is then told that it is done.
pub(super) async fn watch(
    mut watched: Watched,
    shared: Arc<Shared>,
    policies: watch::Sender<Arc<Policy>>,
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    let mut expiry = Expiry::default();
    let mut seen = watched.stamps;
    loop {
        let done = tokio::select! {
            _ = ticks.tick() => None,
            Some(done) = asked.recv() => Some(done),
        };
        let moment = watched.world.clock.now();
        let tell = |what, refusal| shared.reloads.tell(what, moment, refusal);
        tell(Reloadable::Identity, reload_identity(&watched.identity, &mut said));
        let now = watched.world.clock.wall();
        if let Some(left) = expiry.due(watched.identity.expires_in(now), now) {
            let (days, hours) = (left.as_secs() / DAY.as_secs(), left.as_secs() % DAY.as_secs() / 3_600);
            tracing::warn!(
                days,
                hours,
                "this node's certificate expires soon: issue a new one (graticule ca issue)"
            );
        }
        if let Some(certificates) = &watched.certificates {
            tell(Reloadable::Certificates, reload_certificates(certificates));
        }
        let found = Stamps::now(&watched.world, &watched.documents, &watched.geo);
        if done.is_some() {
            // Who asks says that the files are whole.
            seen = found;
        }
        if settled(watched.stamps.documents, seen.documents, found.documents) {
            watched.stamps.documents = found.documents;
            let refusal = reload_documents(&mut watched, &shared, &policies);
            tell(Reloadable::Documents, refusal);
        }
        if settled(watched.stamps.databases, seen.databases, found.databases) {
            watched.stamps.databases = found.databases;
            tell(Reloadable::Geo, reload_geo(&watched, &shared));
        }
        seen = found;
        // Nobody waits any more if the node ends.
        done.map(|done| done.send(()));
    }
}

/// Whether files that had the stamp `read` when they were read have changed, and rest since the last look. A file that
/// is being written can be whole in form and half in meaning: one without its `deny` permits more than its author does.
fn settled(read: u64, seen: u64, found: u64) -> bool {
    found != read && found == seen
}

/// When to warn of the end of a certificate: from 30 days before it, once a day.
#[derive(Debug, Default)]
struct Expiry {
    warned: Option<SystemTime>,
}

impl Expiry {
    /// The time that is left, if it is to be told now.
    fn due(&mut self, left: Duration, now: SystemTime) -> Option<Duration> {
        // A clock that was set back says nothing about when it was said.
        let recently = |warned| now.duration_since(warned).is_ok_and(|since: Duration| since < DAY);
        if left > EXPIRY_WARNING || self.warned.is_some_and(recently) {
            return None;
        }
        self.warned = Some(now);
        Some(left)
    }
}

/// Logs each failure once.
fn reload_identity(identity: &Identity, said: &mut Option<String>) -> Option<Refusal> {
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
    said.as_ref().map(|error| Refusal::of([error]))
}

/// Logs each failure once; gives all that there are.
fn reload_certificates(certificates: &Certificates) -> Option<Refusal> {
    match certificates.reload() {
        Ok(None) => {}
        Ok(Some(problems)) => {
            tracing::info!("clients' certificates reloaded");
            for problem in problems {
                tracing::error!(%problem, "a certificate cannot be used; what was good before stays");
            }
        }
        Err(error) => {
            tracing::error!(%error, "cannot list the certificates; the old ones stay");
            return Some(Refusal::of([error]));
        }
    }
    let problems = certificates.problems();
    (!problems.is_empty()).then(|| Refusal::of(problems))
}

fn reload_documents(
    watched: &mut Watched,
    shared: &Shared,
    policies: &watch::Sender<Arc<Policy>>,
) -> Option<Refusal> {
    let reloaded = watched.documents.reload(&watched.loaded);
    for diagnostic in &reloaded.diagnostics {
        match diagnostic.severity {
            Severity::Error => tracing::error!(%diagnostic, "documents"),
            Severity::Warning => tracing::warn!(%diagnostic, "documents"),
        }
    }
    for tenant in &reloaded.kept {
        tracing::error!(%tenant, "this tenant's last good document stays in force");
    }
    for tenant in &reloaded.absent {
        tracing::error!(%tenant, "this tenant is not served: its only document is broken");
    }
    let errors: Vec<_> = reloaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    let is_refused = !(errors.is_empty() && reloaded.kept.is_empty() && reloaded.absent.is_empty());
    let refusal = Refusal { kept: reloaded.kept, absent: reloaded.absent, ..Refusal::of(errors) };
    let Some(loaded) = reloaded.loaded else {
        tracing::error!("documents not reloaded; the old ones stay");
        return Some(refusal);
    };
    if let Err(reason) = place(&loaded.policy, &watched.identity.own()) {
        tracing::error!(%reason, "documents not reloaded; the old ones stay");
        let kept = watched.loaded.tenants.iter().map(|tenant| tenant.id().clone()).collect();
        return Some(Refusal { kept, ..Refusal::of([reason]) });
    }
    watched.loaded = loaded.documents;
    if loaded.policy.digest != shared.snapshot().policy.digest {
        policies.send_replace(Arc::new(loaded.policy));
    }
    is_refused.then_some(refusal)
}

/// Where the node of this certificate is in the fleet of `policy`; or why it is none of its nodes.
pub(super) fn place(policy: &Policy, own: &PeerIdentity) -> Result<RegionIndex, String> {
    if policy.fleet.mesh != own.mesh {
        return Err(format!(
            "the certificate is of mesh `{}`, the fleet document of mesh `{}`; issue a certificate of this mesh (graticule ca issue), or use the documents of the other",
            own.mesh, policy.fleet.mesh
        ));
    }
    policy.fleet.region_by_name(&own.region).ok_or_else(|| {
        format!(
            "region `{}` of this node's certificate is not in the fleet document; add it there or issue another certificate",
            own.region
        )
    })
}

fn reload_geo(watched: &Watched, shared: &Shared) -> Option<Refusal> {
    match geo::load(&watched.world, &watched.geo) {
        Ok(locator) => {
            shared.update(|snapshot| snapshot.locator = Arc::new(locator));
            tracing::info!("geo databases reloaded");
            None
        }
        Err(error) => {
            tracing::error!(%error, "geo databases not reloaded; the old ones stay");
            Some(Refusal::of([error]))
        }
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
            let tallies = snapshot.tallies.follow(&snapshot.policy, &policy);
            snapshot.tallies = Arc::new(tallies);
            snapshot.here.region = region;
            (snapshot.policy, snapshot.pools, snapshot.mesh) = (policy, pools, mesh);
        });
    }
}

const WATCH_INTERVAL: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
/// How long before a certificate's end the warnings begin.
const EXPIRY_WARNING: Duration = Duration::from_hours(30 * 24);

#[cfg(test)]
mod tests;
