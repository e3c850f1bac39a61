//! Which check is to be started next, and what do results change?

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::health::Belief;
use super::{CheckTarget, Health, Plan, Transition};
use crate::Moment;
use crate::policy::CheckKind;

/// The checks of one region's backends: when each is due, how often any may be started, and what they found.
///
/// Over every window of length `w` at most [`CHECKS_PER_SECOND_MAX`](Self::CHECKS_PER_SECOND_MAX)` x w` +
/// [`CHECKS_BURST_MAX`](Self::CHECKS_BURST_MAX) checks start. More targets than their intervals leave room for are
/// checked in the order in which they became due, so all of them more seldom and none of them never.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    plan: Plan,
    /// By position in the plan.
    healths: Vec<Health>,
    /// Every target that is not being checked, by time and position.
    due: BTreeSet<(Moment, usize)>,
    /// When the checks started so far would have been started at exactly the highest rate.
    paced: Moment,
}

/// Why a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFailure {
    /// No connection could be made.
    Unreachable,
    /// No answer came in time.
    TimedOut,
    /// The connection broke, or the answer was not of the protocol.
    Broken,
    /// The server could not show that it is whom the pool names.
    Untrusted,
    /// The answer had this status.
    Status(u16),
    /// The answer to a gRPC check was another than `SERVING`: this gRPC status, or none and not serving.
    Grpc(Option<u32>),
}

impl Checks {
    /// How many checks may start in a second, in the long run.
    pub const CHECKS_PER_SECOND_MAX: u32 = 1_000;

    /// How many checks may start at once after a pause.
    pub const CHECKS_BURST_MAX: u32 = 20;

    /// Replaces the plan. Targets of both plans keep their health and rhythm; a new target inherits the health of one
    /// with the same address that asks the same and whose numbers were changed; others begin unknown. Those of a first
    /// plan are spread over a second; those that come later are checked at once.
    pub fn adopt(&mut self, plan: Plan, now: Moment) {
        let healths: Vec<_> = plan.targets().iter().map(|target| self.inherited(target, now)).collect();
        let due = |(position, health): (usize, &Health)| health.poll_timeout().map(|at| (at, position));
        self.due = healths.iter().enumerate().filter_map(due).collect();
        self.healths = healths;
        self.plan = plan;
    }

    /// When [`poll_check`](Self::poll_check) will have a check; `None` if nothing is to be checked.
    pub fn poll_timeout(&self) -> Option<Moment> {
        let (due, _) = self.due.first()?;
        Some((*due).max(self.paced - Self::BURST))
    }

    /// The next check to start now. Its end must be told to [`handle_result`](Self::handle_result).
    pub fn poll_check(&mut self, now: Moment) -> Option<Arc<CheckTarget>> {
        if self.poll_timeout()? > now {
            return None;
        }
        let (_, position) = self.due.pop_first()?;
        self.paced = self.paced.max(now) + Self::PACE;
        let target = self.plan.targets().get(position)?;
        self.healths.get_mut(position)?.handle_start(&target.check, now);
        Some(Arc::clone(target))
    }

    /// A check has ended. Says whether the target has changed sides. One that the plan no longer has is ignored.
    pub fn handle_result(
        &mut self,
        target: &CheckTarget,
        result: Result<(), CheckFailure>,
    ) -> Option<Transition> {
        let position = self.plan.position(target)?;
        let health = self.healths.get_mut(position)?;
        if let Some(due) = health.poll_timeout() {
            self.due.remove(&(due, position));
        }
        let transition = health.handle_result(&target.check, result.is_ok());
        self.due.extend(health.poll_timeout().map(|due| (due, position)));
        transition
    }

    /// What is checked, and for whom.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is believed of the target at a position of the plan.
    pub(super) fn belief(&self, position: usize) -> Belief {
        self.healths.get(position).map_or(Belief::Unknown, Health::belief)
    }

    fn inherited(&self, target: &CheckTarget, now: Moment) -> Health {
        let health = |position: usize| self.healths.get(position).copied();
        if let Some(health) = self.plan.position(target).and_then(health) {
            return health;
        }
        let first = now + phase(target);
        let asks_the_same = |position: &usize| {
            let known = self.plan.targets().get(*position);
            known.is_some_and(|k| k.check.kind == target.check.kind && k.check.tls == target.check.tls)
        };
        let known = self.plan.positions_at(target.address).find(asks_the_same).and_then(health);
        // Others may be waiting for it.
        let fresh = || Health::new(if self.plan.targets().is_empty() { first } else { now });
        known.map_or_else(fresh, |health| health.rescheduled(first))
    }

    const PACE: Duration = Duration::from_nanos(1_000_000_000 / Self::CHECKS_PER_SECOND_MAX as u64);
    const BURST: Duration = Self::PACE.saturating_mul(Self::CHECKS_BURST_MAX - 1);
}

/// How long a new target waits for its first check: not all at once, and the same in every run.
fn phase(target: &CheckTarget) -> Duration {
    let mut hasher = DefaultHasher::new();
    target.address.hash(&mut hasher);
    match &target.check.kind {
        CheckKind::Http { path, host, .. } => (host, path).hash(&mut hasher),
        CheckKind::Grpc { service, host } => (host, service).hash(&mut hasher),
        CheckKind::Tcp => {}
    }
    let spread = target.check.interval.min(FIRST_CHECK_MAX);
    spread.mul_f64(hasher.finish() as f64 / u64::MAX as f64)
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("no connection"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Broken => f.write_str("connection broken or answer not of the protocol"),
            Self::Untrusted => f.write_str("TLS failed: no certificate of that name by a trusted authority"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Grpc(Some(status)) => write!(f, "gRPC status {status}"),
            Self::Grpc(None) => f.write_str("gRPC health is not SERVING"),
        }
    }
}

/// How long a new target may wait for its first check, if all checks keep to their rate.
const FIRST_CHECK_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
