//! When was each node heard of last? Asked before chitchat is believed that one is dead.
//!
//! Chitchat's detector learns how often it hears of a node, and remembers hundreds of times. In a fleet that grows,
//! rounds become rarer than what it has learnt, and pauses that are usual by then look like deaths. So nobody is dead
//! before a silence that would be long at the pace of now.

use std::collections::BTreeMap;
use std::time::Duration;

use chitchat::{Chitchat, ChitchatId, Heartbeat};
use tokio::time::Instant;

/// The last heartbeat of every node that chitchat holds.
#[derive(Debug, Default)]
pub(crate) struct Heard(BTreeMap<ChitchatId, (Heartbeat, Instant)>);

impl Heard {
    /// Notes who has shown a newer heartbeat by `now`, and forgets whom chitchat has forgotten.
    pub(crate) fn note(&mut self, chitchat: &Chitchat, now: Instant) {
        let states = chitchat.node_states();
        self.0.retain(|id, _| states.contains_key(id));
        for (id, state) in states {
            let heartbeat = state.heartbeat();
            match self.0.get_mut(id) {
                Some((known, _)) if *known == heartbeat => {}
                Some(known) => *known = (heartbeat, now),
                None => drop(self.0.insert(id.clone(), (heartbeat, now))),
            }
        }
    }

    /// Whether `id` was heard of within `silence_max`.
    pub(crate) fn is_recent(&self, id: &ChitchatId, silence_max: Duration, now: Instant) -> bool {
        self.0.get(id).is_some_and(|(_, at)| now.saturating_duration_since(*at) < silence_max)
    }
}
