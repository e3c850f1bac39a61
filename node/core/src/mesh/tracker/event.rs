//! What happened in the mesh that somebody may want to know.

use std::collections::VecDeque;
use std::time::Duration;

use graticule_gossip_core::NodeName;

use crate::mesh::Condition;

/// Something that happened to a peer, as this node saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshEvent {
    /// A tunnel stands.
    PeerConnected {
        /// To whom.
        node: NodeName,
    },
    /// The tunnel is gone.
    PeerDisconnected {
        /// To whom.
        node: NodeName,
    },
    /// The tunnel is gone, and the peer had said that it leaves.
    PeerLeft {
        /// Who.
        node: NodeName,
    },
    /// It has left something unanswered: no new requests go there.
    PeerSuspected {
        /// Who.
        node: NodeName,
        /// For how long.
        after: Duration,
    },
    /// A suspect has answered.
    PeerTrusted {
        /// Who.
        node: NodeName,
    },
    /// It says that it is leaving.
    PeerDraining {
        /// Who.
        node: NodeName,
    },
    /// It says that it is no longer leaving.
    PeerUndrained {
        /// Who.
        node: NodeName,
    },
    /// Nobody asked for events, and so many were dropped.
    EventsLost {
        /// How many.
        count: u64,
    },
}

impl MeshEvent {
    /// What it means that a peer changed from one condition to another; `waited` is for how long it has left something
    /// unanswered.
    pub(super) fn of_change(
        node: &NodeName,
        from: Condition,
        to: Condition,
        waited: Duration,
    ) -> Option<Self> {
        use Condition::{Draining, Suspect, Unreachable, Usable};
        let node = node.clone();
        Some(match (from, to) {
            (Usable, Usable) | (Suspect, Suspect) | (Draining, Draining) | (Unreachable, Unreachable) => {
                return None;
            }
            (Draining, Unreachable) => Self::PeerLeft { node },
            (_, Unreachable) => Self::PeerDisconnected { node },
            (_, Suspect) => Self::PeerSuspected { node, after: waited },
            (Unreachable, _) => Self::PeerConnected { node },
            (Suspect, _) => Self::PeerTrusted { node },
            (Usable, Draining) => Self::PeerDraining { node },
            (Draining, Usable) => Self::PeerUndrained { node },
        })
    }
}

/// Events that nobody has taken yet; when there are too many, the oldest are lost and counted.
#[derive(Debug, Default)]
pub(super) struct Events {
    waiting: VecDeque<MeshEvent>,
    lost: u64,
}

impl Events {
    pub(super) fn push(&mut self, event: MeshEvent) {
        if self.waiting.len() >= EVENTS_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(event);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0
    }

    pub(super) fn pop(&mut self) -> Option<MeshEvent> {
        match std::mem::take(&mut self.lost) {
            0 => self.waiting.pop_front(),
            count => Some(MeshEvent::EventsLost { count }),
        }
    }
}

const EVENTS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{Draining, Suspect, Unreachable, Usable};

    fn node() -> NodeName {
        "a".parse().unwrap()
    }

    #[test]
    fn every_change_is_an_event_and_nothing_else_is() {
        let conditions = [Usable, Suspect, Draining, Unreachable];
        for (from, to) in conditions.into_iter().flat_map(|from| conditions.map(|to| (from, to))) {
            let event = MeshEvent::of_change(&node(), from, to, Duration::ZERO);
            assert_eq!(event.is_none(), from == to, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn who_said_so_beforehand_has_left_and_everybody_else_is_lost() {
        let gone = |from| MeshEvent::of_change(&node(), from, Unreachable, Duration::ZERO);
        assert_eq!(gone(Draining), Some(MeshEvent::PeerLeft { node: node() }));
        for from in [Usable, Suspect] {
            assert_eq!(gone(from), Some(MeshEvent::PeerDisconnected { node: node() }));
        }
    }

    #[test]
    fn a_suspicion_says_how_long_it_waited() {
        let waited = Duration::from_millis(151);
        let event = MeshEvent::of_change(&node(), Usable, Suspect, waited);
        assert_eq!(event, Some(MeshEvent::PeerSuspected { node: node(), after: waited }));
    }

    #[test]
    fn events_that_nobody_takes_are_lost_oldest_first_and_counted() {
        let mut events = Events::default();
        let numbered = |number: usize| MeshEvent::PeerTrusted { node: format!("n{number}").parse().unwrap() };
        (0..EVENTS_MAX + 3).for_each(|number| events.push(numbered(number)));
        assert_eq!(events.pop(), Some(MeshEvent::EventsLost { count: 3 }));
        assert_eq!(events.pop(), Some(numbered(3)));
        let rest = std::iter::from_fn(|| events.pop()).count();
        assert_eq!(rest, EVENTS_MAX - 1);
    }
}
