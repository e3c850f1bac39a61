//! What is believed of backends: runs the checks, hears of failing requests, and follows names, for all of a region's
//! pools in one driver.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::RegionName;
use graticule_node_core::pool::{
    CheckFailure, CheckTarget, MemberId, NameEvent, Names, PoolEvent, PoolStates, Pools, Resolved,
};
use graticule_node_core::shared::Row;
use graticule_node_core::{Moment, Policy};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::Trust;
use crate::shared::PoolEventCounts;
use crate::task;
use crate::world::World;

mod check;
mod grpc;
mod log;

/// A policy with the state of the region's pools. They are one value because the states are by the policy's tenant
/// index: with another policy, they would send one tenant's requests to another's backends.
#[derive(Debug, Clone)]
pub struct CheckedPolicy {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The region's pools under it.
    pub pools: Arc<PoolStates>,
}

impl CheckedPolicy {
    /// `policy` before anything was checked: every backend counts as healthy, and names have no addresses.
    pub fn unchecked(policy: Arc<Policy>, region: &RegionName, now: Moment) -> Self {
        let mut pools = Pools::default();
        pools.adopt(&policy, policy.fleet.region_by_name(region), &Names::default(), now);
        Self { pools: Arc::new(pools.states()), policy }
    }
}

/// What the driver is made of.
#[derive(Debug)]
pub struct Checking {
    /// Where backends are.
    pub world: World,
    /// Whose pools; by name, because its index may change with the policy.
    pub region: RegionName,
    /// Where documents are, and the files that they name.
    pub documents: PathBuf,
    /// Whom to believe; the driver keeps it up to date.
    pub trust: Trust,
    /// Where what happens to backends is counted.
    pub events: Arc<PoolEventCounts>,
}

/// Watches the backends of a region's pools until the policy's sender is gone.
///
/// Publishes every policy it is given, at the start too, and again whenever something changes a pool. `failing` tells
/// where a row of requests begins to fail, or has failed in full. Runs on the control runtime. In a policy without the region, there is nothing
/// to watch.
pub async fn run(
    checking: Checking,
    mut failing: mpsc::Receiver<(MemberId, Row)>,
    mut policy: watch::Receiver<Arc<Policy>>,
    checked: watch::Sender<CheckedPolicy>,
) {
    let (reports, mut finished) = mpsc::channel(CHECKS_UNDER_WAY_MAX + LOOKUPS_UNDER_WAY_MAX);
    let first = Arc::clone(&policy.borrow_and_update());
    let mut driver = Driver::new(checking, first, reports, checked);
    let mut files = interval(FILES_INTERVAL);
    files.set_missed_tick_behavior(MissedTickBehavior::Delay);
    driver.adopt();
    loop {
        driver.start();
        tokio::select! {
            biased;
            changed = policy.changed() => match changed {
                Ok(()) => {
                    driver.policy = Arc::clone(&policy.borrow_and_update());
                    driver.adopt();
                }
                Err(_) => return,
            },
            Some(report) = finished.recv() => driver.finish(report, &mut finished),
            Some((member, row)) = failing.recv() => driver.failing(member, row),
            _ = files.tick() => driver.read_authorities(),
            () = driver.until_due() => driver.elapsed(),
        }
    }
}

struct Driver {
    checking: Checking,
    policy: Arc<Policy>,
    pools: Pools,
    names: Names,
    checks_under_way: usize,
    lookups_under_way: usize,
    reports: mpsc::Sender<Report>,
    checked: watch::Sender<CheckedPolicy>,
}

/// What has come to an end.
enum Report {
    Checked(Arc<CheckTarget>, Result<(), CheckFailure>),
    LookedUp(Box<str>, std::io::Result<Resolved>),
}

impl Driver {
    fn new(
        checking: Checking,
        policy: Arc<Policy>,
        reports: mpsc::Sender<Report>,
        checked: watch::Sender<CheckedPolicy>,
    ) -> Self {
        let (pools, names) = (Pools::default(), Names::default());
        Self { checking, policy, pools, names, checks_under_way: 0, lookups_under_way: 0, reports, checked }
    }

    fn now(&self) -> Moment {
        self.checking.world.clock.now()
    }

    /// Takes the policy as it is now.
    fn adopt(&mut self) {
        let region = self.policy.fleet.region_by_name(&self.checking.region);
        self.names.adopt(&self.policy, region, self.now());
        self.read_authorities();
        self.work_in_addresses();
        let (policy, pools) = (Arc::clone(&self.policy), Arc::new(self.pools.states()));
        self.checked.send_replace(CheckedPolicy { policy, pools });
    }

    fn work_in_addresses(&mut self) {
        let region = self.policy.fleet.region_by_name(&self.checking.region);
        let now = self.now();
        self.pools.adopt(&self.policy, region, &self.names, now);
    }

