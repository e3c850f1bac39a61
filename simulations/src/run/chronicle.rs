//! What happened in a run, in order: the trace, violations, faults and what nodes thought of each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::{FaultFacts, Outcome, TraceLine, TunnelChange, ViewChange, Violation};
use crate::words::one_line;

/// The record of a run. Cheap to clone; clones are the same record.
///
/// The log of the node writes to it too, from wherever it is, hence the lock; everything is on one thread.
#[derive(Debug, Clone)]
pub(crate) struct Chronicle {
    origin: Instant,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    /// When load began.
    zero: Duration,
    lines: Vec<(Duration, Line)>,
    missed: u64,
    violations: Vec<(Duration, Finding)>,
    tunnels: Vec<(Duration, TunnelChange)>,
    views: Vec<(Duration, ViewChange)>,
    faults: Vec<FaultFacts>,
}

#[derive(Debug)]
struct Line {
    kind: &'static str,
    who: String,
    what: String,
}

/// What never may happen and did.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) invariant: &'static str,
    pub(crate) node: Option<String>,
    pub(crate) what: String,
}

impl Chronicle {
    /// Of a world that began at `origin`.
    pub(crate) fn new(origin: Instant) -> Self {
        Self { origin, pages: Arc::default() }
    }

    /// Load begins: times count from now on.
    pub(super) fn begin(&self) {
        let now = self.now();
        self.pages().zero = now;
    }

    /// When load had gone on for how long, at a moment since the simulation began.
    pub(super) fn since_beginning(&self, at: Duration) -> Duration {
        at.saturating_sub(self.pages().zero)
    }

    /// Notes an event that happens now.
    pub(crate) fn note(&self, kind: &'static str, who: &str, what: impl Into<String>) {
        self.note_at(self.now(), kind, who, what);
    }

    /// Notes an event that happened at a moment since the simulation began.
    pub(super) fn note_at(&self, at: Duration, kind: &'static str, who: &str, what: impl Into<String>) {
        let mut pages = self.pages();
        if pages.lines.len() >= LINES_MAX {
            pages.missed += 1;
            return;
        }
        let what = one_line(&what.into()).into_owned();
        pages.lines.push((at, Line { kind, who: who.to_owned(), what }));
    }

    /// Notes a violation that is found now.
    pub(crate) fn violation(&self, finding: Finding) {
        let finding = Finding { what: one_line(&finding.what).into_owned(), ..finding };
        let text = format!("{}: {}", finding.invariant, finding.what);
        self.note("violation", finding.node.as_deref().unwrap_or("-"), text);
        let now = self.now();
        let mut pages = self.pages();
        if pages.violations.len() < VIOLATIONS_MAX {
            pages.violations.push((now, finding));
        }
    }

    /// Notes that a node has changed its mind about another.
    pub(super) fn tunnel(&self, from: &str, to: &str, condition: &str) {
        self.note("tunnel", from, format!("holds {to} for {condition}"));
        let now = self.now();
        let (from, to, condition) = (from.to_owned(), to.to_owned(), condition.to_owned());
        self.pages().tunnels.push((now, TunnelChange { at_ms: 0, from, to, condition }));
    }

    /// Notes that a node which has an opinion of another no longer runs, and so has none. That it died is a line already.
    pub(super) fn tunnel_gone(&self, from: &str, to: &str) {
        let now = self.now();
        let (from, to, condition) = (from.to_owned(), to.to_owned(), TunnelChange::NONE.to_owned());
        self.pages().tunnels.push((now, TunnelChange { at_ms: 0, from, to, condition }));
    }

    /// Notes that gossip tells a node something else of another.
    pub(super) fn view(&self, from: &str, about: &str, alive: bool) {
        self.note("view", from, format!("hears that {about} is {}", if alive { "alive" } else { "dead" }));
        let now = self.now();
        let (from, about) = (from.to_owned(), about.to_owned());
        self.pages().views.push((now, ViewChange { at_ms: 0, from, about, alive }));
    }

