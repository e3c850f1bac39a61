//! How long is a backend expected to take? A mean of what it took, which believes bad news at once, for a while.

use std::time::Duration;

use crate::Moment;

/// One worker's expectation of one backend.
///
/// An answer that took longer than expected is expected from then on. As faster ones follow, the expectation goes down
/// to their mean, and has arrived there after [`MEMORY`](Self::MEMORY), however slow the slow answer was. A backend
/// that is avoided gives no answers: one that has given none for that long is unknown again. It is tried with
/// one request, and with another only after [`TRIAL`](Self::TRIAL) or its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PeakEwma {
    /// The last answer that took longer than expected, in microseconds.
    peak: f32,
    /// When it came.
    peak_at: Moment,
    /// The mean of the answers since.
    mean: Option<f32>,
    /// When the last answer came; nothing is known before the first.
    at: Option<Moment>,
    /// When it was tried, if no answer has come since.
    tried: Option<Moment>,
}

impl PeakEwma {
    /// How long an answer is remembered.
    pub const MEMORY: Duration = Duration::from_secs(10);

    /// How long after one request to an unknown backend there is no other, unless it answers.
    pub const TRIAL: Duration = Duration::from_secs(1);

    /// What a failure counts as, if it did not take even longer. A broken backend is often the fastest of all.
    pub const FAILURE: Duration = Duration::from_secs(1);

    /// A request is sent.
    pub fn asked(&mut self, now: Moment) {
        if self.expected(now).is_none() {
            self.tried = Some(now);
        }
    }

    /// An answer began `latency` after its request.
    pub fn answered(&mut self, latency: Duration, now: Moment) {
        // Faster than the clock can tell is still not free: requests under way have to count.
        let latency = latency.as_micros().max(1) as f32;
        if self.remembered(now).is_some_and(|expected| latency < expected) {
            let kept = kept(self.at.map_or(Duration::ZERO, |at| now.since(at)));
            self.mean = Some(self.mean.map_or(latency, |mean| mean * kept + latency * (1.0 - kept)));
        } else {
            (self.peak, self.peak_at, self.mean) = (latency, now, None);
        }
        (self.at, self.tried) = (Some(now), None);
    }

    /// A request failed after `latency`.
    pub fn failed(&mut self, latency: Duration, now: Moment) {
        self.answered(latency.max(Self::FAILURE), now);
    }

    /// The expectation in microseconds; `None` if nothing is known, so that a request should find out.
    pub fn expected(&self, now: Moment) -> Option<f32> {
        let on_trial = || self.tried.filter(|tried| now.since(*tried) < Self::TRIAL);
        // Whether it will answer at all is what the trial is to show.
        self.remembered(now).or_else(|| on_trial().map(|_| Self::FAILURE.as_micros() as f32))
    }

    fn remembered(&self, now: Moment) -> Option<f32> {
        self.at.filter(|at| now.since(*at) < Self::MEMORY)?;
        let Some(mean) = self.mean else { return Some(self.peak) };
        let passed = now.since(self.peak_at).as_micros() as f32 / Self::MEMORY.as_micros() as f32;
        Some(mean + (self.peak - mean).max(0.0) * (1.0 - passed).max(0.0))
    }
}

/// The first of two if it is expected to be done no later: the expectation times the requests that it would have then.
/// One of which nothing is known is to be tried; of two, the one with fewer requests.
pub(super) fn first_is_better(first: (Option<f32>, u32), second: (Option<f32>, u32)) -> bool {
    let busy = |requests: u32| requests as f32 + 1.0;
    match (first.0, second.0) {
        (Some(one), Some(other)) => one * busy(first.1) <= other * busy(second.1),
        (None, None) => first.1 <= second.1,
        (known, _) => known.is_none(),
    }
}

/// What is left of the past after `passed`: close to `exp(-passed / MEMORY)`, for the price of a division.
fn kept(passed: Duration) -> f32 {
    let parts = passed.as_micros() as f32 / PeakEwma::MEMORY.as_micros() as f32;
    1.0 / (1.0 + parts + parts * parts / 2.0)
}

#[cfg(test)]
mod tests;
