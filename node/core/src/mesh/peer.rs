//! One peer, first-hand: whether it answers, how fast, and what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use super::load::checked;
use super::patience::{answer_patience, silence};
use super::rtt::LowestRtt;
use super::{Condition, Excepted, Exceptions, ExceptionsDigest, Report, patience, probe_interval};
use crate::Moment;
use crate::framing::Probe;

mod waiting;

use waiting::{Limits, Waiting};

/// What this node has seen of one peer.
///
/// A peer is suspect when it was not heard for more than two probes' time or says so of this node, or has left a probe or a request unanswered for
/// too long and has answered nothing that was sent after that. So a lost packet accuses nobody as long as later ones
/// come, a dead peer is suspect within the promised time, and a peer that comes back is trusted with its first answer.
#[derive(Debug, Clone)]
pub struct Peer {
    connected: bool,
    suspect: bool,
    /// Whether it has said last that it does not hear this node.
    deaf: bool,
    waiting: Waiting,
    rtt: LowestRtt,
    /// Stands in for the round trip until one was measured.
    rtt_guess: Duration,
    report: Option<Report>,
    exceptions: Arc<Excepted>,
    /// Of `exceptions`.
    digest: ExceptionsDigest,
}

impl Peer {
    /// A peer that is not connected. `rtt_guess` is used until a round trip has been measured.
    pub fn new(rtt_guess: Duration) -> Self {
        Self {
            connected: false,
            suspect: false,
            deaf: false,
            waiting: Waiting::default(),
            rtt: LowestRtt::default(),
            rtt_guess,
            report: None,
            exceptions: Arc::default(),
            digest: ExceptionsDigest::NONE,
        }
    }

    /// A tunnel stands since `now`: the handshake was an answer. What an earlier life reported is forgotten.
    pub fn connected(&mut self, now: Moment) {
        (self.connected, self.suspect, self.deaf) = (true, false, false);
        self.waiting = Waiting::since(now);
        self.report = None;
        self.set_exceptions(Exceptions::default());
    }

    /// The tunnel is gone.
    pub fn disconnected(&mut self) {
        (self.connected, self.suspect, self.deaf) = (false, false, false);
        self.waiting = Waiting::default();
    }

    /// Probe number `seq` was sent. Send one every [`Peer::probe_interval`], each with a new number.
    pub fn probe_sent(&mut self, seq: u64, now: Moment) {
        if self.connected {
            self.waiting.probe_sent(seq, now);
        }
    }

    /// A probe of the peer has come, which may answer one of this node's.
    pub fn heard(&mut self, probe: &Probe, now: Moment) {
        if !self.connected {
            return;
        }
        self.waiting.heard(now);
        if let Some(sent_at) = self.waiting.probe_answered(probe.heard)
            && probe.at_once
        {
            self.rtt.record(now.since(sent_at), now);
        }
        self.deaf = probe.deaf && self.is_unheard(now);
        if probe.report.exceptions == ExceptionsDigest::NONE && self.digest != ExceptionsDigest::NONE {
            self.set_exceptions(Exceptions::default());
        }
        self.report = Some(Report { load: checked(probe.report.load), ..probe.report });
        self.judge(now);
    }

    /// Whether nothing was heard of it for too long; it is to be told, in case that it hears.
    pub fn is_silent(&self, now: Moment) -> bool {
        self.suspect && self.waiting.is_silent(silence(self.distance()), now)
    }

    /// Whether the peer has other exceptions than are known: they are to be asked for.
    pub fn wants_exceptions(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.exceptions != self.digest)
    }

    /// The peer's exceptions, as it has told when it was asked.
    pub fn set_exceptions(&mut self, exceptions: Exceptions) {
        let exceptions = exceptions.checked();
        if *self.exceptions.listed() != exceptions {
            self.digest = exceptions.digest();
            self.exceptions = Arc::new(exceptions.into());
        }
    }

    /// A worker has waited for `accepted` to a request sent at `sent_at` for this peer's patience.
    pub fn unanswered(&mut self, sent_at: Moment, now: Moment) {
        if self.connected {
            self.waiting.request_waits(sent_at);
            self.judge(now);
        }
    }

    /// Time has passed. `lag` is by how much the caller's timer was late: whatever held it up may have held up answers
    /// too, so what is waited for gets that much longer.
    pub fn handle_timeout(&mut self, now: Moment, lag: Duration) {
        self.rtt.forget(now);
        if lag >= LAG_NOTICED && !self.suspect {
            self.waiting.widen(lag + CATCHING_UP);
        }
        self.judge(now);
    }

    /// When [`Peer::handle_timeout`] is to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Moment> {
        if self.suspect { None } else { self.deadline() }
    }

    /// Whether it can be given requests.
    pub fn condition(&self) -> Condition {
        let draining = self.report.as_ref().is_some_and(|report| report.draining);
        match (self.connected, self.suspect, draining) {
            (false, ..) => Condition::Unreachable,
            (_, true, _) => Condition::Suspect,
            (.., true) => Condition::Draining,
            _ => Condition::Usable,
        }
    }

    /// How long it may leave a request unanswered.
    pub fn patience(&self) -> Duration {
        patience(self.distance())
    }

    /// How often to probe it.
    pub fn probe_interval(&self) -> Duration {
        probe_interval(self.distance())
    }

    /// Since when it has left something unanswered or was not heard.
    pub fn unanswered_since(&self) -> Option<Moment> {
        self.waiting.oldest()
    }

    /// Lowest round-trip time of the last 10 s, or the last one measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.lowest()
    }

    /// Its load, as of its last report on this connection.
    pub fn load(&self) -> Option<f32> {
        self.report.as_ref().map(|report| report.load)
    }

    /// Its last report on this connection; the exceptions are in [`Peer::exceptions`].
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Tenants it said it has no healthy backend for.
    pub fn exceptions(&self) -> &Arc<Excepted> {
        &self.exceptions
    }

    fn judge(&mut self, now: Moment) {
        self.suspect = self.deaf || self.deadline().is_some_and(|deadline| deadline <= now);
    }

    /// Whether something that was sent is not heard there: else it was this node that sent nothing for a while.
    fn is_unheard(&self, now: Moment) -> bool {
        let due = self.distance() + self.probe_interval() / 2;
        self.waiting.unheard().is_some_and(|sent_at| sent_at + due < now)
    }

    /// When it becomes suspect unless something is heard.
    fn deadline(&self) -> Option<Moment> {
        let rtt = self.distance();
        let limits = Limits { silence: silence(rtt), answer: answer_patience(rtt), request: patience(rtt) };
        self.waiting.deadline(limits)
    }

    fn distance(&self) -> Duration {
        self.rtt().unwrap_or(self.rtt_guess)
    }
}

/// Timers are never quite on time; less than this is no sign of trouble.
const LAG_NOTICED: Duration = Duration::from_millis(5);
/// What reading the answers takes that have come meanwhile.
const CATCHING_UP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
