//! Were the objectives met: decided by what clients saw, wherever they ran.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::outcome::{Answer, Bucket, Latency, Misses, Verdict};
use crate::scenario::{Demand, Objective, Scenario};
use crate::words::milliseconds;

mod misses;
mod words;

/// One request as its client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The load's position in [`Scenario::loads`].
    pub load: usize,
    /// Its number within the load.
    pub number: u64,
    /// The node that it was sent to first.
    pub edge: String,
    /// The node that it was sent to last, which answered if any did.
    pub last_edge: String,
    /// When it was sent, since load began.
    pub sent: Duration,
    /// How long it took to the last byte of its answer, or until it was given up.
    pub took: Duration,
    /// How long of that the last edge took.
    pub at_edge: Duration,
    /// What came of it.
    pub fate: Fate,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A backend answered.
    Answered {
        /// The status.
        status: u16,
        /// The backend's region.
        region: String,
    },
    /// A node refused it, for a reason of docs/refusals.md.
    Refused {
        /// The status.
        status: u16,
        /// The reason.
        reason: String,
    },
    /// No whole answer.
    NoAnswer,
}

impl Fate {
    /// Whether a backend answered with a status below 500.
    pub fn is_served(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if *status < 500)
    }

    /// One word for it: `served`, `backend-error`, the reason of a refusal, or `no-answer`.
    pub fn word(&self) -> &str {
        match self {
            Self::Answered { .. } if self.is_served() => "served",
            Self::Answered { .. } => "backend-error",
            Self::Refused { reason, .. } => reason,
            Self::NoAnswer => "no-answer",
        }
    }

    /// The region that answered.
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::Answered { region, .. } => Some(region),
            _ => None,
        }
    }
}

/// Every objective of the scenario, judged.
pub fn verdicts(scenario: &Scenario, samples: &[Sample]) -> Vec<Verdict> {
    scenario.objectives.iter().map(|objective| verdict(scenario, objective, samples)).collect()
}

fn verdict(scenario: &Scenario, objective: &Objective, samples: &[Sample]) -> Verdict {
    let meant = |sample: &&Sample| {
        let load = &scenario.loads[sample.load];
        objective.tenant.as_ref().is_none_or(|tenant| *tenant == load.tenant)
            && objective.load.as_ref().is_none_or(|name| *name == load.name)
            && objective.from <= sample.sent
            // A timer's grain can put the last request at the very end.
            && (sample.sent < objective.until || objective.until == scenario.duration)
    };
    let samples: Vec<_> = samples.iter().filter(meant).collect();
    let measured =
        if samples.is_empty() { Measured::nothing("no requests") } else { measure(objective, &samples) };
    let misses = if measured.met { Misses::default() } else { misses::misses(scenario, objective, &samples) };
    Verdict {
        objective: words::words(objective, scenario.duration),
        kind: objective.demand.kind().to_owned(),
        tenant: objective.tenant.clone(),
        met: measured.met,
        measured: measured.text,
        value: measured.value,
        requests: samples.len() as u64,
        misses,
    }
}

struct Measured {
    met: bool,
    value: Option<f64>,
    text: String,
}

impl Measured {
    /// There was nothing to be measured, so that nothing was shown.
    fn nothing(text: &str) -> Self {
        Self { met: false, value: None, text: text.to_owned() }
    }

    fn share(value: f64, least: f64) -> Self {
        Self { met: value >= least, value: Some(value), text: format!("{:.3} %", value * 100.0) }
    }

    fn time(value_ms: f64, most: Duration) -> Self {
        Self { met: value_ms <= milliseconds(most), value: Some(value_ms), text: format!("{value_ms:.3} ms") }
    }
}

fn measure(objective: &Objective, samples: &[&Sample]) -> Measured {
    match &objective.demand {
        Demand::Availability { least } => {
            let served = samples.iter().filter(|sample| sample.fate.is_served()).count();
            Measured::share(served as f64 / samples.len() as f64, *least)
        }
        Demand::Recovery { within, slower_than } => recovery(objective, samples, (*within, *slower_than)),
        Demand::Refusals { only, most } => refusals(samples, only, *most),
        Demand::Latency { quantile, most } => {
            let times = served_times(samples.iter().copied());
            nth(&times, *quantile)
                .map_or_else(|| Measured::nothing("none served"), |nth| Measured::time(nth, *most))
        }
        Demand::Served { by, least } => {
            let (mut answered, mut by_these) = (0u64, 0u64);
            for region in samples.iter().filter_map(|sample| sample.fate.region()) {
                answered += 1;
                by_these += u64::from(by.iter().any(|name| name == region));
            }
            if answered == 0 {
                return Measured::nothing("none answered");
            }
            Measured::share(by_these as f64 / answered as f64, *least)
        }
    }
}

