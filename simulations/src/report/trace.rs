//! What happened around each violation and where an objective was first missed, one line for each event, and what kinds
//! of events there are?

use super::Section;
use super::axis::{count, moment};
use super::markup::{Markup, html};
use super::run::Run;
use super::summary::{VIOLATIONS_SHOWN_MAX, missed};
use super::table::Table;
use crate::outcome::{Miss, Misses, Outcome, TRACE_LEGEND, TraceLine, Verdict, Violation};
use crate::words::to_the_microsecond;

/// So many lines before a moment are shown.
const BEFORE_MAX: usize = 14;

/// So many of its moment and after it.
const AFTER_MAX: usize = 8;

/// So many in all.
const LINES_MAX: usize = 60;

/// So many of what else became of a request.
const LATER_MAX: usize = 12;

/// So many moments show their trace at once.
const OPEN_MAX: usize = 3;

/// So many faults that began before these lines.
const FAULTS_BEFORE_MAX: usize = 3;

pub(super) fn section(run: &Run<'_>) -> Section {
    let mut scenes: Vec<_> =
        missed(run).filter_map(|(number, verdict)| Scene::of_missed(number, verdict)).collect();
    let violations = run.outcome.violations.iter().take(VIOLATIONS_SHOWN_MAX);
    scenes.extend((1..).zip(violations).map(|(number, violation)| Scene::of_violation(number, violation)));
    let excerpts = scenes.iter().enumerate();
    let excerpts: Markup =
        excerpts.map(|(position, scene)| scene.excerpt(run.outcome, position < OPEN_MAX)).collect();
    let body = html!("{}{}", excerpts, kinds(run).open());
    Section { id: "trace", heading: "Trace", body, charts: Vec::new() }
}

/// A moment whose trace is shown.
struct Scene<'a> {
    /// Where links to it lead.
    id: String,
    head: Markup,
    /// What is said before the trace.
    text: Markup,
    at_ms: i64,
    subject: Subject<'a>,
}

