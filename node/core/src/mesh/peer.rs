//! One peer, first-hand: whether it answers, how fast, and what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use super::load::checked;
use super::rtt::LowestRtt;
use super::{Condition, Excepted, Exceptions, Report};
use crate::Moment;

mod waiting;

use waiting::Waiting;

/// What this node has seen of one peer.
///
/// A peer is suspect when it has left something unanswered for its [`patience`] and has answered nothing that was sent
/// after that. So a lost packet accuses nobody as long as later ones are answered, a dead peer is suspect within the
/// promised time, and a peer that comes back is trusted with its first answer.
#[derive(Debug, Clone)]
pub struct Peer {
    connected: bool,
    suspect: bool,
    waiting: Waiting,
    rtt: LowestRtt,
    /// Stands in for the round trip until one was measured.
    rtt_guess: Duration,
    report: Option<Report>,
    exceptions: Arc<Excepted>,
}

impl Peer {
    /// A peer that is not connected. `rtt_guess` is used until a round trip has been measured.
    pub fn new(rtt_guess: Duration) -> Self {
        Self {
            connected: false,
            suspect: false,
            waiting: Waiting::default(),
            rtt: LowestRtt::default(),
            rtt_guess,
            report: None,
            exceptions: Arc::default(),
        }
    }

    /// A tunnel stands since `now`: the handshake was an answer. What an earlier life reported is forgotten.
    pub fn connected(&mut self, now: Moment) {
        (self.connected, self.suspect) = (true, false);
        self.waiting = Waiting::since(now);
        self.report = None;
        self.exceptions = Arc::default();
    }

    /// The tunnel is gone.
    pub fn disconnected(&mut self) {
        (self.connected, self.suspect) = (false, false);
        self.waiting = Waiting::default();
    }

    /// Probe number `seq` was sent. Send one every [`PROBE_INTERVAL`], each with a new number.
    pub fn probe_sent(&mut self, seq: u64, now: Moment) {
        if self.connected {
            self.waiting.probe_sent(seq, now);
        }
    }

    /// The answer to probe number `seq` has come. One that nobody waits for is ignored.
    pub fn probe_answered(&mut self, seq: u64, report: Report, now: Moment) {
        let Some(sent_at) = self.waiting.probe_answered(seq) else { return };
        self.rtt.record(now.since(sent_at), now);
        if *self.exceptions.listed() != report.exceptions {
            self.exceptions = Arc::new(report.exceptions.checked().into());
        }
        let load = checked(report.load);
        self.report = Some(Report { load, exceptions: Exceptions::default(), ..report });
        self.judge(now);
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
        if self.suspect { None } else { self.waiting.deadline(self.patience()) }
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

    /// How long it may leave something unanswered.
    pub fn patience(&self) -> Duration {
        patience(self.rtt().unwrap_or(self.rtt_guess))
    }

    /// Since when it has left something unanswered, if it has.
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
        self.suspect = self.waiting.deadline(self.patience()).is_some_and(|deadline| deadline <= now);
    }
}

/// How long a peer with this lowest round-trip time may leave something unanswered: three round trips, at least 150 ms,
/// but not so long that a dead peer is still given requests max(250 ms, 3 x RTT) after its death.
///
/// The last probe that a dying peer answers reached it before its death, so it was sent at least RTT / 2 before. The next
/// one, the first that stays unanswered, was sent [`PROBE_INTERVAL`] later at most, and patience begins there:
///
/// ```text
/// - RTT / 2 + interval + patience + slack <= max(250 ms, 3 x RTT)
/// ```
///
/// The slack is for timers and for publishing what follows. So a peer less than 20 ms away is given a little less than
/// 150 ms, and one between 56 and 220 ms away a little less than three round trips, but never less than two.
pub fn patience(rtt: Duration) -> Duration {
    let wanted = rtt.saturating_mul(3).max(PATIENCE_MIN);
    let promised = rtt.saturating_mul(3).max(SILENCE_MAX).saturating_add(rtt / 2);
    wanted.min(promised.saturating_sub(PROBE_INTERVAL + SLACK))
}

/// How often a peer is probed.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(100);
const PATIENCE_MIN: Duration = Duration::from_millis(150);
const SILENCE_MAX: Duration = Duration::from_millis(250);
const SLACK: Duration = Duration::from_millis(10);
/// Timers are never quite on time; less than this is no sign of trouble.
const LAG_NOTICED: Duration = Duration::from_millis(5);
/// What reading the answers takes that have come meanwhile.
const CATCHING_UP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
