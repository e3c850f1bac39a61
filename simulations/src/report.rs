//! What a run gave, to be looked at: one page that needs nothing else, and the same as JSON.
//!
//! The page holds its pictures, styles and script, and may load nothing. All of it follows from the [`Outcome`]: the
//! same one gives the same bytes.

use std::path::Path;
use std::{fs, io};

use serde::Serialize;
use serde_json::{Value, json};

use crate::outcome::Outcome;

mod axis;
mod chart;
mod latency;
mod map;
mod markup;
mod requests;
mod run;
mod summary;
mod table;
#[cfg(test)]
mod testing;
mod timeline;
mod trace;
mod tunnels;

use markup::{Markup, html};
use run::Run;

/// The page's file.
pub const PAGE: &str = "index.html";

/// The file with the same as JSON.
pub const JSON: &str = "report.json";

/// Rises when a field of the JSON changes its meaning or goes.
const FORMAT: u32 = 2;

/// Writes both into a directory, which is made if it is not there.
pub fn write(outcome: &Outcome, directory: &Path) -> io::Result<()> {
    let json = json(outcome)?;
    fs::create_dir_all(directory).map_err(|error| unwritten(directory, &error))?;
    for (file, text) in [(PAGE, html(outcome)), (JSON, json)] {
        let path = directory.join(file);
        fs::write(&path, text).map_err(|error| unwritten(&path, &error))?;
    }
    Ok(())
}

fn unwritten(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
}

/// The outcome as JSON, with the number of its format.
pub fn json(outcome: &Outcome) -> io::Result<String> {
    #[derive(Serialize)]
    struct Written<'a> {
        format: u32,
        #[serde(flatten)]
        outcome: &'a Outcome,
    }
    let mut text = serde_json::to_string_pretty(&Written { format: FORMAT, outcome })?;
    text.push('\n');
    Ok(text)
}

/// A part of the page.
struct Section {
    id: &'static str,
    heading: &'static str,
    body: Markup,
    /// What the script needs of its charts.
    charts: Vec<Value>,
}

/// The page.
pub fn html(outcome: &Outcome) -> String {
    let run = Run::of(outcome);
    let sections = sections(&run);
    let charts: Vec<_> = sections.iter().flat_map(|section| &section.charts).collect();
    let data = json!({ "column_ms": run.axis.column_ms(), "columns": run.axis.columns(), "charts": charts });
    let links = sections.iter().map(|section| html!("<a href=\"#{}\">{}</a>", section.id, section.heading));
    let links: Markup = links.collect();
    let parts = sections.iter().map(|section| {
        html!(
            "<section id=\"{}\" aria-labelledby=\"{}-heading\"><h2 id=\"{}-heading\">{}</h2>\n{}</section>\n",
            section.id,
            section.id,
            section.id,
            section.heading,
            section.body
        )
    });
    let pieces = [
        ("title", html!("{}", outcome.title)),
        ("verdict", if outcome.passed { html!("passed") } else { html!("failed") }),
        ("style", Markup::own(STYLE)),
        ("links", links),
        ("head", summary::verdict(&run)),
        ("sections", parts.collect()),
        ("data", Markup::json(&data)),
        ("script", Markup::own(SCRIPT)),
    ];
    fill(SKELETON, &pieces)
}

fn sections(run: &Run<'_>) -> [Section; 7] {
    let verdict = html!("{}{}", summary::objectives(run), summary::violations(run));
    [
        Section { id: "verdict", heading: "Verdict", body: verdict, charts: Vec::new() },
        timeline::section(run),
        map::section(run),
        requests::section(run),
        latency::section(run),
        tunnels::section(run),
        trace::section(run),
    ]
}

/// Puts pieces into the places of a skeleton, each `{{name}}`, in one pass: what a piece says is never a place.
fn fill(skeleton: &str, pieces: &[(&str, Markup)]) -> String {
    let mut page = String::new();
    let mut rest = skeleton;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, from)| Some((before, from.split_once("}}")?)))
    {
        page.push_str(before);
        let piece = pieces.iter().find(|(own, _)| *own == name);
        page.push_str(piece.map_or("", |(_, piece)| piece.as_str()));
        rest = after;
    }
    page.push_str(rest);
    page
}

const SKELETON: &str = include_str!("report/page.html");
const STYLE: &str = include_str!("report/style.css");
const SCRIPT: &str = include_str!("report/script.js");

#[cfg(test)]
mod tests;