/// What a moment is looked at for.
enum Subject<'a> {
    Violation(&'a Violation),
    /// A request that kept an objective from being met.
    Miss(&'a Miss),
}

impl<'a> Scene<'a> {
    fn of_violation(number: usize, violation: &'a Violation) -> Self {
        Self {
            id: format!("violation-{number}"),
            head: html!("<span class=\"tag bad\">{}</span> {}", violation.invariant, moment(violation.at_ms)),
            text: html!("<p>{}</p>", violation.what),
            at_ms: violation.at_ms,
            subject: Subject::Violation(violation),
        }
    }

    /// The first request that an objective was missed by, below all that are told.
    fn of_missed(number: usize, verdict: &'a Verdict) -> Option<Self> {
        let first = verdict.misses.first.first()?;
        let at_ms = first.at_us.div_euclid(1000);
        Some(Self {
            id: format!("missed-{number}"),
            head: html!("<span class=\"tag bad\">missed</span> {}", verdict.objective),
            text: html!("<p>Measured: {}.</p>{}", verdict.measured, told(&verdict.misses).open()),
            at_ms,
            subject: Subject::Miss(first),
        })
    }

    /// Its trace; behind a line that opens it, if not at once.
    fn excerpt(&self, outcome: &Outcome, open: bool) -> Markup {
        let body = html!(
            "{}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Trace around {}\">\
             <table class=\"trace\"><thead><tr><th scope=\"col\" class=\"n\">seconds</th><th scope=\"col\">event</th>\
             <th scope=\"col\">who</th><th scope=\"col\">what</th></tr></thead>\n<tbody>{}</tbody></table></div>",
            self.text,
            self.id,
            self.lines(&outcome.trace)
        );
        // A link to something within opens the line, which one to the line itself would not.
        if open {
            html!("<section class=\"excerpt\" id=\"{}\"><h3>{}</h3>{}</section>\n", self.id, self.head, body)
        } else {
            html!(
                "<details class=\"excerpt\"><summary>{}</summary><div class=\"excerpt\" id=\"{}\">{}</div></details>\n",
                self.head,
                self.id,
                body
            )
        }
    }

    /// The lines around it, after the faults that began before them, and before what else became of a request.
    fn lines(&self, trace: &[TraceLine]) -> Markup {
        let moment = trace.partition_point(|line| line.at_us < self.at_ms.saturating_mul(1000));
        let first = moment.saturating_sub(BEFORE_MAX);
        // Of one moment there can be many lines, and its own must not be cut off.
        let same_moment = trace[moment..].iter().take_while(|line| line.at_us.div_euclid(1000) <= self.at_ms);
        let own = same_moment.enumerate().find(|(_, line)| self.subject.is(line));
        let own = own.map_or(0, |(position, _)| position + 1);
        let end = (moment + own + AFTER_MAX).min(trace.len());
        // If very much happens at once, what is before it matters less than that it is there.
        let first = first.max(end.saturating_sub(LINES_MAX));
        let is_fault = |line: &&TraceLine| line.kind == "fault";
        let faults = trace[..first].iter().rev().filter(is_fault).take(FAULTS_BEFORE_MAX);
        let earlier: Vec<_> = faults.map(|line| self.row(line)).collect();
        let later = trace[end..].iter().filter(|line| self.subject.goes_on(line)).take(LATER_MAX);
        let later: Vec<_> = later.map(|line| self.row(line)).collect();
        let gap = |there: bool| there.then(|| html!("<tr class=\"gap\"><td colspan=\"4\">⋯</td></tr>\n"));
        let (before, after) = (gap(!earlier.is_empty()), gap(!later.is_empty()));
        let around = trace[first..end].iter().map(|line| self.row(line));
        earlier.into_iter().rev().chain(before).chain(around).chain(after).chain(later).collect()
    }

    fn row(&self, line: &TraceLine) -> Markup {
        let class = match line.kind.as_str() {
            "violation" => "violation",
            "fault" => "fault",
            _ if self.subject.concerns(line) => "concerned",
            _ => "",
        };
        html!(
            "<tr class=\"{}\"><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            class,
            to_the_microsecond(line.at_us),
            line.kind,
            line.who,
            line.what
        )
    }
}

impl Subject<'_> {
    /// Whether a line is the thing itself.
    fn is(&self, line: &TraceLine) -> bool {
        match self {
            Self::Violation(violation) => line.kind == "violation" && line.what.contains(&violation.what),
            Self::Miss(miss) => line.kind == "ask" && line.who == miss.request,
        }
    }

    fn concerns(&self, line: &TraceLine) -> bool {
        match self {
            Self::Violation(violation) => {
                let met = |node: &String| *node == line.who || names(&line.what, node);
                violation.node.as_ref().is_some_and(met)
            }
            Self::Miss(_) => self.goes_on(line),
        }
    }

    /// Whether a line tells what became of a request.
    fn goes_on(&self, line: &TraceLine) -> bool {
        match self {
            Self::Violation(_) => false,
            Self::Miss(miss) => {
                let arrives =
                    || line.what.split_whitespace().any(|word| word.ends_with(&format!("={}", miss.request)));
                line.who == miss.request || (line.kind == "serve" && arrives())
            }
        }
    }
}

/// The requests that are told of those which kept an objective from being met.
fn told(misses: &Misses) -> Table {
    let caption = match misses.count.saturating_sub(misses.told().count() as u64) {
        0 => html!("Requests that missed it"),
        others => html!("Requests that missed it, the first and the last; {} between", count(others)),
    };
    let mut table = Table::new(caption, &["sent", "request", "to", "outcome"], &[]);
    for miss in misses.told() {
        table.row([
            html!("{} s", to_the_microsecond(miss.at_us)),
            html!("{}", miss.request),
            html!("{}", miss.edge),
            html!("{}", miss.became()),
        ]);
    }
    table
}

/// Whether a text names a node, and not only one whose name begins with it.
fn names(text: &str, node: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == node)
}

/// What the kinds of events mean, and how many there were.
fn kinds(run: &Run<'_>) -> Table {
    let mut table = Table::new(
        html!("Events of the whole trace, which report.json has"),
        &["event", "means"],
        &["lines"],
    );
    for (kind, meaning) in TRACE_LEGEND {
        let lines = run.outcome.trace.iter().filter(|line| line.kind == kind).count();
        table.row([html!("<code>{}</code>", kind), html!("{}", meaning), html!("{}", count(lines as u64))]);
    }
    table
}
