//! How many requests of each tenant became what, at each worker of a node?

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::atomic::{AtomicU64, Ordering};
use crate::Reason;
use crate::outcome::{Class, Outcome, Role};
use crate::policy::{Policy, TenantId, TenantIndex};

/// Every tenant's counters under one policy, and those of requests whose tenant was not known.
///
/// A worker alone writes its own, so writing needs no exclusive access to a cache line; who adds them up sees each as it
/// was at some moment.
#[derive(Debug, Clone, Default)]
pub struct Tallies {
    tenants: Vec<Arc<Tally>>,
    nobody: Option<Arc<Tally>>,
    workers: usize,
}

/// One tenant's counters, by worker. A worker's are made with its first request of the tenant.
#[derive(Debug)]
pub struct Tally {
    workers: Box<[OnceLock<Box<Counters>>]>,
}

/// One tenant's counters at one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counters {
    edge: Block,
    serving: Block,
}

/// The counters of one role.
#[derive(Debug)]
struct Block {
    classes: [AtomicU64; Class::ALL.len()],
    reasons: [AtomicU64; Reason::ALL.len()],
    durations: [AtomicU64; BUCKETS],
    duration_us: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    repeats: AtomicU64,
    broken: AtomicU64,
}

/// Counters of one role, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Requests, by [`Class`].
    pub classes: [u64; Class::ALL.len()],
    /// Refusals, by [`Reason`].
    pub reasons: [u64; Reason::ALL.len()],
    /// Requests that took at most [`DURATION_BOUNDS_MS`], each counted in the first that holds; in the last those above all.
    pub durations: [u64; BUCKETS],
    /// What all took together, in microseconds.
    pub duration_us: u64,
    /// Bytes of bodies that were read.
    pub bytes_up: u64,
    /// Bytes of answers' bodies that were passed on.
    pub bytes_down: u64,
    /// Sendings beyond the first of a request.
    pub repeats: u64,
    /// Answers that ended early.
    pub broken: u64,
}

impl Tallies {
    /// For every tenant of `policy`, at that many workers.
    pub fn new(policy: &Policy, workers: usize) -> Self {
        let fresh = || Arc::new(Tally::new(workers));
        Self { tenants: policy.tenants.iter().map(|_| fresh()).collect(), nobody: Some(fresh()), workers }
    }

    /// For every tenant of `policy` in place of `before`. What `self` has of tenants that stay, stays.
    pub fn follow(&self, before: &Policy, policy: &Policy) -> Self {
        let known = |tenant: &TenantId| {
            let TenantIndex(at) = before.tenant_by_id(tenant)?;
            self.tenants.get(at as usize).map(Arc::clone)
        };
        let fresh = || Arc::new(Tally::new(self.workers));
        let tenants = policy.tenants.iter().map(|tenant| known(&tenant.id).unwrap_or_else(fresh)).collect();
        Self { tenants, nobody: self.nobody.clone(), workers: self.workers }
    }

    /// Counts a request of a tenant, or of nobody that is known, at a worker.
    pub fn count(&self, tenant: Option<TenantIndex>, worker: usize, outcome: &Outcome) {
        let tally = match tenant {
            Some(TenantIndex(at)) => self.tenants.get(at as usize),
            None => self.nobody.as_ref(),
        };
        if let Some(tally) = tally {
            tally.count(worker, outcome);
        }
    }

    /// What was counted of a tenant, or of nobody.
    pub fn totals(&self, tenant: Option<TenantIndex>, role: Role) -> Totals {
        let tally = match tenant {
            Some(TenantIndex(at)) => self.tenants.get(at as usize),
            None => self.nobody.as_ref(),
        };
        tally.map_or_else(Totals::default, |tally| tally.totals(role))
    }
}

