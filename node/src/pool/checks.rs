//! Which backends are healthy: runs the checks, one driver for all of a region's pools.

use std::sync::Arc;

use graticule_gossip_core::RegionName;
use graticule_node_core::Policy;
use graticule_node_core::pool::{CheckFailure, CheckTarget, Checks, Plan, PoolEvent, PoolStates};
use tokio::sync::{mpsc, watch};

use crate::task;
use crate::world::World;

mod check;

/// A policy with the health of the region's pools. They are one value because the states are by the policy's tenant
/// index: with another policy, they would send one tenant's requests to another's backends.
#[derive(Debug, Clone)]
pub struct CheckedPolicy {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Health of the region's pools under it.
    pub pools: Arc<PoolStates>,
}

impl CheckedPolicy {
    /// `policy` before anything was checked: every backend counts as healthy.
    pub fn unchecked(policy: Arc<Policy>, region: &RegionName) -> Self {
        let pools = Arc::new(plan(&policy, region).states(|_| true));
        Self { policy, pools }
    }
}

/// Checks the backends of `region`'s pools until the policy's sender is gone.
///
/// Publishes every policy it is given, at the start too, and again whenever a result changes a pool. Runs on the control
/// runtime. The region is named, because its index may change with the policy; in a policy without it, there is
/// nothing to check.
pub async fn run(
    world: World,
    region: RegionName,
    mut policy: watch::Receiver<Arc<Policy>>,
    checked: watch::Sender<CheckedPolicy>,
) {
    let (results, mut finished) = mpsc::channel(CHECKS_UNDER_WAY_MAX);
    let checks = Checks::default();
    let mut driver = Driver { world, region, checks, under_way: 0, results, checked };
    driver.adopt(Arc::clone(&policy.borrow_and_update()));
    loop {
        driver.start();
        tokio::select! {
            biased;
            changed = policy.changed() => match changed {
                Ok(()) => driver.adopt(Arc::clone(&policy.borrow_and_update())),
                Err(_) => return,
            },
            Some(result) = finished.recv() => driver.finish(result, &mut finished),
            () = driver.until_due() => {}
        }
    }
}

struct Driver {
    world: World,
    region: RegionName,
    checks: Checks,
    under_way: usize,
    results: mpsc::Sender<Finished>,
    checked: watch::Sender<CheckedPolicy>,
}

type Finished = (Arc<CheckTarget>, Result<(), CheckFailure>);

impl Driver {
    fn adopt(&mut self, policy: Arc<Policy>) {
        self.checks.adopt(plan(&policy, &self.region), self.world.clock.now());
        let pools = Arc::new(self.checks.states());
        self.checked.send_replace(CheckedPolicy { policy, pools });
    }

    /// Starts every check that is due and has room.
    fn start(&mut self) {
        while self.under_way < CHECKS_UNDER_WAY_MAX
            && let Some(target) = self.checks.poll_check(self.world.clock.now())
        {
            self.under_way += 1;
            let report = Report { target, result: Err(CheckFailure::Broken), results: self.results.clone() };
            let net = Arc::clone(&self.world.net);
            task::spawn_detached("health check", async move {
                let mut report = report;
                report.result = check::check(&*net, &report.target).await;
            });
        }
    }

    /// Until a check is due and has room.
    async fn until_due(&self) {
        match self.checks.poll_timeout() {
            Some(due) if self.under_way < CHECKS_UNDER_WAY_MAX => {
                tokio::time::sleep(due.since(self.world.clock.now())).await;
            }
            _ => std::future::pending().await,
        }
    }

    /// Takes a result and those that wait behind it, and publishes what they change together.
    fn finish(&mut self, first: Finished, rest: &mut mpsc::Receiver<Finished>) {
        let mut next = Some(first);
        let mut changed = false;
        while let Some((target, result)) = next {
            self.under_way -= 1;
            let event = self.checks.handle_result(&target, result);
            changed |= event.is_some();
            event.as_ref().inspect(|event| log(event));
            next = rest.try_recv().ok();
        }
        if changed {
            let pools = Arc::new(self.checks.states());
            self.checked.send_modify(|checked| checked.pools = pools);
        }
    }
}

/// Says how a check ended, even if it panicked. There is always room: one for each check under way.
struct Report {
    target: Arc<CheckTarget>,
    result: Result<(), CheckFailure>,
    results: mpsc::Sender<Finished>,
}

impl Drop for Report {
    fn drop(&mut self) {
        let _ = self.results.try_send((Arc::clone(&self.target), self.result));
    }
}

fn plan(policy: &Policy, region: &RegionName) -> Plan {
    policy.fleet.region_by_name(region).map_or_else(Plan::default, |region| Plan::of(policy, region))
}

fn log(event: &PoolEvent) {
    match event {
        PoolEvent::BackendFailed { target, failure } => {
            tracing::warn!(
                address = %target.address, host = target.check.host, path = target.check.path, reason = %failure,
                "a backend fails its check and gets no more requests"
            );
        }
        PoolEvent::BackendRecovered { target } => {
            tracing::info!(
                address = %target.address, host = target.check.host, path = target.check.path,
                "a backend passes its check and gets requests again"
            );
        }
    }
}

/// Connections for checks that may be open at once.
const CHECKS_UNDER_WAY_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