    fn read_authorities(&self) {
        let Checking { world, documents, trust, .. } = &self.checking;
        for error in trust.adopt(world, documents, &self.policy) {
            tracing::error!(%error, "the authorities of a pool cannot be used; what was read before stays");
        }
    }

    /// Starts every check and lookup that is due and has room.
    fn start(&mut self) {
        while self.checks_under_way < CHECKS_UNDER_WAY_MAX
            && let Some(target) = self.pools.poll_check(self.now())
        {
            self.checks_under_way += 1;
            let (net, trust) = (Arc::clone(&self.checking.world.net), self.checking.trust.clone());
            let failed = Report::Checked(Arc::clone(&target), Err(CheckFailure::Broken));
            let ending = Ending { report: Some(failed), reports: self.reports.clone() };
            task::spawn_detached("health check", async move {
                let mut ending = ending;
                let result = check::check(&*net, &trust, &target).await;
                ending.report = Some(Report::Checked(target, result));
            });
        }
        while self.lookups_under_way < LOOKUPS_UNDER_WAY_MAX
            && let Some(name) = self.names.poll_lookup(self.now())
        {
            self.lookups_under_way += 1;
            let names = Arc::clone(&self.checking.world.names);
            let failed = Report::LookedUp(name.clone(), Err(std::io::ErrorKind::Interrupted.into()));
            let ending = Ending { report: Some(failed), reports: self.reports.clone() };
            task::spawn_detached("lookup of a backend", async move {
                let mut ending = ending;
                let found = tokio::time::timeout(LOOKUP_TIMEOUT, names.lookup(&name)).await;
                let found = found.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
                ending.report = Some(Report::LookedUp(name, found));
            });
        }
    }

    /// Until something is due and has room.
    async fn until_due(&self) {
        let check = self.pools.poll_check_timeout().filter(|_| self.checks_under_way < CHECKS_UNDER_WAY_MAX);
        let lookup = self.names.poll_timeout().filter(|_| self.lookups_under_way < LOOKUPS_UNDER_WAY_MAX);
        match [check, lookup, self.pools.poll_return_timeout()].into_iter().flatten().min() {
            Some(due) => tokio::time::sleep(due.since(self.now())).await,
            None => std::future::pending().await,
        }
    }

    fn elapsed(&mut self) {
        let events = self.pools.handle_timeout(self.now());
        self.tell(&events);
        if !events.is_empty() {
            self.publish();
        }
    }

    fn failing(&mut self, member: MemberId, row: Row) {
        let event = self.pools.handle_failures(member, row, self.now());
        self.tell(event.as_slice());
        if matches!(event, Some(PoolEvent::BackendEjected { .. })) {
            self.publish();
        }
    }

    /// Takes a report and those that wait behind it, and publishes what they change together.
    fn finish(&mut self, first: Report, rest: &mut mpsc::Receiver<Report>) {
        let mut next = Some(first);
        let (mut changed, mut moved) = (false, false);
        while let Some(report) = next {
            match report {
                Report::Checked(target, result) => {
                    self.checks_under_way -= 1;
                    let event: Option<PoolEvent> = self.pools.handle_result(&target, result, self.now());
                    self.tell(event.as_slice());
                    changed |= event.is_some();
                }
                Report::LookedUp(name, found) => moved |= self.looked_up(&name, found),
            }
            next = rest.try_recv().ok();
        }
        if moved {
            self.work_in_addresses();
        }
        if changed || moved {
            self.publish();
        }
    }

    /// Takes what came of a lookup; whether the name has other addresses.
    fn looked_up(&mut self, name: &str, found: std::io::Result<Resolved>) -> bool {
        self.lookups_under_way -= 1;
        let (found, error) = found.map_or_else(|error| (None, Some(error)), |found| (Some(found), None));
        let event = self.names.handle_answer(name, found, self.checking.world.clock.now());
        if let Some(event) = event {
            log::name(event, name, &self.names, error.as_ref());
        }
        event == Some(NameEvent::Moved)
    }

    /// Logs and counts what has happened.
    fn tell(&self, events: &[PoolEvent]) {
        for event in events {
            log::event(event, &self.checking.events);
        }
    }

    fn publish(&self) {
        let pools = Arc::new(self.pools.states());
        self.checked.send_modify(|checked| checked.pools = pools);
    }
}

/// Says how a task ended, even if it panicked. There is always room: one for each that is under way.
struct Ending {
    report: Option<Report>,
    reports: mpsc::Sender<Report>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            let _ = self.reports.try_send(report);
        }
    }
}

/// Connections for checks that may be open at once.
const CHECKS_UNDER_WAY_MAX: usize = 1_024;
/// Names that may be looked up at once.
const LOOKUPS_UNDER_WAY_MAX: usize = 64;
/// How long a lookup may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the files that pools name are looked at.
const FILES_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