    /// Notes that a fault begins, and returns its number.
    pub(super) fn fault(&self, kind: &str, text: String, nodes: Vec<String>) -> usize {
        self.note("fault", "-", format!("begins: {text}"));
        let now = self.now();
        let mut pages = self.pages();
        let at_ms = pages.millis(now);
        pages.faults.push(FaultFacts { at_ms, ended_ms: None, kind: kind.to_owned(), text, nodes });
        pages.faults.len() - 1
    }

    /// Notes that the fault of this number is over.
    pub(super) fn fault_over(&self, number: usize) {
        let now = self.now();
        let mut pages = self.pages();
        let ended = pages.millis(now);
        let Some(fault) = pages.faults.get_mut(number) else { return };
        fault.ended_ms = Some(ended);
        let text = format!("ends: {}", fault.text);
        drop(pages);
        self.note("fault", "-", text);
    }

    /// Puts everything into an outcome, in the order of time.
    pub(super) fn tell(&self, outcome: &mut Outcome) {
        let mut pages = self.pages();
        let mut lines = std::mem::take(&mut pages.lines);
        lines.sort_by_key(|(at, _)| *at);
        let line = |(at, Line { kind, who, what })| {
            let at_us = signed(at, pages.zero, Duration::as_micros);
            TraceLine { at_us, kind: kind.to_owned(), who, what }
        };
        outcome.trace = lines.into_iter().map(line).collect();
        if pages.missed > 0 {
            let what = format!("{} more events, which nobody wrote down", pages.missed);
            outcome.trace.push(TraceLine {
                at_us: i64::MAX,
                kind: "log".to_owned(),
                who: "-".to_owned(),
                what,
            });
        }
        let violation = |(at, Finding { invariant, node, what }): &(Duration, Finding)| Violation {
            at_ms: pages.millis(*at),
            invariant: (*invariant).to_owned(),
            node: node.clone(),
            what: what.clone(),
        };
        outcome.violations = pages.violations.iter().map(violation).collect();
        let tunnel = |(at, change): &(Duration, TunnelChange)| TunnelChange {
            at_ms: pages.millis(*at),
            ..change.clone()
        };
        outcome.tunnels = pages.tunnels.iter().map(tunnel).collect();
        let view =
            |(at, change): &(Duration, ViewChange)| ViewChange { at_ms: pages.millis(*at), ..change.clone() };
        outcome.views = pages.views.iter().map(view).collect();
        outcome.faults.clone_from(&pages.faults);
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Since load began.
    fn millis(&self, at: Duration) -> i64 {
        signed(at, self.zero, Duration::as_millis)
    }
}

/// The time from `zero` to `at`, which may lie before it.
fn signed(at: Duration, zero: Duration, unit: fn(&Duration) -> u128) -> i64 {
    let number = |time| i64::try_from(unit(&time)).unwrap_or(i64::MAX);
    if at >= zero { number(at.saturating_sub(zero)) } else { -number(zero.saturating_sub(at)) }
}

/// Lines of one trace.
const LINES_MAX: usize = 2_000_000;
/// Violations that are told; what comes later is most likely their consequence.
const VIOLATIONS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_several_lines_is_one_line_of_the_trace() {
        let chronicle = Chronicle::new(Instant::now());
        chronicle.note("log", "eu-1", "WARN a broken document\n  help: mend it");
        let what = "said in\ntwo lines".to_owned();
        chronicle.violation(Finding { invariant: "no-task-died", node: None, what });
        let pages = chronicle.pages();
        let lines: Vec<_> = pages.lines.iter().map(|(_, line)| &*line.what).collect();
        assert_eq!(lines, ["WARN a broken document; help: mend it", "no-task-died: said in; two lines"]);
        // The page looks for the line of a violation by what that says.
        assert_eq!(pages.violations[0].1.what, "said in; two lines");
    }
}
