//! Which requests kept an objective from being met, and which of them are told?

use std::time::Duration;

use super::{Sample, is_slow};
use crate::outcome::{Miss, Misses};
use crate::scenario::{Demand, Objective, Scenario};
use crate::words::milliseconds;

/// The requests that speak against an objective that was missed: how many, the first and the last. In the order of time,
/// as `samples` are.
pub(super) fn misses(scenario: &Scenario, objective: &Objective, samples: &[&Sample]) -> Misses {
    let against = against(objective, samples);
    let told = |samples: &[&Sample]| samples.iter().map(|sample| told(scenario, sample)).collect();
    let (first, rest) = against.split_at(against.len().min(TOLD_MAX));
    let last = &rest[rest.len().saturating_sub(TOLD_MAX)..];
    Misses { count: against.len() as u64, first: told(first), last: told(last) }
}

fn told(scenario: &Scenario, sample: &Sample) -> Miss {
    Miss {
        at_us: i64::try_from(sample.sent.as_micros()).unwrap_or(i64::MAX),
        request: format!("{}/{}", scenario.loads[sample.load].name, sample.number),
        edge: sample.edge.clone(),
        fate: sample.fate.word().to_owned(),
        served_by: sample.fate.region().map(str::to_owned),
        took_ms: milliseconds(sample.took),
    }
}

fn against<'s>(objective: &Objective, samples: &[&'s Sample]) -> Vec<&'s Sample> {
    let those = |meant: &dyn Fn(&Sample) -> bool| -> Vec<&'s Sample> {
        samples.iter().copied().filter(|sample| meant(sample)).collect()
    };
    let unserved = |sample: &Sample| !sample.fate.is_served();
    match &objective.demand {
        Demand::Availability { .. } => those(&unserved),
        Demand::Recovery { within, slower_than } => {
            let failed = |sample: &Sample| unserved(sample) || is_slow(sample, *slower_than);
            let late = |sample: &Sample| failed(sample) && after(objective, sample) > *within;
            or(those(&late), || those(&failed))
        }
        Demand::Refusals { only, .. } => {
            let refused = |sample: &Sample| unserved(sample) && sample.fate.region().is_none();
            let foreign =
                |sample: &Sample| refused(sample) && !only.iter().any(|name| name == sample.fate.word());
            or(those(&foreign), || those(&refused))
        }
        Demand::Latency { most, .. } => {
            let slow = |sample: &Sample| sample.fate.is_served() && is_slow(sample, Some(*most));
            or(those(&slow), || those(&unserved))
        }
        Demand::Served { by, .. } => {
            let elsewhere = |sample: &Sample| {
                sample.fate.region().is_some_and(|region| !by.iter().any(|name| name == region))
            };
            or(those(&elsewhere), || those(&unserved))
        }
    }
}

/// How long after the beginning of an objective's time a request was sent.
pub(super) fn after(objective: &Objective, sample: &Sample) -> Duration {
    sample.sent.saturating_sub(objective.from)
}

fn or<T>(some: Vec<T>, others: impl FnOnce() -> Vec<T>) -> Vec<T> {
    if some.is_empty() { others() } else { some }
}

/// Of the first and of the last.
const TOLD_MAX: usize = 3;
