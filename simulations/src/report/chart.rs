//! How does a chart over time look? One picture of fixed axes that stretches with the page, and its numbers as a table.
//!
//! The picture holds no text, so that it can be stretched; labels are HTML around it. The script draws a cursor over
//! it from the numbers in [`Chart::data`].

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::axis::{Axis, decimals, round_time, seconds};
use super::markup::{Markup, html};
use super::run::Run;
use super::table::Table;

mod scale;

pub(super) use scale::Scale;

/// A chart over the time of the run.
pub(super) struct Chart {
    /// Distinguishes it on the page.
    pub(super) id: String,
    /// What it shows, with the unit.
    pub(super) title: String,
    /// What a glance tells, in numbers.
    pub(super) summary: String,
    /// The values, a series after the other.
    pub(super) series: Vec<Series>,
    /// What its height means.
    pub(super) scale: Scale,
    /// How the values are drawn.
    pub(super) form: Form,
}

/// One kind of values.
pub(super) struct Series {
    /// What they are.
    pub(super) name: &'static str,
    /// The class that gives them their colour.
    pub(super) class: &'static str,
    /// One for each column of the axis; none where there is nothing to say.
    pub(super) values: Vec<Option<f64>>,
}

/// How values are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One upon the other.
    Stack,
    /// Each as a line.
    Lines,
}

impl Chart {
    /// The chart as a figure.
    pub(super) fn figure(&self, run: &Run<'_>) -> Markup {
        if self.is_empty() {
            return self.caption_alone();
        }
        html!(
            "<figure class=\"chart\" id=\"{}\"><figcaption>{}<span class=\"sum\">{}</span></figcaption>{}{}</figure>\n",
            self.id,
            self.title,
            self.summary,
            self.plot(run),
            self.table(run.axis).folded("Table")
        )
    }

    /// A chart of nothing is its caption.
    fn caption_alone(&self) -> Markup {
        let (title, summary) = (&self.title, &self.summary);
        html!(
            "<figure class=\"chart\"><figcaption>{}<span class=\"sum\">{}</span></figcaption></figure>\n",
            title,
            summary
        )
    }

    fn is_empty(&self) -> bool {
        self.series.iter().flat_map(|series| &series.values).flatten().all(|value| *value == 0.0)
    }

    /// What the script needs for the cursor, if there is a picture to move it over.
    pub(super) fn data(&self) -> Option<Value> {
        if self.is_empty() {
            return None;
        }
        let series = self
            .series
            .iter()
            .map(|series| json!({ "name": series.name, "class": series.class, "values": series.values }));
        Some(json!({ "id": self.id, "series": series.collect::<Vec<_>>() }))
    }

    fn plot(&self, run: &Run<'_>) -> Markup {
        let series: Markup = match self.form {
            Form::Stack => self.stack(),
            // What is listed first lies on top.
            Form::Lines => self.series.iter().rev().map(|series| self.line(series)).collect(),
        };
        html!(
            "<div class=\"plot\"><div class=\"y\" aria-hidden=\"true\">{}</div><div class=\"area\">\
             <svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}: {}\">{}{}{}{}</svg>\
             </div>{}</div>",
            self.heights(),
            run.axis.columns(),
            Scale::HEIGHT,
            self.title,
            self.summary,
            self.grid(run.axis),
            faults(run),
            series,
            violations(run),
            time_labels(run.axis)
        )
    }

    fn heights(&self) -> Markup {
        let label = |value: f64| {
            let from_top = 100.0 - 100.0 * self.scale.height(value) / Scale::HEIGHT;
            html!("<span style=\"top:{:.2}%\">{}</span>", from_top, decimals(value))
        };
        self.scale.ticks().into_iter().map(label).collect()
    }

    fn grid(&self, axis: Axis) -> Markup {
        let line = |value: f64| {
            let y = Scale::HEIGHT - self.scale.height(value);
            html!("<path class=\"grid\" d=\"M0 {:.1}H{}\"/>", y, axis.columns())
        };
        self.scale.ticks().into_iter().map(line).collect()
    }

