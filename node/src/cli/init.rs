//! `graticule init`: starter documents and a node's configuration.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use graticule_node_core::document::starter;

use super::output::print;
use super::{Failure, shown};

/// Write starter documents and a node's configuration.
#[derive(Debug, clap::Args)]
pub(super) struct InitOptions {
    /// Where to write them; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(options: &InitOptions) -> Result<(), Failure> {
    let files = starter::files();
    let paths: Vec<_> = files.iter().map(|(name, _)| options.directory.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(Failure::Failed(format!(
            "{} exists; nothing was written: choose another directory or remove it",
            shown(there)
        )));
    }
    for (path, (_, text)) in paths.iter().zip(&files) {
        let failed = |error| Failure::doing(format!("cannot write {}", shown(path)), error);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        print(shown(path));
    }
    Ok(())
}
