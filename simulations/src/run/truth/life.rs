//! In what state a node's process really is: held down, starting, standing still, leaving; and how much time it had.

use std::collections::BTreeSet;
use std::mem;
use std::time::Duration;

/// One node's process. Faults are called by their numbers: what several do to it ends with the last of them.
///
/// A process that ends takes with it what was done to it: the next one neither stands still nor leaves.
#[derive(Debug, Default)]
pub(in crate::run) struct Life {
    /// The faults that hold it down.
    holds: BTreeSet<u64>,
    /// Whether it has been ended, and has not started since.
    down: bool,
    /// How often it was taken down.
    deaths: u64,
    /// The faults that let it stand still.
    stalls: BTreeSet<u64>,
    /// The faults that told it to leave.
    leaves: BTreeSet<u64>,
    /// Since when it leaves, and others can hear of it.
    draining: Option<Duration>,
    /// When it became well, or no longer so.
    turned: Option<Duration>,
    /// From when to when it stood still, in order.
    standstills: Vec<(Duration, Option<Duration>)>,
    /// From when on its clock ran so many millionths too fast, in order.
    paces: Vec<(Duration, i32)>,
}

/// Which way a node turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum Turn {
    Well,
    Ill,
}

impl Life {
    pub(in crate::run) fn runs(&self) -> bool {
        !self.down
    }

    pub(in crate::run) fn stands_still(&self) -> bool {
        !self.stalls.is_empty()
    }

    pub(in crate::run) fn draining_since(&self) -> Option<Duration> {
        self.draining
    }

    /// Whether nothing is wrong with it at the moment.
    pub(in crate::run) fn is_well(&self) -> bool {
        self.runs() && !self.stands_still() && self.draining.is_none()
    }

    /// Whether nothing has been wrong with it since a moment, nor is now.
    pub(in crate::run) fn is_sound(&self, since: Option<Duration>) -> bool {
        self.is_well() && self.turned.is_none_or(|turned| since.is_some_and(|since| turned < since))
    }

    /// Notes that something was done to it that was well before or not, and says which way it turned.
    pub(in crate::run) fn turn(&mut self, was_well: bool, now: Duration) -> Option<Turn> {
        if was_well == self.is_well() {
            return None;
        }
        self.turned = Some(now);
        Some(if was_well { Turn::Ill } else { Turn::Well })
    }

    /// A fault holds it down. Whether that ends it, or an attempt to start it.
    pub(in crate::run) fn hold(&mut self, fault: u64, now: Duration) -> bool {
        let first = self.holds.is_empty();
        self.holds.insert(fault);
        if first {
            self.end(now);
        }
        first
    }

    /// It has left by itself, as these faults told it: they hold it down from now on. Whether this one is the first to
    /// see that.
    pub(in crate::run) fn leave_for_good(&mut self, fault: u64, now: Duration) -> bool {
        if !self.leaves.contains(&fault) {
            return false;
        }
        self.holds.append(&mut self.leaves);
        self.end(now);
        true
    }

    /// A fault holds it down no longer. If no other does, the number under which it may be started.
    pub(in crate::run) fn release(&mut self, fault: u64) -> Option<u64> {
        (self.holds.remove(&fault) && self.holds.is_empty()).then_some(self.deaths)
    }

    /// Whether it is still to be started by who released it and was given this number.
    pub(in crate::run) fn is_wanted(&self, number: u64) -> bool {
        self.holds.is_empty() && self.deaths == number
    }

    pub(in crate::run) fn start(&mut self) {
        self.down = false;
    }

    fn end(&mut self, now: Duration) {
        (self.down, self.draining) = (true, None);
        self.deaths += 1;
        self.leaves.clear();
        if !mem::take(&mut self.stalls).is_empty() {
            self.go_on(now);
        }
    }

    /// A fault lets it stand still. Whether it went on until now; nothing if there is no process.
    pub(in crate::run) fn stall(&mut self, fault: u64, now: Duration) -> Option<bool> {
        if !self.runs() {
            return None;
        }
        let first = self.stalls.is_empty();
        self.stalls.insert(fault);
        if first {
            self.standstills.push((now, None));
        }
        Some(first)
    }

    /// A fault lets it go on. Whether it does.
    pub(in crate::run) fn unstall(&mut self, fault: u64, now: Duration) -> bool {
        let last = self.stalls.remove(&fault) && self.stalls.is_empty();
        if last {
            self.go_on(now);
            // While it stood still, it told nobody.
            self.draining = self.draining.map(|_| now);
        }
        last
    }

    fn go_on(&mut self, now: Duration) {
        if let Some((_, until)) = self.standstills.last_mut() {
            *until = Some(now);
        }
    }

    /// A fault tells it to leave. Whether there is a process to hear it.
    pub(in crate::run) fn leave(&mut self, fault: u64, now: Duration) -> bool {
        if self.runs() {
            self.leaves.insert(fault);
            self.draining.get_or_insert(now);
        }
        self.runs()
    }

    /// Whether a fault told it to leave, and it has not left.
    pub(in crate::run) fn leaves_for(&self, fault: u64) -> bool {
        self.leaves.contains(&fault)
    }

    /// Whether others did, too.
    pub(in crate::run) fn leaves_for_others(&self, fault: u64) -> bool {
        self.leaves_for(fault) && self.leaves.len() > 1
    }

    /// A fault no longer wants it to leave. If no other does, it stays.
    pub(in crate::run) fn keep(&mut self, fault: u64) {
        self.leaves.remove(&fault);
        if self.leaves.is_empty() {
            self.draining = None;
        }
    }

    /// Its clock runs so many millionths too fast from now on.
    pub(in crate::run) fn drift(&mut self, ppm: i32, now: Duration) {
        self.paces.push((now, ppm));
    }

    /// The moment since which it has had so much time until `at`: what it stood still does not count.
    pub(in crate::run) fn had(&self, time: Duration, at: Duration) -> Duration {
        let (mut until, mut left) = (at, time);
        for (from, to) in self.standstills.iter().rev().filter(|(from, _)| *from < at) {
            let ran = until.saturating_sub(to.unwrap_or(at).min(at));
            if ran >= left {
                break;
            }
            (until, left) = (*from, left.saturating_sub(ran));
        }
        until.saturating_sub(left)
    }

    /// How much time has passed by its own clock.
    pub(in crate::run) fn own_time(&self, from: Duration, to: Duration) -> Duration {
        let ends = self.paces.iter().skip(1).map(|(at, _)| *at).chain([Duration::MAX]);
        let wrong = self.paces.iter().zip(ends).map(|(&(at, ppm), end)| {
            let passed = end.min(to).saturating_sub(at.max(from));
            passed.as_secs_f64() * f64::from(ppm) / 1e6
        });
        let right = to.saturating_sub(from).as_secs_f64();
        Duration::try_from_secs_f64(right + wrong.sum::<f64>()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
