//! How did it end? The verdict, what was demanded and measured, and what never may happen and did.

use super::axis::{count, decimals, moment, seconds};
use super::markup::{Markup, html};
use super::run::Run;
use super::table::Table;
use crate::outcome::{Outcome, Verdict, Violation};
use crate::words::counted;

/// So many violations are shown with their trace; more of them are counted.
pub(super) const VIOLATIONS_SHOWN_MAX: usize = 50;

/// So many objectives are shown with the trace of what they were missed by.
const MISSED_SHOWN_MAX: usize = 50;

/// The head of the page.
pub(super) fn verdict(run: &Run<'_>) -> Markup {
    let outcome = run.outcome;
    let (class, mark, word) =
        if outcome.passed { ("pass", "✓", "Passed") } else { ("fail", "✕", "Failed") };
    html!(
        "<header class=\"verdict {}\"><p class=\"word\"><span aria-hidden=\"true\">{}</span>{}</p>\
         <h1>{}</h1><p class=\"about\">{}</p><p class=\"why\">{}</p>{}{}</header>\n",
        class,
        mark,
        word,
        outcome.title,
        outcome.about,
        reasons(run),
        facts(run),
        again(outcome)
    )
}

/// The command that does the same again; older reports do not say it.
fn again(outcome: &Outcome) -> Markup {
    if outcome.again.is_empty() {
        return Markup::default();
    }
    html!("<p class=\"again\">Again: <code>{}</code></p>", outcome.again)
}

/// Why it ended so, in one line.
fn reasons(run: &Run<'_>) -> String {
    let objectives = &run.outcome.objectives;
    let met = objectives.iter().filter(|objective| objective.met).count();
    let objectives = match objectives.len() as u64 {
        0 => "No objectives".to_owned(),
        all => format!("{met} of {} met", counted(all, "objective")),
    };
    let load = if run.outcome.latencies.is_empty() { ", no load" } else { "" };
    let violated = match run.outcome.violations.len() {
        0 => "no invariant violated".to_owned(),
        1 => "1 violation of an invariant".to_owned(),
        many => format!("{} violations of invariants", count(many as u64)),
    };
    let checks = count(run.outcome.invariant_checks);
    format!("{objectives}{load}, {violated} in {checks} checks.")
}

fn facts(run: &Run<'_>) -> Markup {
    let outcome = run.outcome;
    let sent: u64 = outcome.requests.iter().map(|bucket| bucket.count).sum();
    let served = outcome.requests.iter().filter(|bucket| bucket.fate == "served");
    let served: u64 = served.map(|bucket| bucket.count).sum();
    let share = if sent == 0 { "–".to_owned() } else { percent(served, sent) };
    let fact = |(term, value): (&str, String)| html!("<div><dt>{}</dt><dd>{}</dd></div>", term, value);
    let many = |number: usize, one: &'static str, many: &'static str| {
        (if number == 1 { one } else { many }, count(number as u64))
    };
    let facts = [
        ("requests", count(sent)),
        ("served", share),
        ("length", seconds(outcome.duration_ms.cast_signed())),
        many(outcome.nodes.len(), "node", "nodes"),
        many(run.regions.len(), "region", "regions"),
        many(outcome.faults.len(), "fault", "faults"),
        ("seed", outcome.seed.to_string()),
        ("world", outcome.world.name().to_owned()),
    ];
    let facts: Markup = facts.into_iter().map(fact).collect();
    html!("<dl class=\"facts\">{}</dl>", facts)
}

/// A share in percent; only all of them are 100 %.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    let shown = if part < whole { percent.min(99.999) } else { percent };
    format!("{} %", decimals(shown))
}

/// What was demanded, and what was measured.
pub(super) fn objectives(run: &Run<'_>) -> Markup {
    if run.outcome.objectives.is_empty() {
        return html!("<p>The scenario states no objectives; invariants hold for every scenario.</p>\n");
    }
    let mut table = Table::new(html!("Objectives"), &["objective", "", "measured"], &["requests"]);
    for (number, objective) in (1..).zip(&run.outcome.objectives) {
        table.row(objective_row(number, objective));
    }
    table.open()
}

/// Those that were missed by requests, with their numbers: they have their traces.
pub(super) fn missed<'a>(run: &Run<'a>) -> impl Iterator<Item = (usize, &'a Verdict)> {
    let numbered = (1..).zip(&run.outcome.objectives).take(MISSED_SHOWN_MAX);
    numbered.filter(|(_, objective)| objective.misses.count > 0)
}

fn objective_row(number: usize, objective: &Verdict) -> [Markup; 4] {
    let met = if objective.met {
        html!("<span class=\"tag good\">✓ met</span>")
    } else {
        html!("<span class=\"tag bad\">✕ missed</span>")
    };
    let measured = if objective.misses.count > 0 && number <= MISSED_SHOWN_MAX {
        html!("<a href=\"#missed-{}\">{}</a>", number, objective.measured)
    } else {
        html!("{}", objective.measured)
    };
    [html!("{}", objective.objective), met, measured, html!("{}", count(objective.requests))]
}

/// What never may happen and did, each with a link to its trace.
pub(super) fn violations(run: &Run<'_>) -> Markup {
    let violations = &run.outcome.violations;
    if violations.is_empty() {
        return html!("<p class=\"none\">Every invariant held from the first moment to the last.</p>\n");
    }
    let mut table = Table::new(html!("Violations"), &["time", "invariant", "node", "what happened"], &[]);
    for (number, violation) in violations.iter().take(VIOLATIONS_SHOWN_MAX).enumerate() {
        table.row(violation_row(number + 1, violation));
    }
    let rest = violations.len().saturating_sub(VIOLATIONS_SHOWN_MAX);
    let rest = match rest {
        0 => Markup::default(),
        rest => html!("<p class=\"more\">{} more are in report.json.</p>\n", count(rest as u64)),
    };
    html!("{}{}", table.open(), rest)
}

fn violation_row(number: usize, violation: &Violation) -> [Markup; 4] {
    [
        html!("<a class=\"t\" href=\"#violation-{}\">{}</a>", number, moment(violation.at_ms)),
        html!("<span class=\"tag bad\">{}</span>", violation.invariant),
        html!("{}", violation.node.as_deref().unwrap_or("–")),
        html!("{}", violation.what),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_of_a_million_is_not_hidden() {
        assert_eq!(percent(999_999, 1_000_000), "99.999 %");
        assert_eq!(percent(1_000_000, 1_000_000), "100 %");
        assert_eq!(percent(2, 3), "66.667 %");
        assert_eq!(percent(0, 0), "0 %");
    }
}
