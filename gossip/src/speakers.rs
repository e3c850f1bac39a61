//! Who was heard from where, by certificate: the little that is known first-hand about identities.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use graticule_gossip_core::{NODES_MAX, NodeName};
use tokio::time::Instant;

/// Certified names by the address they speak from, and how much each has said in this interval.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    heard: BTreeMap<SocketAddr, Vec<(NodeName, Instant)>>,
    said: BTreeMap<NodeName, u32>,
}

impl Speakers {
    /// Notes that `node` spoke from `from`. False if it has said more in this interval than anybody needs to.
    pub(crate) fn hear(&mut self, from: SocketAddr, node: &NodeName, now: Instant) -> bool {
        self.note(from, node, now);
        if let Some(said) = self.said.get_mut(node) {
            *said = said.saturating_add(1);
            return *said <= MESSAGES_PER_INTERVAL_MAX;
        }
        let room = self.said.len() < NODES_MAX;
        if room {
            self.said.insert(node.clone(), 1);
        }
        room
    }

    /// Whether others have lately spoken from `address`, and `node` has not: it is then not where it says it is.
    pub(crate) fn contradict(&self, node: &str, address: SocketAddr, now: Instant) -> bool {
        let mut lately =
            self.heard.get(&address).into_iter().flatten().filter(|(_, at)| is_recent(*at, now)).peekable();
        lately.peek().is_some() && lately.all(|(name, _)| name.as_str() != node)
    }

    /// Everybody may speak again; who has not spoken for long is forgotten.
    pub(crate) fn begin_interval(&mut self, now: Instant) {
        self.said.clear();
        self.heard.retain(|_, names| {
            names.retain(|(_, at)| is_recent(*at, now));
            !names.is_empty()
        });
    }

    fn note(&mut self, from: SocketAddr, node: &NodeName, now: Instant) {
        if self.heard.len() >= NODES_MAX && !self.heard.contains_key(&from) {
            return;
        }
        let names = self.heard.entry(from).or_default();
        if let Some((_, at)) = names.iter_mut().find(|(name, _)| name == node) {
            *at = now;
        } else if names.len() < NAMES_PER_ADDRESS_MAX {
            names.push((node.clone(), now));
        }
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) <= HEARD_FOR
}

/// A live peer speaks several times a second; an address may pass to another node after this long.
const HEARD_FOR: Duration = Duration::from_mins(1);
/// More than one while an address passes on.
const NAMES_PER_ADDRESS_MAX: usize = 4;
/// In a fleet of two a peer sends three: its own question, its answer to ours, its reply to our answer.
const MESSAGES_PER_INTERVAL_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([203, 0, 113, last], 4400).into()
    }

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_cannot_call_itself_another_at_its_own_address() {
        let now = Instant::now();
        let mut speakers = Speakers::default();
        speakers.hear(address(1), &name("mallory"), now);
        assert!(speakers.contradict("alice", address(1), now));
        assert!(!speakers.contradict("mallory", address(1), now));
        assert!(!speakers.contradict("alice", address(2), now), "nobody was heard from there");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_may_pass_to_another_node() {
        let then = Instant::now();
        let mut speakers = Speakers::default();
        speakers.hear(address(1), &name("old"), then);
        let now = then + HEARD_FOR + Duration::from_millis(1);
        assert!(!speakers.contradict("new", address(1), now));
        speakers.begin_interval(now);
        assert!(speakers.heard.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_liar_at_anothers_address_does_not_silence_it() {
        let now = Instant::now();
        let mut speakers = Speakers::default();
        speakers.hear(address(1), &name("alice"), now);
        speakers.hear(address(1), &name("mallory"), now);
        assert!(!speakers.contradict("alice", address(1), now));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_says_more_than_its_share_of_an_interval() {
        let now = Instant::now();
        let mut speakers = Speakers::default();
        let heard = |speakers: &mut Speakers, node: &str| {
            (0..100).filter(|_| speakers.hear(address(1), &name(node), now)).count()
        };
        assert_eq!(heard(&mut speakers, "loud"), MESSAGES_PER_INTERVAL_MAX as usize);
        assert_eq!(heard(&mut speakers, "other"), MESSAGES_PER_INTERVAL_MAX as usize);
        speakers.begin_interval(now);
        assert_eq!(heard(&mut speakers, "loud"), MESSAGES_PER_INTERVAL_MAX as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn no_number_of_speakers_grows_the_tables_over_their_limits() {
        let now = Instant::now();
        let mut speakers = Speakers::default();
        for i in 0..NODES_MAX + 100 {
            let from = SocketAddr::new(address(1).ip(), i as u16);
            assert_eq!(speakers.hear(from, &name(&format!("n{i}")), now), i < NODES_MAX);
            speakers.hear(address(2), &name(&format!("n{i}")), now);
        }
        assert_eq!((speakers.heard.len(), speakers.said.len()), (NODES_MAX, NODES_MAX));
        assert!(speakers.heard.values().all(|names| names.len() <= NAMES_PER_ADDRESS_MAX));
    }
}
