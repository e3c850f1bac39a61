//! What a report promises: nothing foreign in it acts, nothing is missing, and it says the same as its JSON.

use std::fs;
use std::time::Duration;

use sha2::Digest;

use super::testing::{broken, calm};
use super::*;
use crate::outcome::{Latency, TraceLine, TunnelChange, Violation};

#[test]
fn the_page_says_how_it_ended() {
    let page = html(&calm());
    assert!(page.contains("<title>Nothing happens: passed</title>"));
    assert!(page.contains("1 of 1 objective met, no invariant violated in 1\u{202f}032 checks."));
    let page = html(&broken());
    assert!(page.contains("<title>Nothing happens: failed</title>"));
    assert!(page.contains("1 of 2 objectives met, 2 violations of invariants in 1\u{202f}032 checks."));
}

#[test]
fn the_command_that_runs_it_again_is_the_one_that_was_given() {
    assert!(
        html(&calm()).contains("<code>graticule-sim run &#39;my scenarios/calm.toml&#39; --seed 7</code>")
    );
    let old = Outcome { again: String::new(), ..calm() };
    assert!(!html(&old).contains("Again:"), "none is better than a wrong one");
}

#[test]
fn a_missed_objective_leads_to_the_first_request_that_missed_it_and_what_became_of_that() {
    let page = html(&broken());
    assert!(page.contains("<a href=\"#missed-2\">97.31 %</a>"));
    let scene = between(&page, "id=\"missed-2\"", "</section>");
    assert!(scene.contains("the first and the last; 12 between"), "14 in all, of which 2 are told");
    for told in ["writes/9", "writes/22"] {
        assert!(scene.contains(&format!("<td>{told}</td><td>eu-1</td><td>no-answer after 4950.000 ms</td>")));
    }
    let its_own = scene.matches("<tr class=\"concerned\">").count();
    assert_eq!(its_own, 4, "asked, went on, arrived, and was told: {scene}");
    assert!(scene.contains("begins: crash of eu-1, eu-2"), "the fault before it");
    let lane =
        between(&page, "<b>missed: availability of tenant berlin: at least 99.9 %</b>", "</div></div>");
    assert_eq!(lane.matches("class=\"mark\"").count(), 2);
    assert!(!html(&calm()).contains("id=\"missed-"), "what was met has no trace");
}

#[test]
fn a_load_of_which_nothing_was_served_has_no_lengths() {
    let nothing = Latency::measure("reads", "berlin", 9, Duration::from_secs(1), &[]);
    let outcome = Outcome { latencies: vec![nothing], ..calm() };
    let page = html(&outcome);
    let table = between(&page, "<caption>How long served requests took, by load</caption>", "</table>");
    assert_eq!(row_of(table, "reads")[1..], ["9", "none", "–", "–", "–", "–"]);
    let read: Value = serde_json::from_str(&json(&outcome).unwrap()).unwrap();
    assert_eq!(read["latencies"][0]["p50_ms"], Value::Null);
}

#[test]
fn a_node_that_does_not_run_is_not_counted_among_those_that_know_nothing() {
    let mut outcome = broken();
    let change = |at_ms: i64, condition: &str| TunnelChange {
        at_ms,
        from: "eu-2".to_owned(),
        to: "eu-1".to_owned(),
        condition: condition.to_owned(),
    };
    outcome.tunnels.extend([change(-400, "usable"), change(3_000, TunnelChange::NONE)]);
    let page = html(&outcome);
    let chart = between(&page, "<caption>eu-1, from each time on for 1 s</caption>", "</table>");
    assert_eq!(row_of(chart, "4 s"), ["0", "1", "0", "0"], "only us-1 thinks anything");
    let changes = between(&page, "<caption>Changes of mind</caption>", "</table>");
    assert!(!changes.contains("<td>none</td>"));
}

#[test]
fn no_text_of_an_outcome_becomes_markup() {
    const HOSTILE: &str = "\"'></script></style><img src=x onerror=alert(1)>{{script}}<!--";
    let hostile = hostile(HOSTILE);
    let page = html(&hostile);
    assert!(!page.contains("<img"), "an element of the scenario's");
    assert_eq!(page.matches("</script>").count(), 2, "the data and the script each end once");
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("<!--").count(), 0);
    // Once in the page's own script, and not where the hostile text asks for it.
    assert_eq!(page.matches("\"use strict\";").count(), 1);
    let shown =
        "&quot;&#39;&gt;&lt;/script&gt;&lt;/style&gt;&lt;img src=x onerror=alert(1)&gt;{{script}}&lt;!--";
    assert!(page.matches(shown).count() > 20, "it is shown as what it is");
}

