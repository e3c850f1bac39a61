//! One start of chitchat, from its first message to its end, whether asked for or not.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chitchat::{Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, NodeState, spawn_chitchat};
use graticule_gossip_core::{Announcement, NODES_MAX};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::contain::{Panicked, contain};
use crate::lane::Lane;

/// A running chitchat. It ends when this is dropped.
pub(crate) struct Session {
    handle: ChitchatHandle,
    changes: watch::Receiver<BTreeMap<ChitchatId, NodeState>>,
    ended: Pin<Box<dyn Future<Output = anyhow::Result<()>>>>,
}

/// What happened to a session.
pub(crate) enum SessionEvent {
    /// What it holds has changed.
    Changed,
    /// It is over.
    Ended(Failure),
}

/// Why a session is over, or has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its task has ended: it met remote data that it asserts against.
    Died,
    /// A call into it panicked: its own state was tampered with.
    Panicked,
    /// It holds more than any fleet says: somebody floods it.
    Flooded,
}

impl From<Panicked> for Failure {
    fn from(Panicked: Panicked) -> Self {
        Self::Panicked
    }
}

impl Session {
    /// Starts chitchat on `lane`, saying `own`.
    pub(crate) async fn start(
        config: ChitchatConfig,
        own: &Announcement,
        lane: &Lane,
    ) -> anyhow::Result<Self> {
        let values = own.to_values().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let handle = spawn_chitchat(config, values, lane).await?;
        let changes = handle.chitchat().lock().await.live_nodes_watcher();
        let ended = Box::pin(handle.termination_watcher());
        Ok(Self { handle, changes, ended })
    }

    /// Waits until there is something to see. Not to be called again after it has ended.
    pub(crate) async fn event(&mut self) -> SessionEvent {
        tokio::select! {
            biased;
            _ = &mut self.ended => SessionEvent::Ended(Failure::Died),
            changed = self.changes.changed() => match changed {
                Ok(()) => SessionEvent::Changed,
                Err(_) => SessionEvent::Ended(Failure::Died),
            }
        }
    }

    /// Says `own` from now on, and nothing else: what others have smuggled into this node's values is mended too.
    pub(crate) async fn say(&self, own: &Announcement) -> Result<(), Failure> {
        self.with(|chitchat| say(chitchat, own)).await
    }

    /// Looks at what chitchat holds.
    pub(crate) async fn look<T>(&self, look: impl FnOnce(&Chitchat) -> T) -> Result<T, Failure> {
        self.with(|chitchat| look(chitchat)).await
    }

    /// Refuses to hold more than any fleet says.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        let within_limits = self.look(is_within_limits).await?;
        if within_limits { Ok(()) } else { Err(Failure::Flooded) }
    }

    /// Ends it in order, or not, within [`STOP_MAX`].
    pub(crate) async fn stop(mut self) {
        if self.handle.initiate_shutdown().is_ok() {
            // Dropping aborts what has not ended by then.
            let _ = timeout(STOP_MAX, &mut self.ended).await;
        }
    }

    async fn with<T>(&self, call: impl FnOnce(&mut Chitchat) -> T) -> Result<T, Failure> {
        let chitchat = self.handle.chitchat();
        let mut chitchat = chitchat.lock().await;
        Ok(contain(|| call(&mut chitchat))?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

fn say(chitchat: &mut Chitchat, own: &Announcement) {
    let values = own.to_values();
    let state = chitchat.self_node_state();
    let foreign: Vec<String> = state
        .key_values()
        .filter(|(key, _)| values.iter().all(|(own, _)| own != key))
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in foreign {
        state.delete(&key);
    }
    for (key, value) in values {
        state.set(key, value);
    }
}

fn is_within_limits(chitchat: &Chitchat) -> bool {
    let states = chitchat.node_states();
    let mut bytes = 0;
    states.len() <= STARTS_HELD_MAX
        && states.values().all(|state| {
            let values = state.key_values_including_deleted();
            bytes += values.map(|(key, value)| key.len() + value.value.len()).sum::<usize>();
            bytes <= HELD_BYTES_MAX
        })
}

/// A node that restarts leaves its earlier starts behind for the dead grace.
const STARTS_HELD_MAX: usize = 4 * NODES_MAX;
/// Keys and values of everybody. An honest fleet of the largest size stays below a quarter.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// For chitchat to end by itself.
const STOP_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
