//! Many runs that differ in their seed: over the cores of this machine, with progress.

use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::outcome::Outcome;
use crate::words::counted;

/// Seeds from the first to before the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seeds(pub(super) Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
        let is_range = |seeds: &Range<u64>| !seeds.is_empty() && seeds.end <= SEED_MAX + 1;
        parsed.filter(is_range).map(Self).ok_or_else(|| {
            format!("expected two numbers, the first below the second, such as `1..101` (a hundred seeds), found `{text}`")
        })
    }
}

/// The highest seed: scenario files have no higher whole number.
pub(super) const SEED_MAX: u64 = i64::MAX as u64;

/// What one seed gave, without what reports are made of.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Summary {
    pub(super) seed: u64,
    pub(super) passed: bool,
    /// Objectives that were missed, violations, or why there was no run.
    pub(super) findings: Vec<String>,
}

impl Summary {
    fn of(seed: u64, result: io::Result<Outcome>) -> Self {
        match result {
            Ok(outcome) => Self { seed, passed: outcome.passed, findings: outcome.findings() },
            Err(error) => Self { seed, passed: false, findings: vec![error.to_string()] },
        }
    }
}

/// Runs all seeds. A run that panics has failed.
pub(super) fn run_all(seeds: &Seeds, run: impl Fn(u64) -> io::Result<Outcome> + Sync) -> Vec<Summary> {
    let next = AtomicU64::new(seeds.0.start);
    let done = Mutex::new(Vec::new());
    let progress = Progress { total: seeds.0.end - seeds.0.start, shown: io::stderr().is_terminal() };
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.0.end {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| run(seed)));
            let result =
                result.unwrap_or_else(|_| Err(io::Error::other("the run panicked; its message is above")));
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push(Summary::of(seed, result));
            progress.show(&done);
        }
    };
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|summary| summary.seed);
    done
}

struct Progress {
    total: u64,
    shown: bool,
}

impl Progress {
    fn show(&self, done: &[Summary]) {
        if self.shown {
            let failed = done.iter().filter(|summary| !summary.passed).count();
            let end = if done.len() as u64 == self.total { "\n" } else { "" };
            let _ = write!(
                io::stderr().lock(),
                "\r{} of {}, {failed} failed{end}",
                done.len(),
                counted(self.total, "seed")
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_seeds_is_two_numbers() {
        assert_eq!("3..7".parse(), Ok(Seeds(3..7)));
        assert_eq!("9223372036854775807..9223372036854775808".parse(), Ok(Seeds(SEED_MAX..SEED_MAX + 1)));
        for wrong in ["7..3", "3..3", "3", "a..b", "-1..3", "", "1..9223372036854775809"] {
            assert!(wrong.parse::<Seeds>().unwrap_err().contains("such as `1..101`"), "{wrong}");
        }
    }

    #[test]
    fn every_seed_is_run_once_and_a_panic_is_a_failure() {
        let summaries = run_all(&Seeds(10..20), |seed| {
            assert!(seed != 13, "unlucky");
            Err(io::Error::other("nothing was run"))
        });
        assert_eq!(
            summaries.iter().map(|summary| summary.seed).collect::<Vec<_>>(),
            (10..20).collect::<Vec<_>>()
        );
        assert!(summaries[3].findings[0].contains("panicked"));
        assert_eq!(summaries[4].findings, ["nothing was run"]);
    }
}