/// An outcome that says `text` wherever it can.
fn hostile(text: &str) -> Outcome {
    let ours = ["served", "suspect", "usable", "unreachable", "violation", "fault"];
    let written = serde_json::to_value(broken()).unwrap();
    let hostile =
        replace(written, &|own: &str| if ours.contains(&own) { own.to_owned() } else { text.to_owned() });
    let hostile = Value::Object(hostile.as_object().unwrap().clone().into_iter().map(world).collect());
    serde_json::from_value(hostile).unwrap()
}

/// Where it ran is no free text.
fn world((name, value): (String, Value)) -> (String, Value) {
    if name == "world" { (name, "memory".into()) } else { (name, value) }
}

fn replace(value: Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => change(&text).into(),
        Value::Array(values) => values.into_iter().map(|value| replace(value, change)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, replace(value, change))).collect()
        }
        other => other,
    }
}

#[test]
fn every_violation_is_there_with_the_lines_around_it() {
    let outcome = broken();
    let page = html(&outcome);
    for (number, violation) in outcome.violations.iter().enumerate() {
        let excerpt = between(&page, &format!("id=\"violation-{}\"", number + 1), "</table>");
        assert!(excerpt.contains(&violation.what));
        let own = format!("<td>violation</td><td>{}</td>", violation.node.as_deref().unwrap_or("-"));
        assert!(excerpt.contains(&own), "{excerpt}");
        let before = (violation.at_ms - 50) as f64 / 1000.0;
        assert!(excerpt.contains(&format!("<td class=\"n\">{before:.3}000</td>")), "what came before it");
        assert!(excerpt.contains("begins: crash of eu-1, eu-2"), "the fault before it");
        assert!(page.contains(&format!("href=\"#violation-{}\"", number + 1)));
    }
}

#[test]
fn the_line_of_a_violation_is_shown_however_much_happens_at_its_moment() {
    let mut outcome = broken();
    let line = |kind: &str, what: &str| TraceLine {
        at_us: 4_500_000,
        kind: kind.to_owned(),
        who: "us-1".to_owned(),
        what: what.to_owned(),
    };
    let mut crowd = vec![line("log", "much to say"); 500];
    crowd.push(line("violation", "growth: a table of 9 entries"));
    outcome.trace.splice(90..90, crowd);
    let what = "a table of 9 entries".to_owned();
    outcome.violations = vec![Violation { at_ms: 4_500, invariant: "growth".to_owned(), node: None, what }];
    let excerpt = html(&outcome);
    let excerpt = between(&excerpt, "id=\"violation-1\"", "</table>");
    assert!(excerpt.contains("growth: a table of 9 entries"));
    assert!(excerpt.matches("<tr").count() < 100);
}

#[test]
fn more_violations_than_can_be_read_are_counted() {
    let mut outcome = broken();
    outcome.violations = vec![outcome.violations[0].clone(); summary::VIOLATIONS_SHOWN_MAX + 7];
    let page = html(&outcome);
    assert!(page.contains("<p class=\"more\">7 more are in report.json.</p>"));
    assert!(page.contains("57 violations of invariants"));
}

