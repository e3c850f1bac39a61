//! What a peer has not answered yet, since when it is silent, and from when on that counts.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;

/// Probes and requests without an answer. Bounded.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    /// In the order sent.
    probes: VecDeque<(u64, Pending)>,
    /// The first unanswered request that was reported, if nothing sent after it was answered.
    request: Option<Pending>,
    /// When the latest of all answered things was sent: what was sent before it accuses nobody.
    answered: Moment,
    /// When the peer was heard last.
    heard: Option<Pending>,
}

/// How long what may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// That nothing is heard.
    pub(super) silence: Duration,
    /// That a probe is unanswered.
    pub(super) answer: Duration,
    /// That a request is unanswered.
    pub(super) request: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    since: Moment,
    /// How much longer it may take because this node itself was slow.
    widened: Duration,
}

impl Pending {
    fn new(since: Moment) -> Self {
        Self { since, widened: Duration::ZERO }
    }

    fn deadline(&self, limit: Duration) -> Moment {
        self.since + limit + self.widened
    }
}

impl Waiting {
    /// Nothing is waited for; what was sent at or before `now` counts as answered.
    pub(super) fn since(now: Moment) -> Self {
        Self { answered: now, heard: Some(Pending::new(now)), ..Self::default() }
    }

    pub(super) fn probe_sent(&mut self, seq: u64, now: Moment) {
        if self.probes.len() >= PROBES_MAX {
            self.probes.pop_front();
        }
        self.probes.push_back((seq, Pending::new(now)));
    }

    /// Something was heard.
    pub(super) fn heard(&mut self, now: Moment) {
        self.heard = Some(Pending::new(now));
    }

    /// When the probe was sent, if it is waited for. Those before it are excused.
    pub(super) fn probe_answered(&mut self, seq: u64) -> Option<Moment> {
        let at = self.probes.iter().position(|(sent, _)| *sent == seq)?;
        let (_, pending) = self.probes.drain(..=at).next_back()?;
        self.answered = self.answered.max(pending.since);
        self.request = self.request.filter(|request| request.since > self.answered);
        Some(pending.since)
    }

    pub(super) fn request_waits(&mut self, sent_at: Moment) {
        let is_news = self.request.is_none_or(|earlier| sent_at < earlier.since);
        if sent_at > self.answered && is_news {
            self.request = Some(Pending::new(sent_at));
        }
    }

    /// Gives everything that is waited for `lag` more time.
    pub(super) fn widen(&mut self, lag: Duration) {
        let probes = self.probes.iter_mut().map(|(_, pending)| pending);
        for pending in probes.chain(&mut self.request).chain(&mut self.heard) {
            pending.widened = (pending.widened + lag.min(WIDENED_MAX)).min(WIDENED_MAX);
        }
    }

    /// Whether nothing was heard for too long.
    pub(super) fn is_silent(&self, silence: Duration, now: Moment) -> bool {
        self.heard.is_some_and(|heard| heard.deadline(silence) <= now)
    }

    /// When the first thing has lasted for longer than it may.
    pub(super) fn deadline(&self, limits: Limits) -> Option<Moment> {
        let silence = self.heard.map(|heard| heard.deadline(limits.silence));
        let probe = self.accusing().map(|probe| probe.deadline(limits.answer)).min();
        let request = self.request.map(|request| request.deadline(limits.request));
        [silence, probe, request].into_iter().flatten().min()
    }

    /// Since when the peer has left something unanswered, or was not heard if that is longer ago.
    pub(super) fn oldest(&self) -> Option<Moment> {
        let waiting = [self.heard, self.accusing().next().copied(), self.request];
        waiting.into_iter().flatten().map(|pending| pending.since).min()
    }

    /// When the first probe was sent that nothing later excuses.
    pub(super) fn unheard(&self) -> Option<Moment> {
        self.accusing().next().map(|pending| pending.since)
    }

    /// Probes that nothing later excuses, in the order sent.
    fn accusing(&self) -> impl Iterator<Item = &Pending> {
        self.probes.iter().map(|(_, pending)| pending).filter(|pending| pending.since > self.answered)
    }
}

/// More than are sent while a connection lives without a word (5 s).
const PROBES_MAX: usize = 64;
/// However slow this node is, after this long it judges others by what it sees.
const WIDENED_MAX: Duration = Duration::from_secs(1);
