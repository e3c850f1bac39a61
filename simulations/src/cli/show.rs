//! An outcome as somebody wants to see it: as lines, as JSON, as a page.

use std::path::PathBuf;

use graticule::cli::output::{Failure, print, print_error, print_json};

use super::seeds::Summary;
use crate::outcome::{Misses, Outcome, TRACE_LEGEND, TraceLine, Violation};
use crate::report;
use crate::words::{counted, to_the_microsecond};

/// How one run is shown.
#[derive(Debug, clap::Args)]
pub(super) struct ShowOptions {
    /// Print one line for each event, and the verdict to standard error
    #[arg(long)]
    trace: bool,
    /// Print what report.json says
    #[arg(long, conflicts_with = "trace")]
    pub(super) json: bool,
    /// Write a page to look at (index.html) and report.json into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl ShowOptions {
    /// Shows what a run gave; its result is the command's. A report that cannot be written costs nobody the verdict.
    pub(super) fn show(&self, shown: &Outcome) -> Result<(), Failure> {
        if self.json {
            let text = report::json(shown).map_err(|error| Failure::doing("cannot write JSON", error))?;
            print(text.trim_end());
        } else if self.trace {
            trace(shown);
            verdict(shown).iter().for_each(print_error);
        } else {
            verdict(shown).iter().for_each(print);
        }
        if let Some(directory) = &self.report {
            report::write(shown, directory).map_err(|error| Failure::doing("no report", error))?;
            print_error(format_args!("the report is {}", directory.join(report::PAGE).display()));
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

/// The verdict in lines: what there was to be judged, every objective, every violation.
fn verdict(outcome: &Outcome) -> Vec<String> {
    let word = if outcome.passed { "passed" } else { "FAILED" };
    let mut lines = vec![
        format!("{} with seed {}: {word}", outcome.scenario, outcome.seed),
        format!("  {}: {}", outcome.world.name(), judged(outcome)),
    ];
    for verdict in &outcome.objectives {
        let met = if verdict.met { "met   " } else { "MISSED" };
        let (objective, measured) = (&verdict.objective, &verdict.measured);
        lines.push(format!(
            "  {met}  {objective}; measured {measured} ({})",
            counted(verdict.requests, "request")
        ));
        lines.extend(misses(&verdict.misses));
    }
    for Violation { at_ms, invariant, what, .. } in outcome.violations.iter().take(SHOWN_MAX) {
        lines.push(format!("  VIOLATED at {at_ms} ms  {invariant}: {what}"));
    }
    if let Some(more) = outcome.violations.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        lines.push(format!("  and {} more", counted(more as u64, "violation")));
    }
    lines
}

/// How much there was to be judged: nothing is easily met.
fn judged(outcome: &Outcome) -> String {
    let requests: u64 = outcome.requests.iter().map(|bucket| bucket.count).sum();
    let requests =
        if outcome.latencies.is_empty() { "no load".to_owned() } else { counted(requests, "request") };
    let faults = counted(outcome.faults.len() as u64, "fault");
    let objectives = counted(outcome.objectives.len() as u64, "objective");
    let checks = counted(outcome.invariant_checks, "check");
    format!("{requests}, {faults}, {objectives}, {checks} of invariants")
}

/// The first and the last of those that kept an objective from being met.
fn misses(misses: &Misses) -> Vec<String> {
    let mut lines: Vec<_> = misses.first.iter().map(|miss| format!("            {}", miss.text())).collect();
    let told = misses.told().count() as u64;
    if misses.count > told {
        lines.push(format!("            ... {} between", counted(misses.count - told, "other")));
    }
    lines.extend(misses.last.iter().map(|miss| format!("            {}", miss.text())));
    lines
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
    format!("{:>12} {kind:<9} {who:<16} {what}", to_the_microsecond(*at_us))
}

fn summaries(summaries: &[Summary], replay: &str) {
    let failed: Vec<_> = summaries.iter().filter(|summary| !summary.passed).collect();
    let all = counted(summaries.len() as u64, "seed");
    print(format_args!("{} of {all} passed", summaries.len() - failed.len()));
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
