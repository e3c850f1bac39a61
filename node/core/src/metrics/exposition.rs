//! Metrics at one moment, and how Prometheus reads them: in its text format, version 0.0.4.

use std::fmt::Write;

/// Metrics at one moment: families, each with its samples.
#[derive(Debug, Default)]
pub struct Exposition {
    families: Vec<Family>,
}

/// Everything of one name.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// One value of a family.
#[derive(Debug)]
pub struct Sample {
    /// What sets it apart from others of the family.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: Value,
}

/// What a sample says.
#[derive(Debug)]
pub enum Value {
    /// A number.
    Number(f64),
    /// How often something was so long.
    Histogram {
        /// The bounds of the buckets, in milliseconds.
        bounds_ms: &'static [u64],
        /// How many were at most each bound and above the one before; in the last those above all.
        counts: Vec<u64>,
        /// All together, in microseconds.
        sum_us: u64,
    },
}

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, until the process ends. Its name ends in `_total`.
    Counter,
    /// It comes and goes.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// A label with its value.
pub type Label<'a> = (&'static str, &'a str);

impl Exposition {
    /// What the text is sent as.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family; samples belong to it until the next one begins.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        self.families.push(Family { name, kind, help, samples: Vec::new() });
    }

    /// One sample of the family.
    pub fn sample(&mut self, labels: &[Label<'_>], value: f64) {
        self.push(labels, Value::Number(value));
    }

    /// A family of one sample.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &'static str, value: f64) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// One histogram of the family: how many were at most each bound and above the one before, and in the end above all.
    pub fn histogram(
        &mut self,
        labels: &[Label<'_>],
        bounds_ms: &'static [u64],
        (counts, sum_us): (&[u64], u64),
    ) {
        self.push(labels, Value::Histogram { bounds_ms, counts: counts.to_vec(), sum_us });
    }

    fn push(&mut self, labels: &[Label<'_>], value: Value) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        if let Some(family) = self.families.last_mut() {
            family.samples.push(Sample { labels, value });
        }
    }

    /// All families.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// As Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.families.iter().for_each(|family| family.write(&mut text));
        text
    }
}

impl Family {
    fn write(&self, out: &mut String) {
        let Self { name, help, .. } = self;
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Strings can be written to, here and below.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for Sample { labels, value } in &self.samples {
            match value {
                Value::Number(value) => line(name, "", (labels, None), *value, out),
                Value::Histogram { bounds_ms, counts, sum_us } => {
                    let bounds = bounds_ms.iter().map(|bound| (*bound as f64 / 1_000.0).to_string());
                    let mut below = 0;
                    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
                        below += count;
                        line(name, "_bucket", (labels, Some(&bound)), below as f64, out);
                    }
                    line(name, "_sum", (labels, None), *sum_us as f64 / 1e6, out);
                    line(name, "_count", (labels, None), below as f64, out);
                }
            }
        }
    }
}

/// One sample's line; `bound` is that of a bucket.
fn line(
    name: &str,
    suffix: &str,
    (labels, bound): (&[(&'static str, String)], Option<&String>),
    value: f64,
    out: &mut String,
) {
    let labels = labels.iter().map(|(name, value)| (*name, value)).chain(bound.map(|bound| ("le", bound)));
    let _ = write!(out, "{name}{suffix}");
    let mut before = '{';
    for (label, value) in labels {
        out.push(before);
        before = ',';
        let _ = write!(out, "{label}=\"");
        escape(value, out);
        out.push('"');
    }
    if before == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_each_family_once_and_its_samples_under_it() {
        let mut page = Exposition::default();
        page.family("requests_total", Kind::Counter, "Requests.");
        page.sample(&[("tenant", "a"), ("class", "2xx")], 3.0);
        page.single("ready", Kind::Gauge, "Whether it is.", 0.5);
        let expected = "# HELP requests_total Requests.\n# TYPE requests_total counter\n\
                        requests_total{tenant=\"a\",class=\"2xx\"} 3\n\
                        # HELP ready Whether it is.\n# TYPE ready gauge\nready 0.5\n";
        assert_eq!(page.text(), expected);
    }

    #[test]
    fn the_buckets_of_a_histogram_hold_those_before_them() {
        let mut page = Exposition::default();
        page.family("took_seconds", Kind::Histogram, "Time.");
        page.histogram(&[("t", "a")], &[5, 1_000], (&[2, 3, 1], 1_500_000));
        let page = page.text();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "took_seconds_bucket{t=\"a\",le=\"0.005\"} 2",
                "took_seconds_bucket{t=\"a\",le=\"1\"} 5",
                "took_seconds_bucket{t=\"a\",le=\"+Inf\"} 6",
                "took_seconds_sum{t=\"a\"} 1.5",
                "took_seconds_count{t=\"a\"} 6",
            ]
        );
    }

    #[test]
    fn a_value_cannot_end_its_quotes() {
        let mut page = Exposition::default();
        page.family("x", Kind::Gauge, "X.");
        page.sample(&[("l", "a\"b\\c\nd")], 1.0);
        assert!(page.text().ends_with("x{l=\"a\\\"b\\\\c\\nd\"} 1\n"));
    }
}
