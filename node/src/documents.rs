//! The documents on disk: fleet.toml and tenants/*.toml, read together and watched.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use graticule_node_core::document::{self, AuthorityFile, Diagnostic, Loaded, Reloaded, Severity, Source};

use crate::identity::read_roots;
use crate::world::Disk;

/// A directory of documents.
#[derive(Debug, Clone)]
pub struct Documents {
    directory: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Documents {
    /// The documents in `directory`.
    pub fn new(directory: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { directory, disk }
    }

    /// Reads and checks all of them: what they mean without any error, or every error.
    pub fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        let (fleet, tenants) = self.read().map_err(|error| vec![error])?;
        let loaded = document::load(&fleet, &tenants)?;
        let errors = self.unusable_authorities(&loaded.documents);
        if errors.is_empty() { Ok(loaded) } else { Err(errors) }
    }

    /// Files of authorities that pools name and that cannot be used. Asked before a node starts; while it runs, what was
    /// read before stays.
    fn unusable_authorities(&self, documents: &document::Documents) -> Vec<Diagnostic> {
        let files = documents.tenants.iter().flat_map(|tenant| tenant.authority_files());
        let error = |file: AuthorityFile| {
            let read = read_roots(&*self.disk, &self.directory.join(&*file.path));
            read.err().map(|problem| file.error(&problem))
        };
        files.filter_map(error).collect()
    }

    /// Reads and checks all of them again; what is broken keeps its last good form in `previous`.
    pub fn reload(&self, previous: &document::Documents) -> Reloaded {
        match self.read() {
            Ok((fleet, tenants)) => document::load_keeping(Some(previous), &fleet, &tenants),
            Err(error) => Reloaded {
                loaded: None,
                kept: previous.tenants.iter().map(|tenant| tenant.id().clone()).collect(),
                absent: Vec::new(),
                diagnostics: vec![error],
            },
        }
    }

    /// Changes whenever a document comes, goes or changes.
    pub fn stamp(&self) -> u64 {
        let files = self.tenant_files().unwrap_or_default();
        let all = std::iter::once(self.directory.join(FLEET)).chain(files);
        all.fold(0, |stamp: u64, path| {
            let file = self.disk.stamp(&path).unwrap_or_default();
            let name = path.as_os_str().as_encoded_bytes();
            let name =
                name.iter().fold(0u64, |hash, byte| hash.wrapping_mul(131).wrapping_add(u64::from(*byte)));
            stamp.rotate_left(7) ^ file.wrapping_add(name)
        })
    }

    fn read(&self) -> Result<(Source, Vec<Source>), Diagnostic> {
        let fleet = self.source(&self.directory.join(FLEET));
        let files = self.tenant_files().map_err(|error| {
            let directory = self.directory.join(TENANTS);
            unreadable(directory.display().to_string(), format!("cannot be listed: {error}"))
        })?;
        Ok((fleet, files.iter().map(|path| self.source(path)).collect()))
    }

    /// What cannot be read is an error of that document alone.
    fn source(&self, path: &Path) -> Source {
        let name = path.display().to_string();
        match self.disk.read(path, Source::BYTES_MAX) {
            Ok(text) => Source::new(name, text),
            Err(error) => Source::unreadable(name, error.to_string()),
        }
    }

    fn tenant_files(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut files = self.disk.list(&self.directory.join(TENANTS))?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        Ok(files)
    }
}

fn unreadable(file: String, message: String) -> Diagnostic {
    Diagnostic { file, line: 0, column: 0, severity: Severity::Error, message, help: None }
}

const FLEET: &str = "fleet.toml";
const TENANTS: &str = "tenants";

#[cfg(test)]
mod tests;
