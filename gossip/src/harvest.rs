//! What a node believes of the mesh, taken from what chitchat holds.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use chitchat::{Chitchat, ChitchatId, NodeState};
use graticule_gossip_core::{
    Announcement, AnnouncementError, Generation, Member, NODES_MAX, View, ViewBuilder,
};
use tokio::time::Instant;

use crate::heard::Heard;
use crate::speakers::Speakers;

/// What beliefs are checked against.
pub(crate) struct Witness<'a> {
    /// What this node says of itself: the one member that is no hearsay.
    pub(crate) own: &'a Announcement,
    /// What certificates say.
    pub(crate) speakers: &'a Speakers,
    /// What was believed before.
    pub(crate) held: &'a View,
    /// Whether this node doubts itself: it then declares nobody dead, and forgets nobody.
    pub(crate) doubts_itself: bool,
    /// When nodes were heard of last.
    pub(crate) heard: &'a Heard,
    /// Who was heard of within this time is not dead.
    pub(crate) silence_max: Duration,
    /// Now.
    pub(crate) now: Instant,
}

/// A view, and what was left out of it.
#[derive(Debug, Default)]
pub(crate) struct Harvest {
    pub(crate) view: View,
    /// How many announcements were left out.
    pub(crate) rejected: usize,
    /// One of them, for the log.
    pub(crate) example: Option<String>,
}

/// Takes the view from `chitchat`.
pub(crate) fn harvest(chitchat: &Chitchat, witness: &Witness<'_>) -> Harvest {
    let mut builder = ViewBuilder::default();
    let mut harvest = Harvest::default();
    builder.add_member(Member { announcement: witness.own.clone(), alive: true });
    let live: HashSet<_> = chitchat.live_nodes().collect();
    for (id, state) in chitchat.node_states() {
        let alive = live.contains(id);
        if let Err(rejection) = witness.add(&mut builder, id, state, alive) {
            harvest.rejected += 1;
            harvest.example.get_or_insert_with(|| format!("{}: {rejection}", written(id)));
        }
    }
    harvest.view = builder.build();
    if witness.doubts_itself {
        keep(&mut harvest.view, witness.held);
    }
    harvest
}

/// Keeps those of `held` of whom nothing is heard.
fn keep(view: &mut View, held: &View) {
    for (name, member) in &held.members {
        if view.members.len() < NODES_MAX && !view.members.contains_key(name) {
            view.members.insert(name.clone(), member.clone());
        }
    }
}

impl Witness<'_> {
    fn add(
        &self,
        builder: &mut ViewBuilder,
        id: &ChitchatId,
        state: &NodeState,
        alive: bool,
    ) -> Result<(), Rejection> {
        if *id.node_id == *self.own.node.as_str() {
            let newer = alive && id.generation_id > self.own.generation.0;
            return if newer { Err(Rejection::OwnName) } else { Ok(()) };
        }
        let unheard = state.key_values().next().is_none();
        if unheard {
            return Ok(());
        }
        if self.speakers.contradict(&id.node_id, id.gossip_advertise_addr, self.now) {
            return Err(Rejection::Contradicted);
        }
        let mut added = ViewBuilder::default();
        let generation = Generation(id.generation_id);
        added.add(&id.node_id, generation, |key| state.get(key), alive).map_err(Rejection::Unreadable)?;
        added.build().members.into_values().try_for_each(|mut member| {
            if member.announcement.mesh.base != id.gossip_advertise_addr {
                return Err(Rejection::Unreadable(AnnouncementError::Malformed("mesh")));
            }
            let too_soon = self.doubts_itself || self.heard.is_recent(id, self.silence_max, self.now);
            member.alive |= too_soon && self.held_alive(&member.announcement);
            builder.add_member(member);
            Ok(())
        })
    }

    fn held_alive(&self, announcement: &Announcement) -> bool {
        self.held
            .member(&announcement.node)
            .is_some_and(|held| held.alive && held.announcement.generation == announcement.generation)
    }
}

/// Why an announcement is not in the view.
#[derive(Debug, PartialEq, Eq)]
enum Rejection {
    Unreadable(AnnouncementError),
    Contradicted,
    OwnName,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "{error}"),
            Self::Contradicted => f.write_str("another certificate speaks from its address"),
            Self::OwnName => {
                f.write_str("this node's own name lives a newer start elsewhere: two nodes share a name")
            }
        }
    }
}

/// A hostile name may be long and may be anything.
fn written(id: &ChitchatId) -> String {
    let name: String = id.node_id.chars().take(NAME_CHARS_LOGGED_MAX).collect();
    format!("{name:?} generation {} at {}", id.generation_id, id.gossip_advertise_addr)
}

const NAME_CHARS_LOGGED_MAX: usize = 63;

#[cfg(test)]
mod tests;
