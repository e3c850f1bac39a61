//! Is a file whole: its metadata, every path of its search tree, every record.
//!
//! The format stores no length and no checksum. What is cut off behind takes the metadata with it; what is missing
//! before moves the zeros between tree and data; what was overwritten is found by following everything.

use std::collections::HashSet;

use maxminddb::{Metadata, Reader, WithinOptions};

use super::schema::Schema;
use super::{Database, DatabaseError};

/// The schema of a whole file, or what is wrong with it.
pub(super) fn check(bytes: &[u8]) -> Result<Schema, DatabaseError> {
    let reader = reader(bytes)?;
    check_separator(bytes, reader.metadata())?;
    check_records(&reader)?.ok_or_else(|| {
        let database_type = reader.metadata().database_type.chars().take(TYPE_SHOWN_CHARS_MAX).collect();
        DatabaseError::NoCountries { database_type }
    })
}

/// Reads the metadata and proves that tree and data fit into the file; follows nothing.
pub(super) fn reader<S: AsRef<[u8]>>(bytes: S) -> Result<Reader<S>, DatabaseError> {
    match bytes.as_ref().len() {
        0 => Err(DatabaseError::Empty),
        length if length > Database::BYTES_MAX => Err(DatabaseError::TooLong { bytes: length }),
        _ => Reader::from_source(bytes).map_err(|error| DatabaseError::Metadata(error.to_string())),
    }
}

fn check_separator(bytes: &[u8], metadata: &Metadata) -> Result<(), DatabaseError> {
    // `reader` has proved that tree and separator are within the file.
    let tree_bytes = metadata.node_count as usize * usize::from(metadata.record_size) / 4;
    let separator = bytes.get(tree_bytes..tree_bytes + SEPARATOR_BYTES).unwrap_or_default();
    if separator == [0; SEPARATOR_BYTES] {
        return Ok(());
    }
    Err(DatabaseError::Tree(format!(
        "no separator behind its {tree_bytes} bytes: part of the file is missing"
    )))
}

/// Follows every path and reads every record once; the schema is that of the first record that names a country.
fn check_records(reader: &Reader<&[u8]>) -> Result<Option<Schema>, DatabaseError> {
    // A tree has one leaf more than nodes; only one whose branches meet again has more paths than that.
    let networks_max = reader.metadata().node_count as usize * 2;
    let tree = |error: maxminddb::MaxMindDbError| DatabaseError::Tree(error.to_string());
    let record = |error: maxminddb::MaxMindDbError| DatabaseError::Record(error.to_string());
    let networks = reader.networks(WithinOptions::default().include_networks_without_data()).map_err(tree)?;

    let mut schema = None;
    let mut seen = HashSet::new();
    for (count, network) in networks.enumerate() {
        let network = network.map_err(tree)?;
        if count > networks_max {
            return Err(DatabaseError::Tree(format!(
                "its branches meet again: over {networks_max} networks"
            )));
        }
        match (network.offset(), schema) {
            (Some(offset), _) if seen.len() >= RECORDS_READ_MAX || !seen.insert(offset) => {}
            (Some(_), None) => schema = Schema::of(&network).map_err(record)?,
            (Some(_), Some(known)) => {
                known.read(&network).map_err(record)?;
            }
            (None, _) => {}
        }
    }
    Ok(schema)
}

const TYPE_SHOWN_CHARS_MAX: usize = 80;

/// Zeros between tree and data, by the format.
const SEPARATOR_BYTES: usize = 16;

/// Bounds the time that a hostile file can take: records may overlap, so that the file's length does not bound it.
/// Of more records the rest is not read before somebody asks.
const RECORDS_READ_MAX: usize = 1 << 21;
