//! Does docs/refusals.md say what the tables of refusals and verdicts say?

#![expect(clippy::unwrap_used, reason = "a helper of a test is a test")]

use graticule_node_core::Reason;
use graticule_node_core::decide::Verdict;

const PAGE: &str = include_str!("../../../docs/refusals.md");

/// The cells of every row of the first table below `heading`.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let from = PAGE.find(heading).unwrap();
    let lines = PAGE[from..].lines().skip_while(|line| !line.starts_with('|'));
    let table = lines.take_while(|line| line.starts_with('|')).skip(2);
    table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn expected(reason: Reason) -> [String; 4] {
    let row = reason.row();
    let retry_after = row.retry_after.map_or_else(String::new, |wait| format!("{} s", wait.as_secs()));
    [format!("`{}`", row.label), row.status.to_string(), format!("`{}`", row.proxy_error), retry_after]
}

#[test]
fn every_reason_has_its_row_in_the_table_s_order() {
    let written: Vec<Vec<&str>> = rows("# Refusals").iter().map(|row| row[..4].to_vec()).collect();
    let known: Vec<[String; 4]> = Reason::ALL.into_iter().map(expected).collect();
    assert_eq!(written, known);
}

#[test]
fn every_reason_is_explained_and_has_a_remedy() {
    for row in rows("# Refusals") {
        assert_eq!(row.len(), 6, "{row:?}");
        assert!(row[4].ends_with('.') && row[5].ends_with('.'), "{row:?}");
    }
}

#[test]
fn every_reason_has_its_status_of_grpc() {
    let told = rows("## To clients of gRPC").into_iter().flat_map(|row| {
        let code: u8 = row[0].split(',').next().unwrap().parse().unwrap();
        row[1].split(", ").map(move |label| (Reason::from_label(label.trim_matches('`')).unwrap(), code))
    });
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    assert_eq!(told, Reason::ALL.map(|reason| (reason, reason.grpc_status())));
}

#[test]
fn every_verdict_has_its_row() {
    let written: Vec<&str> = rows("## Verdicts").iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(written, Verdict::ALL.map(Verdict::label));
}