/// Whoever fails to the end has not recovered, whatever the limit.
fn recovery(
    objective: &Objective,
    samples: &[&Sample],
    (within, slow): (Duration, Option<Duration>),
) -> Measured {
    let failed = |sample: &Sample| !sample.fate.is_served() || is_slow(sample, slow);
    match samples.iter().rposition(|sample| failed(sample)) {
        None => Measured::time(0.0, within),
        Some(last) if last + 1 == samples.len() => Measured::nothing("not recovered by the end"),
        Some(last) => Measured::time(milliseconds(misses::after(objective, samples[last])), within),
    }
}

fn is_slow(sample: &Sample, most: Option<Duration>) -> bool {
    most.is_some_and(|most| sample.took > most)
}

fn refusals(samples: &[&Sample], only: &[String], most: f64) -> Measured {
    let mut by_reason = BTreeMap::<&str, u64>::new();
    for sample in samples.iter().filter(|sample| !sample.fate.is_served() && sample.fate.region().is_none()) {
        *by_reason.entry(sample.fate.word()).or_default() += 1;
    }
    let value = by_reason.values().sum::<u64>() as f64 / samples.len() as f64;
    let allowed = by_reason.keys().all(|reason| only.iter().any(|name| name == reason));
    let counts: Vec<_> = by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let text = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    Measured { met: allowed && value <= most, value: Some(value), text }
}

/// Requests in pieces of time, by whose, where and what became of them.
pub fn buckets(scenario: &Scenario, samples: &[Sample], bucket: Duration) -> Vec<Bucket> {
    let mut counted = BTreeMap::<(i64, String, String, Option<String>, String), (u64, u64)>::new();
    for sample in samples {
        let piece = sample.sent.as_millis() / bucket.as_millis().max(1) * bucket.as_millis();
        let edge = scenario.fleet.region_of(&sample.edge).map_or("", |region| &region.name);
        let key = (
            i64::try_from(piece).unwrap_or(i64::MAX),
            scenario.loads[sample.load].tenant.clone(),
            edge.to_owned(),
            sample.fate.region().map(str::to_owned),
            sample.fate.word().to_owned(),
        );
        let (count, slowest) = counted.entry(key).or_default();
        *count += 1;
        *slowest = (*slowest).max(sample.took.as_millis() as u64);
    }
    let bucket = |((at_ms, tenant, edge, served_by, fate), (count, slowest_ms))| Bucket {
        at_ms,
        tenant,
        edge,
        served_by,
        fate,
        count,
        slowest_ms,
    };
    counted.into_iter().map(bucket).collect()
}

/// How long the answered requests of every load took, also in pieces of time.
pub fn latencies(scenario: &Scenario, samples: &[Sample], bucket: Duration) -> Vec<Latency> {
    let of_load = |(position, load): (usize, &crate::scenario::Load)| {
        let samples: Vec<_> = samples.iter().filter(|sample| sample.load == position).collect();
        let served = samples.iter().filter(|sample| sample.fate.is_served());
        let answers: Vec<_> = served.map(|sample| Answer { sent: sample.sent, took: sample.took }).collect();
        Latency::measure(&load.name, &load.tenant, samples.len() as u64, bucket, &answers)
    };
    scenario.loads.iter().enumerate().map(of_load).collect()
}

/// How long the served ones took, in milliseconds, the shortest first.
fn served_times<'s>(samples: impl Iterator<Item = &'s Sample>) -> Vec<f64> {
    let mut times: Vec<_> =
        samples.filter(|sample| sample.fate.is_served()).map(|sample| sample.took).collect();
    times.sort_unstable();
    times.into_iter().map(milliseconds).collect()
}

/// The smallest that at least this share of all is not above; none of none.
fn nth(sorted: &[f64], quantile: f64) -> Option<f64> {
    let enough = |rank: &usize| *rank as f64 >= quantile * sorted.len() as f64;
    let rank = (1..=sorted.len()).find(enough).unwrap_or(sorted.len());
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests;
