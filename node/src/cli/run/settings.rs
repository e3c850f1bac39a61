//! What a running node takes over from its configuration when that changes: the log level.

use std::path::{Path, PathBuf};
use std::time::Duration;

use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::Diagnostic;

use crate::cli::{Failure, source};
use crate::shared::{Refusal, Reloadable, Reloads};
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

    /// The new configuration or what is wrong with it, which is logged, if the file has changed.
    fn changed(&mut self) -> Option<Result<NodeConfig, Vec<String>>> {
        if self.stamp_now() == self.stamp {
            return None;
        }
        let (config, found) = match self.read() {
            Ok((config, diagnostics)) => (config, diagnostics.iter().map(ToString::to_string).collect()),
            Err(Failure::Failed(error)) => (None, vec![error]),
            Err(Failure::Found) => (None, Vec::new()),
        };
        for diagnostic in &found {
            tracing::error!(%diagnostic, "configuration");
        }
        if config.is_none() {
            tracing::error!("configuration not reloaded; the old one stays");
        }
        Some(config.ok_or(found))
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

    /// Takes over the log level if the file has changed, and tells `reloads` whether it is right.
    pub(super) fn look(&mut self, reloads: &Reloads) {
        let Some(changed) = self.settings.changed() else { return };
        let refusal = changed.as_ref().err().map(Refusal::of);
        reloads.tell(Reloadable::Configuration, self.settings.world.clock.now(), refusal);
        let Ok(config) = changed else { return };
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
        let level = settings.changed().unwrap().unwrap().log_level;
        assert_eq!(level, graticule_node_core::config::LogLevel::Debug);
        assert_eq!(settings.changed(), None);
        write(&format!("{LEAST}[log]\nlevel = \"loud\"\n"));
        let found = settings.changed().unwrap().unwrap_err();
        assert!(found[0].contains("node.toml:10:"), "{found:?}");
        std::fs::remove_file(directory.path().join("node.toml")).unwrap();
        let found = settings.changed().unwrap().unwrap_err();
        assert!(found[0].contains("cannot read"), "{found:?}");
        write(LEAST);
        assert!(settings.changed().unwrap().is_ok(), "mended");
    }

    #[test]
    fn flags_stand_above_the_file_after_a_change_too() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("node.toml"), LEAST).unwrap();
        let mut settings = settings(directory.path(), &[("log.level", "error")]);
        let config = settings.changed().unwrap().unwrap();
        assert_eq!(config.log_level, graticule_node_core::config::LogLevel::Error);
        assert_eq!(config.documents, directory.path().join("."), "and paths are from the file's directory");
    }
}
