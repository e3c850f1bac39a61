//! An outcome as people read it in a terminal.

use super::output::print;
use super::seeds::{Summary, findings};
use crate::outcome::{Outcome, TRACE_LEGEND, TraceLine};

/// The verdict with every objective.
pub(super) fn outcome(outcome: &Outcome) {
    let verdict = if outcome.passed { "passed" } else { "FAILED" };
    print(format_args!("{} with seed {}: {verdict}", outcome.scenario, outcome.seed));
    for verdict in &outcome.objectives {
        let met = if verdict.met { "met   " } else { "MISSED" };
        print(format_args!(
            "  {met}  {}: {} ({} requests)",
            verdict.objective, verdict.measured, verdict.requests
        ));
    }
    for violation in outcome.violations.iter().take(SHOWN_MAX) {
        print(format_args!(
            "  VIOLATED at {} ms  {}: {}",
            violation.at_ms, violation.invariant, violation.what
        ));
    }
    if let Some(more) = outcome.violations.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        print(format_args!("  and {more} violations more"));
    }
}

/// One line for each event, after the legend.
pub(super) fn trace(outcome: &Outcome) {
    for (kind, meaning) in TRACE_LEGEND {
        print(format_args!("# {kind:<9} {meaning}"));
    }
    print("# seconds since load began, kind, who, what");
    for line in &outcome.trace {
        print(trace_line(line));
    }
}

pub(super) fn trace_line(TraceLine { at_us, kind, who, what }: &TraceLine) -> String {
    let sign = if *at_us < 0 { "-" } else { "" };
    let (seconds, micros) = (at_us.unsigned_abs() / 1_000_000, at_us.unsigned_abs() % 1_000_000);
    format!("{:>12} {kind:<9} {who:<16} {what}", format!("{sign}{seconds}.{micros:06}"))
}

/// What many seeds gave; `replay` is the command that runs one of them again, without its seed.
pub(super) fn summaries(summaries: &[Summary], replay: &str) {
    let failed: Vec<_> = summaries.iter().filter(|summary| !summary.passed).collect();
    print(format_args!("{} of {} seeds passed", summaries.len() - failed.len(), summaries.len()));
    for summary in failed {
        print(format_args!("{replay} --seed {}", summary.seed));
        for finding in summary.findings.iter().take(FINDINGS_SHOWN_MAX) {
            print(format_args!("    {finding}"));
        }
    }
}

/// Whether a run passed, as a command's result.
pub(super) fn result(outcome: &Outcome) -> Result<(), super::Failure> {
    if outcome.passed && findings(outcome).is_empty() { Ok(()) } else { Err(super::Failure::Found) }
}

/// Violations of one run that are printed.
const SHOWN_MAX: usize = 20;
/// Findings of one seed of many that are printed.
const FINDINGS_SHOWN_MAX: usize = 3;
