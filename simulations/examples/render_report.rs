//! Makes the page of a report again from its JSON: `cargo run --example render_report -- DIR/report.json DIR`.

use std::path::Path;
use std::{env, fs, io};

use graticule_sim::outcome::Outcome;
use graticule_sim::report;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [json, directory] = arguments.as_slice() else {
        return Err(io::Error::other("expected a report.json and a directory to write to"));
    };
    let outcome: Outcome = serde_json::from_slice(&fs::read(json)?)?;
    report::write(&outcome, Path::new(directory))
}