#[test]
fn the_page_says_the_same_numbers_as_its_json() {
    let outcome = broken();
    let page = html(&outcome);
    let read: Value = serde_json::from_str(&json(&outcome).unwrap()).unwrap();
    let requests = read["requests"].as_array().unwrap();
    let sum = |meant: &dyn Fn(&Value) -> bool| -> u64 {
        requests.iter().filter(|bucket| meant(bucket)).map(|bucket| bucket["count"].as_u64().unwrap()).sum()
    };
    for edge in ["eu", "us"] {
        let sent_here = |bucket: &Value| bucket["edge"] == edge;
        let expected = [
            sum(&sent_here),
            sum(&|b| sent_here(b) && b["fate"] == "served" && b["served_by"] == edge),
            sum(&|b| sent_here(b) && b["fate"] == "served" && b["served_by"] != edge),
            sum(&|b| sent_here(b) && b["fate"] == "no-compliant-region"),
            sum(&|b| sent_here(b) && b["fate"] == "backend-error"),
            sum(&|b| sent_here(b) && b["fate"] == "no-answer"),
        ];
        let table = between(&page, "<caption>Requests by the region they were sent to</caption>", "</table>");
        assert_eq!(row_of(table, edge)[..6], expected.map(|number| number.to_string()), "{edge}");
    }
    let chart = between(&page, "<caption>All requests by the time of sending", "</table>");
    assert_eq!(row_of(chart, "4 s"), ["50", "13", "11", "5", "0"]);
    let latency = &read["latencies"][0];
    let lengths = between(&page, "<caption>How long served requests took, by load</caption>", "</table>");
    let numbers: Vec<f64> = row_of(lengths, "reads")[1..].iter().map(|cell| cell.parse().unwrap()).collect();
    let fields = ["requests", "answered", "p50_ms", "p90_ms", "p99_ms", "max_ms"];
    assert_eq!(numbers, fields.map(|field| latency[field].as_f64().unwrap()));
}

/// The cells of the row that begins with `name`, without it.
fn row_of(table: &str, name: &str) -> Vec<String> {
    let row = between(table, &format!("<th scope=\"row\">{name}</th>"), "</tr>");
    let cells = row.split("<td").skip(1).filter_map(|cell| cell.split_once('>')?.1.split_once("</td>"));
    cells.map(|(cell, _)| cell.replace('\u{202f}', "")).collect()
}

fn between<'p>(page: &'p str, start: &str, end: &str) -> &'p str {
    let (_, after) = page.split_once(start).unwrap_or_else(|| panic!("{start} is missing"));
    after.split_once(end).unwrap_or_else(|| panic!("{end} is missing after {start}")).0
}

#[test]
fn the_same_outcome_gives_the_same_bytes() {
    assert_eq!(html(&broken()), html(&broken()));
    assert_eq!(json(&broken()).unwrap(), json(&broken()).unwrap());
}

#[test]
fn the_page_loads_nothing_and_runs_its_own_script_alone() {
    let page = html(&broken());
    for address in ["http:", "https:", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(address), "{address}");
    }
    let digest = base64(&sha2::Sha256::digest(SCRIPT.as_bytes()));
    let allowed = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(allowed.starts_with("default-src 'none';"));
    assert!(
        allowed.contains(&format!("script-src 'sha256-{digest}'")),
        "script.js has changed: sha256-{digest}"
    );
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits =
            (0..3).fold(0usize, |bits, at| bits << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        let letter = move |at: usize| char::from(LETTERS[bits >> (18 - 6 * at) & 63]);
        let used = three.len() + 1;
        (0..4).map(move |at| if at < used { letter(at) } else { '=' })
    };
    bytes.chunks(3).flat_map(group).collect()
}

#[test]
fn every_link_of_the_page_leads_somewhere() {
    let page = html(&broken());
    for link in page.split("href=\"#").skip(1) {
        let target = link.split('"').next().unwrap();
        assert_eq!(page.matches(&format!("id=\"{target}\"")).count(), 1, "#{target}");
    }
}

#[test]
fn the_json_is_the_outcome_and_the_number_of_its_format() {
    let text = json(&broken()).unwrap();
    assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), broken());
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["format"], 2);
}

#[test]
fn an_outcome_of_nothing_makes_a_page() {
    let nothing = Outcome {
        objectives: Vec::new(),
        start: None,
        nodes: Vec::new(),
        requests: Vec::new(),
        latencies: Vec::new(),
        tunnels: Vec::new(),
        views: Vec::new(),
        trace: Vec::new(),
        duration_ms: 0,
        bucket_ms: 0,
        ..calm()
    };
    let page = html(&nothing);
    assert!(page.contains("The scenario states no objectives"));
    assert!(!page.contains("NaN"), "no number is none");
}

#[test]
fn both_files_are_written_and_a_directory_in_the_way_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let reports = directory.path().join("reports/broken");
    write(&broken(), &reports).unwrap();
    assert_eq!(fs::read_to_string(reports.join(PAGE)).unwrap(), html(&broken()));
    assert_eq!(fs::read_to_string(reports.join(JSON)).unwrap(), json(&broken()).unwrap());
    let error = write(&broken(), &reports.join(PAGE)).unwrap_err();
    assert!(error.to_string().contains("index.html"), "{error}");
}
