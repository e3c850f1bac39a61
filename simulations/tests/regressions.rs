//! What simulations have found stays found: every file of simulations/regressions passes.

use std::fs;
use std::path::Path;

use graticule_node_core::document::Source;
use graticule_sim::run::run;
use graticule_sim::scenario::Scenario;

#[test]
fn every_regression_passes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = Source::new(path.display().to_string(), fs::read(&path).unwrap());
        let (scenario, found) = Scenario::parse(&name, &source);
        let scenario = scenario.unwrap_or_else(|| panic!("{found:?}"));
        let outcome = run(&scenario, scenario.seed).unwrap();
        assert!(outcome.passed, "{name}: {:#?} {:#?}", outcome.violations, outcome.objectives);
    }
}
