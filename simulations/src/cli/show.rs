//! An outcome as somebody wants to see it: as lines, as JSON, as a page.

use std::path::PathBuf;

use graticule::cli::output::{Failure, print, print_json};

use super::seeds::Summary;
use crate::outcome::{Outcome, TRACE_LEGEND, TraceLine};
use crate::report;

/// How one run is shown.
#[derive(Debug, clap::Args)]
pub(super) struct ShowOptions {
    /// Print one line for each event
    #[arg(long)]
    trace: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "trace")]
    pub(super) json: bool,
    /// Write a page to look at (index.html) and report.json into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl ShowOptions {
    /// Shows what a run gave; its result is the command's.
    pub(super) fn show(&self, shown: &Outcome) -> Result<(), Failure> {
        if let Some(directory) = &self.report {
            report::write(shown, directory).map_err(|error| Failure::doing("no report", error))?;
        }
        if self.json {
            print_json(shown)?;
        } else if self.trace {
            trace(shown);
        } else {
            outcome(shown);
        }
        found_nothing(shown.passed && shown.findings().is_empty())
    }

    /// Shows what many seeds gave; `replay` is the command that runs one of them again, without its seed.
    pub(super) fn show_seeds(&self, seeds: &[Summary], replay: &str) -> Result<(), Failure> {
        if self.json {
            print_json(&seeds)?;
        } else {
            summaries(seeds, replay);
        }
        found_nothing(seeds.iter().all(|seed| seed.passed))
    }
}

fn found_nothing(passed: bool) -> Result<(), Failure> {
    if passed { Ok(()) } else { Err(Failure::Found) }
}

/// The verdict with every objective.
fn outcome(outcome: &Outcome) {
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
fn trace(outcome: &Outcome) {
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

fn summaries(summaries: &[Summary], replay: &str) {
    let failed: Vec<_> = summaries.iter().filter(|summary| !summary.passed).collect();
    print(format_args!("{} of {} seeds passed", summaries.len() - failed.len(), summaries.len()));
    for summary in failed {
        print(format_args!("{replay} --seed {}", summary.seed));
        for finding in summary.findings.iter().take(FINDINGS_SHOWN_MAX) {
            print(format_args!("    {finding}"));
        }
    }
}

/// Violations of one run that are printed.
const SHOWN_MAX: usize = 20;
/// Findings of one seed of many that are printed.
const FINDINGS_SHOWN_MAX: usize = 3;
