//! How long did answered requests take: over all, over time, and how were these times spread?

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::words::milliseconds;

/// How long answered requests of a load took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The load.
    pub load: String,
    /// Whose.
    pub tenant: String,
    /// How many requests were sent.
    pub requests: u64,
    /// How many were answered by a backend with a status below 500.
    pub answered: u64,
    /// Half of these took at most so long; none if there are none, here and below.
    pub p50_ms: Option<f64>,
    /// Nine of ten.
    pub p90_ms: Option<f64>,
    /// 99 of 100.
    pub p99_ms: Option<f64>,
    /// The slowest.
    pub max_ms: Option<f64>,
    /// The same for each piece of time in which requests were sent that were answered.
    pub over_time: Vec<LatencyPiece>,
    /// How many took about equally long; only lengths that some took.
    pub histogram: Vec<LatencyBin>,
}

/// How long those took that were sent in one piece of time, which is as long as those of the requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyPiece {
    /// When the piece begins.
    pub at_ms: i64,
    /// How many were answered by a backend with a status below 500.
    pub answered: u64,
    /// Half of these took at most so long.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// How many requests took about equally long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyBin {
    /// They took longer than this.
    pub over_ms: f64,
    /// And at most so long; the last bin has no end, and none here.
    pub upto_ms: Option<f64>,
    /// How many.
    pub count: u64,
}

/// One answer of a backend with a status below 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// When the request was sent, since load began.
    pub sent: Duration,
    /// How long it took.
    pub took: Duration,
}

impl Latency {
    /// Where bins begin: ten for every factor of ten, from one millisecond to a minute, and one below.
    pub const BOUNDS_MS: [f64; 50] = [
        0.0, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0, 10.0, 12.5, 16.0, 20.0, 25.0, 32.0, 40.0,
        50.0, 63.0, 80.0, 100.0, 125.0, 160.0, 200.0, 250.0, 320.0, 400.0, 500.0, 630.0, 800.0, 1_000.0,
        1_250.0, 1_600.0, 2_000.0, 2_500.0, 3_200.0, 4_000.0, 5_000.0, 6_300.0, 8_000.0, 10_000.0, 12_500.0,
        16_000.0, 20_000.0, 25_000.0, 32_000.0, 40_000.0, 50_000.0, 60_000.0,
    ];

    /// Measures a load of `requests` requests by its `answers`, in pieces of this length.
    pub fn measure(load: &str, tenant: &str, requests: u64, bucket: Duration, answers: &[Answer]) -> Self {
        let percentiles = percentiles(answers.iter().map(|answer| answer.took).collect());
        let [p50_ms, p90_ms, p99_ms, max_ms] = percentiles.map_or([None; 4], |all| all.map(Some));
        Self {
            load: load.to_owned(),
            tenant: tenant.to_owned(),
            requests,
            answered: answers.len() as u64,
            p50_ms,
            p90_ms,
            p99_ms,
            max_ms,
            over_time: over_time(bucket, answers),
            histogram: histogram(answers),
        }
    }
}

fn over_time(bucket: Duration, answers: &[Answer]) -> Vec<LatencyPiece> {
    let bucket_ms = bucket.as_millis().max(1);
    let mut pieces = BTreeMap::<i64, Vec<Duration>>::new();
    for answer in answers {
        let begins_ms = answer.sent.as_millis() / bucket_ms * bucket_ms;
        pieces.entry(begins_ms as i64).or_default().push(answer.took);
    }
    let piece = |(at_ms, took): (i64, Vec<Duration>)| {
        let answered = took.len() as u64;
        let [p50_ms, p90_ms, p99_ms, max_ms] = percentiles(took)?;
        Some(LatencyPiece { at_ms, answered, p50_ms, p90_ms, p99_ms, max_ms })
    };
    pieces.into_iter().filter_map(piece).collect()
}

fn histogram(answers: &[Answer]) -> Vec<LatencyBin> {
    let bounds = &Latency::BOUNDS_MS;
    let mut counts = BTreeMap::<usize, u64>::new();
    for answer in answers {
        let took_ms = milliseconds(answer.took);
        *counts.entry(bounds.partition_point(|bound| *bound < took_ms).saturating_sub(1)).or_default() += 1;
    }
    let bin = |(bin, count): (usize, u64)| LatencyBin {
        over_ms: bounds[bin],
        upto_ms: bounds.get(bin + 1).copied(),
        count,
    };
    counts.into_iter().map(bin).collect()
}

/// What half, nine of ten, 99 of 100, and all took at most, by the nearest rank; none of nothing.
fn percentiles(mut took: Vec<Duration>) -> Option<[f64; 4]> {
    if took.is_empty() {
        return None;
    }
    took.sort_unstable();
    let rank = |percent: usize| (took.len() * percent).div_ceil(100) - 1;
    Some([50, 90, 99, 100].map(|percent| milliseconds(took[rank(percent)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn answers(each: &[(u64, u64)]) -> Vec<Answer> {
        let answer = |(sent_ms, took_ms): &(u64, u64)| Answer {
            sent: Duration::from_millis(*sent_ms),
            took: Duration::from_millis(*took_ms),
        };
        each.iter().map(answer).collect()
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let hundred: Vec<_> = (1..=100).rev().map(|took| (0, took)).collect();
        let latency = Latency::measure("reads", "berlin", 120, SECOND, &answers(&hundred));
        assert_eq!((latency.requests, latency.answered), (120, 100));
        let measured = [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms];
        assert_eq!(measured, [50.0, 90.0, 99.0, 100.0].map(Some));
    }

    #[test]
    fn pieces_are_by_the_time_of_sending() {
        let latency =
            Latency::measure("l", "t", 4, SECOND, &answers(&[(999, 8), (1_000, 1), (1_999, 3), (5_000, 2)]));
        let pieces: Vec<_> =
            latency.over_time.iter().map(|piece| (piece.at_ms, piece.answered, piece.max_ms)).collect();
        assert_eq!(pieces, [(0, 1, 8.0), (1_000, 2, 3.0), (5_000, 1, 2.0)]);
    }

    #[test]
    fn every_answer_is_in_the_bin_of_its_length() {
        let latency =
            Latency::measure("l", "t", 4, SECOND, &answers(&[(0, 0), (0, 10), (0, 11), (0, 90_000)]));
        let bins: Vec<_> =
            latency.histogram.iter().map(|bin| (bin.over_ms, bin.upto_ms, bin.count)).collect();
        let expected =
            [(0.0, Some(1.0), 1), (8.0, Some(10.0), 1), (10.0, Some(12.5), 1), (60_000.0, None, 1)];
        assert_eq!(bins, expected);
    }

    #[test]
    fn of_nothing_answered_there_is_no_length() {
        let latency = Latency::measure("l", "t", 3, Duration::ZERO, &[]);
        assert_eq!((latency.answered, latency.p50_ms, latency.max_ms), (0, None, None));
        assert!(latency.over_time.is_empty() && latency.histogram.is_empty());
    }
}