impl Tally {
    fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| OnceLock::new()).collect() }
    }

    fn count(&self, worker: usize, outcome: &Outcome) {
        let Some(counters) = self.workers.get(worker) else { return };
        let counters = counters.get_or_init(Box::default);
        match outcome.role {
            Role::Edge => counters.edge.count(outcome),
            Role::Serving => counters.serving.count(outcome),
        }
    }

    fn totals(&self, role: Role) -> Totals {
        let mut totals = Totals::default();
        for counters in self.workers.iter().filter_map(OnceLock::get) {
            match role {
                Role::Edge => counters.edge.add_to(&mut totals),
                Role::Serving => counters.serving.add_to(&mut totals),
            }
        }
        totals
    }
}

impl Default for Block {
    fn default() -> Self {
        Self {
            classes: std::array::from_fn(|_| AtomicU64::new(0)),
            reasons: std::array::from_fn(|_| AtomicU64::new(0)),
            durations: std::array::from_fn(|_| AtomicU64::new(0)),
            duration_us: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        }
    }
}

impl Block {
    fn count(&self, outcome: &Outcome) {
        add(&self.classes[Class::of(outcome.status) as usize], 1);
        if let Some(reason) = outcome.reason {
            add(&self.reasons[reason as usize], 1);
        }
        add(&self.durations[bucket(outcome.total)], 1);
        add(&self.duration_us, outcome.total.as_micros() as u64);
        if outcome.bytes_up > 0 {
            add(&self.bytes_up, outcome.bytes_up);
        }
        add(&self.bytes_down, outcome.bytes_down);
        if outcome.attempts > 1 {
            add(&self.repeats, u64::from(outcome.attempts - 1));
        }
        if !outcome.complete {
            add(&self.broken, 1);
        }
    }

    fn add_to(&self, totals: &mut Totals) {
        let each = |counters: &[AtomicU64], totals: &mut [u64]| {
            for (counter, total) in counters.iter().zip(totals) {
                *total += counter.load(Ordering::Relaxed);
            }
        };
        each(&self.classes, &mut totals.classes);
        each(&self.reasons, &mut totals.reasons);
        each(&self.durations, &mut totals.durations);
        totals.duration_us += self.duration_us.load(Ordering::Relaxed);
        totals.bytes_up += self.bytes_up.load(Ordering::Relaxed);
        totals.bytes_down += self.bytes_down.load(Ordering::Relaxed);
        totals.repeats += self.repeats.load(Ordering::Relaxed);
        totals.broken += self.broken.load(Ordering::Relaxed);
    }
}

/// Only one thread writes, so this need not be one step.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

fn bucket(duration: Duration) -> usize {
    let above = |bound: &u64| duration > Duration::from_millis(*bound);
    DURATION_BOUNDS_MS.iter().take_while(|bound| above(bound)).count()
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            classes: [0; Class::ALL.len()],
            reasons: [0; Reason::ALL.len()],
            durations: [0; BUCKETS],
            duration_us: 0,
            bytes_up: 0,
            bytes_down: 0,
            repeats: 0,
            broken: 0,
        }
    }
}

impl Totals {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Adds what has come to `before` since, as `self` has it. A counter that fell has begun again at zero.
    pub fn accumulate(&self, before: &Self, into: &mut Self) {
        let pairs = self.numbers().zip(before.numbers()).zip(into.numbers_mut());
        for ((now, before), into) in pairs {
            *into += now.checked_sub(*before).unwrap_or(*now);
        }
    }

    fn numbers(&self) -> impl Iterator<Item = &u64> {
        let single = [&self.duration_us, &self.bytes_up, &self.bytes_down, &self.repeats, &self.broken];
        self.classes.iter().chain(&self.reasons).chain(&self.durations).chain(single)
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { classes, reasons, durations, duration_us, bytes_up, bytes_down, repeats, broken } = self;
        let single = [duration_us, bytes_up, bytes_down, repeats, broken];
        classes.iter_mut().chain(reasons).chain(durations).chain(single)
    }
}

/// What the buckets of [`Totals::durations`] hold at most.
pub const DURATION_BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];
/// One for each bound, and one for everything above.
const BUCKETS: usize = DURATION_BOUNDS_MS.len() + 1;

#[cfg(all(test, not(loom)))]
mod tests;
