//! The geo databases of the configuration, read into a locator.

use std::path::PathBuf;

use graticule_geo::{Database, Location, Locator};
use graticule_node_core::config::GeoConfig;

use crate::world::{Disk, World};

/// Reads every database; an error names the one that cannot be used.
pub(super) fn load(world: &World, config: &GeoConfig) -> Result<Locator, String> {
    let mut builder = Locator::builder();
    for (prefix, location) in &config.overrides {
        builder = builder.overriding(*prefix, location.map_or(Location::Unknown, Location::in_country));
    }
    for path in &config.databases {
        let name = path.display().to_string();
        let bytes = world
            .disk
            .read(path, Database::BYTES_MAX)
            .map_err(|error| {
                format!("{name}: cannot read this geo database: {error}; put it there, or take it out of `geo.databases`")
            })?;
        builder = builder.database(name, bytes);
    }
    let builder = if config.embedded { builder } else { builder.without_embedded() };
    builder.build().map_err(|error| error.to_string())
}

/// Changes when one of the files does.
pub(super) fn stamp(disk: &dyn Disk, databases: &[PathBuf]) -> u64 {
    databases.iter().fold(0, |stamp: u64, path| stamp.rotate_left(9) ^ disk.stamp(path).unwrap_or_default())
}
