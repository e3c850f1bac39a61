//! What chitchat takes for its network: two bounded queues of envelopes that never fail and never make it wait.
//!
//! An error from `recv` would stop chitchat's loop for good, and `send` is awaited inside that loop. The queues outlive
//! any one start of chitchat.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport};
use chitchat::{ChitchatEnvelope, ChitchatMessage};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use crate::pace::Rounds;
use crate::tally::Tally;

/// Chitchat's end.
#[derive(Clone)]
pub(crate) struct Lane {
    base: SocketAddr,
    outbound: mpsc::Sender<(SocketAddr, ChitchatEnvelope)>,
    inbound: Arc<Mutex<mpsc::Receiver<RecvOutcome>>>,
    tally: Arc<Tally>,
    rounds: Rounds,
}

/// The other end.
pub(crate) struct LaneEnd {
    /// What chitchat says, and to whom.
    pub(crate) outbound: mpsc::Receiver<(SocketAddr, ChitchatEnvelope)>,
    /// What chitchat is to hear.
    pub(crate) inbound: mpsc::Sender<RecvOutcome>,
}

/// A lane for the node that advertises `base`, on which these `rounds` take place.
pub(crate) fn lane(base: SocketAddr, tally: &Arc<Tally>, rounds: Rounds) -> (Lane, LaneEnd) {
    let (say, said) = mpsc::channel(ENVELOPES_QUEUED_MAX);
    let (tell, told) = mpsc::channel(ENVELOPES_QUEUED_MAX);
    let (inbound, tally) = (Arc::new(Mutex::new(told)), Arc::clone(tally));
    let lane = Lane { base, outbound: say, inbound, tally, rounds };
    (lane, LaneEnd { outbound: said, inbound: tell })
}

#[async_trait]
impl Transport for Lane {
    async fn open(&self, _listen_addr: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Socket for Lane {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.base)
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        // Only questions begin an exchange; an answer is waited for.
        let is_question = matches!(envelope.message, ChitchatMessage::Syn { .. });
        let is_due = !is_question || self.rounds.take_place(Instant::now());
        if is_due && self.outbound.try_send((to, envelope)).is_err() {
            self.tally.dropped.one();
        }
        // The size is known only later, and chitchat does not ask.
        Ok(SendOutcome { num_bytes_sent: 0 })
    }

    /// May be given up at any point without losing a message.
    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        match self.inbound.lock().await.recv().await {
            Some(outcome) => Ok(outcome),
            None => std::future::pending().await,
        }
    }
}

/// In each direction.
const ENVELOPES_QUEUED_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use chitchat::ProtocolVersion;

    use super::*;
    use crate::config::Timing;
    use crate::pace::Pace;

    fn rounds() -> Rounds {
        let timing = Timing::default();
        Rounds::new(&Pace::new(&timing), timing.interval)
    }

    fn envelope() -> ChitchatEnvelope {
        ChitchatEnvelope { version: ProtocolVersion::V1, message: ChitchatMessage::BadCluster }
    }

    fn address() -> SocketAddr {
        ([203, 0, 113, 7], 4400).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_drops_and_does_not_wait() {
        let tally = Arc::default();
        let (mut lane, end) = lane(address(), &tally, rounds());
        for _ in 0..ENVELOPES_QUEUED_MAX + 3 {
            lane.send(address(), envelope()).await.unwrap();
        }
        assert_eq!(tally.counters().dropped, 3);
        assert_eq!(end.outbound.len(), ENVELOPES_QUEUED_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_is_silence_and_no_error() {
        let (mut lane, end) = lane(address(), &Arc::default(), rounds());
        drop(end);
        lane.send(address(), envelope()).await.unwrap();
        let heard = tokio::time::timeout(std::time::Duration::from_mins(1), lane.recv()).await;
        assert!(heard.is_err());
    }
}