    fn stack(&self) -> Markup {
        let columns = self.series.iter().map(|series| series.values.len()).max().unwrap_or_default();
        let mut below = vec![0.0; columns];
        let layer = |series: &Series| {
            let mut path = Markup::default();
            for (column, value) in series.values.iter().enumerate() {
                let Some(value) = value.filter(|value| *value > 0.0) else { continue };
                let (bottom, top) =
                    (self.scale.height(below[column]), self.scale.height(below[column] + value));
                below[column] += value;
                path.push(&html!("M{} {:.1}h1v{:.1}h-1z", column, Scale::HEIGHT - top, top - bottom));
            }
            html!("<path class=\"fill {}\" d=\"{}\"/>", series.class, path)
        };
        self.series.iter().map(layer).collect()
    }

    fn line(&self, series: &Series) -> Markup {
        let mut path = Markup::default();
        let mut drawn = false;
        for (column, value) in series.values.iter().enumerate() {
            let y = value.map(|value| Scale::HEIGHT - self.scale.height(value));
            match y {
                Some(y) if drawn => path.push(&html!("V{:.1}h1", y)),
                Some(y) => path.push(&html!("M{} {:.1}h1", column, y)),
                None => {}
            }
            drawn = y.is_some();
        }
        html!("<path class=\"line {}\" d=\"{}\"/>", series.class, path)
    }

    fn table(&self, axis: Axis) -> Table {
        let names: Vec<_> = self.series.iter().map(|series| series.name).collect();
        let caption =
            html!("{}, from each time on for {}", self.title, seconds(axis.column_ms().cast_signed()));
        let mut table = Table::new(caption, &["time"], &names);
        for column in 0..axis.columns() {
            let values = self.series.iter().map(|series| match series.values.get(column) {
                Some(Some(value)) => html!("{}", decimals(*value)),
                _ => html!("–"),
            });
            table.row(std::iter::once(html!("{}", seconds(axis.begins_ms(column)))).chain(values));
        }
        table
    }
}

/// The labels below a chart over time.
pub(super) fn time_labels(axis: Axis) -> Markup {
    let label = |at: u64| {
        let left = 100.0 * axis.share(at.cast_signed());
        html!("<span style=\"left:{:.3}%\">{}</span>", left, round_time(at, axis.end_ms()))
    };
    let labels: Markup = axis.ticks().map(label).collect();
    html!("<div class=\"x\" aria-hidden=\"true\">{}</div>", labels)
}

/// When something went wrong, as bands behind a chart.
fn faults(run: &Run<'_>) -> Markup {
    let columns = run.axis.columns() as f64;
    let mut spans: Vec<_> = run.outcome.faults.iter().map(|fault| run.span(fault)).collect();
    spans.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    spans.dedup();
    let band = |(from, to): (f64, f64)| {
        html!(
            "<rect class=\"band\" x=\"{:.3}\" y=\"0\" width=\"{:.3}\" height=\"{}\"/>\
             <path class=\"edge\" d=\"M{:.3} 0V{}\"/>",
            from * columns,
            (to - from) * columns,
            Scale::HEIGHT,
            from * columns,
            Scale::HEIGHT
        )
    };
    spans.into_iter().map(band).collect()
}

/// When something happened that never may, as marks at the upper edge of a chart.
fn violations(run: &Run<'_>) -> Markup {
    let columns = run.axis.columns() as f64;
    let mark =
        |share| html!("<path class=\"broken\" d=\"M{:.3} 0v{}\"/>", share * columns, Scale::HEIGHT / 12.0);
    run.violation_shares().into_iter().map(mark).collect()
}

/// What the colours of some charts mean.
pub(super) fn legend(entries: &[(&str, &str)]) -> Markup {
    let entry = |(class, text): &(&str, &str)| html!("<li><i class=\"key {}\"></i>{}</li>", class, text);
    let entries: Markup = entries.iter().map(entry).collect();
    html!("<ul class=\"legend\">{}<li><i class=\"key band\"></i>a fault lasts</li></ul>\n", entries)
}
