//! What a running node takes over from its configuration when that changes: the log level.

use std::path::{Path, PathBuf};
use std::time::Duration;

use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::Diagnostic;

use crate::cli::{Failure, source};
use crate::telemetry::LogControl;
use crate::world::World;

/// A node's configuration, with where it is from.
#[derive(Debug)]
pub(super) struct Settings {
    world: World,
    file: PathBuf,
    /// What the environment and flags say, which stands above the file.
    overrides: Vec<(String, String)>,
    /// Of the file as it was read last.
    stamp: Option<u64>,
}

/// The configuration of a running node, which is looked after.
#[derive(Debug)]
pub(super) struct Watching {
    settings: Settings,
    running: NodeConfig,
    log: LogControl,
}

impl Settings {
    /// Those in `file`; nothing is read yet.
    pub(super) fn new(world: World, file: PathBuf, overrides: Vec<(String, String)>) -> Self {
        Self { world, file, overrides, stamp: None }
    }

    /// Reads them: the configuration if nothing is wrong with it, and everything that is wrong or hardly meant.
    pub(super) fn read(&mut self) -> Result<(Option<NodeConfig>, Vec<Diagnostic>), Failure> {
        // Before it is read, so that a change while it is read is found later.
        self.stamp = self.stamp_now();
        let source = source(&self.file)?;
        let (config, diagnostics) = NodeConfig::parse(&source, &self.overrides);
        let directory = self.file.parent().unwrap_or(Path::new("."));
        Ok((config.map(|config| config.relative_to(directory)), diagnostics))
    }

    /// The new configuration, if the file has changed and is right; what is wrong is logged.
    fn changed(&mut self) -> Option<NodeConfig> {
        if self.stamp_now() == self.stamp {
            return None;
        }
        let (config, diagnostics) = self.read().unwrap_or_else(|failure| {
            if let Failure::Failed(error) = failure {
                tracing::error!(error, "the configuration has gone");
            }
            (None, Vec::new())
        });
        for diagnostic in &diagnostics {
            tracing::error!(%diagnostic, "configuration");
        }
        if config.is_none() {
            tracing::error!("configuration not reloaded; the old one stays");
        }
        config
    }

    fn stamp_now(&self) -> Option<u64> {
        // A pipe from another command is read once.
        self.file.is_file().then(|| self.world.disk.stamp(&self.file).ok()).flatten()
    }
}

impl Watching {
    /// Of a node that runs with `running`, and logs through `log`.
    pub(super) fn new(settings: Settings, running: NodeConfig, log: LogControl) -> Self {
        Self { settings, running, log }
    }

    /// Waits until it is time for another look.
    pub(super) async fn due(&self) {
        tokio::time::sleep(WATCH_INTERVAL).await;
    }

    /// Takes over the log level if the file has changed.
    pub(super) fn look(&mut self) {
        let Some(config) = self.settings.changed() else { return };
        self.running.log_level = config.log_level;
        match self.log.set_level(config.log_level) {
            Ok(()) => tracing::info!(level = ?config.log_level, "configuration reloaded"),
            Err(error) => tracing::error!(%error, "cannot change the log level"),
        }
        if self.running != config {
            tracing::warn!(
                "the configuration has changed in more than the log level; the rest needs a restart"
            );
        }
    }
}

const WATCH_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "name = \"n1\"\ndata = \"d\"\ndocuments = \".\"\n[mesh]\nlisten = \"127.0.0.1:7400\"\n\
         certificate = \"n\"\nkey = \"k\"\nauthorities = \"a\"\n";

    fn settings(directory: &Path, overrides: &[(&str, &str)]) -> Settings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let overrides = overrides.iter().map(owned).collect();
        Settings::new(World::system(), directory.join("node.toml"), overrides)
    }

    #[test]
    fn a_change_is_found_once_and_what_is_wrong_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(directory.path().join("node.toml"), text).unwrap();
        write(LEAST);
        let mut settings = settings(directory.path(), &[]);
        assert!(settings.read().unwrap().0.is_some());
        assert_eq!(settings.changed(), None);
        write(&format!("{LEAST}[log]\nlevel = \"debug\"\n"));
        let level = settings.changed().map(|config| config.log_level);
        assert_eq!(level, Some(graticule_node_core::config::LogLevel::Debug));
        assert_eq!(settings.changed(), None);
        write(&format!("{LEAST}[log]\nlevel = \"loud\"\n"));
        assert_eq!(settings.changed(), None);
        std::fs::remove_file(directory.path().join("node.toml")).unwrap();
        assert_eq!(settings.changed(), None);
        write(LEAST);
        assert!(settings.changed().is_some(), "mended");
    }

    #[test]
    fn flags_stand_above_the_file_after_a_change_too() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("node.toml"), LEAST).unwrap();
        let mut settings = settings(directory.path(), &[("log.level", "error")]);
        let config = settings.changed().unwrap();
        assert_eq!(config.log_level, graticule_node_core::config::LogLevel::Error);
        assert_eq!(config.documents, directory.path().join("."), "and paths are from the file's directory");
    }
}
