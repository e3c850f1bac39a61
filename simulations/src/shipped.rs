//! The scenarios that come with the program, as they stand in simulations/scenarios.

/// Name and text of each, by name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("backends-flap", include_str!("../scenarios/backends-flap.toml")),
    ("clocks-drift", include_str!("../scenarios/clocks-drift.toml")),
    ("continents-parted", include_str!("../scenarios/continents-parted.toml")),
    ("flapping-link", include_str!("../scenarios/flapping-link.toml")),
    ("flash-crowd", include_str!("../scenarios/flash-crowd.toml")),
    ("geo-broken", include_str!("../scenarios/geo-broken.toml")),
    ("gray-failure", include_str!("../scenarios/gray-failure.toml")),
    ("names-lost", include_str!("../scenarios/names-lost.toml")),
    ("noisy-neighbour", include_str!("../scenarios/noisy-neighbour.toml")),
    ("one-way-loss", include_str!("../scenarios/one-way-loss.toml")),
    ("region-lost", include_str!("../scenarios/region-lost.toml")),
    ("region-lost-and-back", include_str!("../scenarios/region-lost-and-back.toml")),
    ("region-restarted", include_str!("../scenarios/region-restarted.toml")),
    ("rolling-upgrade", include_str!("../scenarios/rolling-upgrade.toml")),
    ("rules-narrowed", include_str!("../scenarios/rules-narrowed.toml")),
    ("stalled-node", include_str!("../scenarios/stalled-node.toml")),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_comes_with_the_program() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        files.sort();
        assert_eq!(SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>(), files);
    }
}
