//! What a peer has not answered yet, and since when that counts.

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
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    sent_at: Moment,
    /// How much longer it may take because this node itself was slow.
    widened: Duration,
}

impl Pending {
    fn new(sent_at: Moment) -> Self {
        Self { sent_at, widened: Duration::ZERO }
    }
}

impl Waiting {
    /// Nothing is waited for; what was sent at or before `now` counts as answered.
    pub(super) fn since(now: Moment) -> Self {
        Self { answered: now, ..Self::default() }
    }

    pub(super) fn probe_sent(&mut self, seq: u64, now: Moment) {
        if self.probes.len() >= PROBES_MAX {
            self.probes.pop_front();
        }
        self.probes.push_back((seq, Pending::new(now)));
    }

    /// When the probe was sent, if it is waited for.
    pub(super) fn probe_answered(&mut self, seq: u64) -> Option<Moment> {
        let at = self.probes.iter().position(|(sent, _)| *sent == seq)?;
        let (_, pending) = self.probes.remove(at)?;
        self.answered = self.answered.max(pending.sent_at);
        self.request = self.request.filter(|request| request.sent_at > self.answered);
        Some(pending.sent_at)
    }

    pub(super) fn request_waits(&mut self, sent_at: Moment) {
        let is_news = self.request.is_none_or(|earlier| sent_at < earlier.sent_at);
        if sent_at > self.answered && is_news {
            self.request = Some(Pending::new(sent_at));
        }
    }

    /// Gives everything that is waited for `lag` more time.
    pub(super) fn widen(&mut self, lag: Duration) {
        let pending = self.probes.iter_mut().map(|(_, pending)| pending).chain(&mut self.request);
        pending
            .for_each(|pending| pending.widened = (pending.widened + lag.min(WIDENED_MAX)).min(WIDENED_MAX));
    }

    /// When the first thing that nothing later excuses has been waited for longer than `patience`.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Moment> {
        self.accusing().map(|pending| pending.sent_at + patience + pending.widened).min()
    }

    /// When the oldest thing was sent that nothing later excuses.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.accusing().map(|pending| pending.sent_at).min()
    }

    fn accusing(&self) -> impl Iterator<Item = &Pending> {
        let pending = self.probes.iter().map(|(_, pending)| pending).chain(&self.request);
        pending.filter(|pending| pending.sent_at > self.answered)
    }
}

/// More than are sent while a connection lives without a word (5 s).
const PROBES_MAX: usize = 64;
/// However slow this node is, after this long it judges others by what it sees.
const WIDENED_MAX: Duration = Duration::from_secs(1);
