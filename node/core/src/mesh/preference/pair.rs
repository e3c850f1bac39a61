//! Two regions: how many requests prefer the first, and when that changes.

use std::time::Duration;

use super::Standing;
use crate::Moment;
use crate::mesh::{LOAD_HARD_LIMIT, LOAD_SOFT_LIMIT};

/// One pair's state. Ask again at every update: it keeps time only while something pulls.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pair {
    lean: Lean,
    /// Since when both have been measured. For [`SETTLING`] after that, changes are made at once.
    compared: Option<Moment>,
    /// Who is clearly better, and since when.
    pulled: Option<(Side, Moment)>,
}

/// How a pair's requests are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lean {
    /// Requests that prefer the first, in parts of [`SHARE_ALL`].
    share: u32,
    /// Whose requests are the ones with the lowest chances: the region that requests were moved away from last. So
    /// whatever it spills, to whomever, is the same part of its requests.
    low: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    First,
    Second,
}

/// What moves requests to a side.
#[derive(Debug, Clone, Copy)]
struct Pull {
    to: Side,
    /// Without waiting for [`BETTER_FOR_MIN`].
    at_once: bool,
}

impl Pair {
    /// Moves shares after `passed` since the last update; whether anything moved.
    pub(super) fn update(
        &mut self,
        first: Standing,
        second: Standing,
        now: Moment,
        passed: Duration,
    ) -> bool {
        let before = self.lean;
        if self.compared.is_none() && first.measured && second.measured {
            self.compared = Some(now);
        }
        if self.compared.is_some_and(|since| now.since(since) >= SETTLING) {
            self.follow(pull(first, second), now, passed);
        } else {
            self.lean = Lean::all_to(if second.cost < first.cost { Side::Second } else { Side::First });
        }
        self.lean != before
    }

    pub(super) fn lean(&self) -> Lean {
        self.lean
    }

    fn follow(&mut self, pull: Option<Pull>, now: Moment, passed: Duration) {
        let Some(Pull { to, at_once }) = pull else {
            self.pulled = None;
            return;
        };
        let since = self.pulled.filter(|(side, _)| *side == to).map_or(now, |(_, since)| since);
        self.pulled = Some((to, since));
        if at_once || now.since(since) >= BETTER_FOR_MIN {
            self.lean.shift(to, passed);
        }
    }
}

/// Who should gain, if anybody. A region at its hard limit is relieved even where that costs more.
fn pull(first: Standing, second: Standing) -> Option<Pull> {
    let relieves =
        |one: Standing, other: Standing| other.load >= LOAD_HARD_LIMIT && one.load < LOAD_SOFT_LIMIT;
    if relieves(first, second) {
        Some(Pull { to: Side::First, at_once: true })
    } else if relieves(second, first) {
        Some(Pull { to: Side::Second, at_once: true })
    } else if first.cost.is_clearly_below(second.cost) {
        Some(Pull { to: Side::First, at_once: false })
    } else if second.cost.is_clearly_below(first.cost) {
        Some(Pull { to: Side::Second, at_once: false })
    } else {
        None
    }
}

impl Lean {
    fn all_to(side: Side) -> Self {
        match side {
            Side::First => Self { share: SHARE_ALL, low: Side::First },
            Side::Second => Self { share: 0, low: Side::Second },
        }
    }

    /// Whether the request with this chance prefers the first.
    pub(super) fn first_wins(self, chance: u32) -> bool {
        let place = ((u64::from(chance) * u64::from(SHARE_ALL)) >> 32) as u32;
        match self.low {
            Side::First => place < self.share,
            Side::Second => place >= SHARE_ALL - self.share,
        }
    }

    pub(super) fn share_of_first(self) -> f64 {
        f64::from(self.share) / f64::from(SHARE_ALL)
    }

    fn shift(&mut self, to: Side, passed: Duration) {
        let step = u32::try_from(passed.as_micros() / MICROS_PER_PART).unwrap_or(SHARE_ALL);
        let moved = match to {
            Side::First => self.share.saturating_add(step).min(SHARE_ALL),
            Side::Second => self.share.saturating_sub(step),
        };
        // At an end of the range it makes no difference whose chances are low, so only there it may change.
        if moved != self.share && (self.share == 0 || self.share == SHARE_ALL) {
            self.low = if self.share == 0 { Side::Second } else { Side::First };
        }
        self.share = moved;
    }
}

impl Default for Lean {
    fn default() -> Self {
        Self::all_to(Side::First)
    }
}

/// A hundred percent.
const SHARE_ALL: u32 = 1_000_000;
/// Ten percentage points a second: one part of [`SHARE_ALL`] in ten microseconds.
const MICROS_PER_PART: u128 = 10;
const BETTER_FOR_MIN: Duration = Duration::from_secs(3);
/// A first round trip is taken while nodes start and handshakes run: what it says of two near regions must not stick.
/// After this, the lowest round trip is the lowest of its whole window.
const SETTLING: Duration = Duration::from_secs(10);
