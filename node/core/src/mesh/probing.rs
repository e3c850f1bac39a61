//! When does a node probe a peer, over which of the tunnels between the two, and what does it answer at once?
//!
//! Two nodes that want each other dial each other. Probes then cross the tunnel that the first of them by name dialled, and
//! serve both: the leader sends one every interval, the other answers each at once, and so the leader has a round trip
//! and each has heard the other. If nothing comes in time, the other sends its probes all the same; and on the tunnel
//! that it dialled itself while the leader's is missing. Once a second it asks for an answer at once, for a round trip of
//! its own.

use std::time::Duration;

use graticule_gossip_core::NodeName;

use super::Report;
use crate::Moment;
use crate::framing::Probe;

/// The probes between this node and one peer, over all tunnels between them.
#[derive(Debug, Clone)]
pub struct Probing {
    /// Whether this node's tunnel is the one to use when both have dialled.
    leads: bool,
    /// The last number given.
    seq: u64,
    /// The number heard last.
    heard: u64,
    /// When one was sent last, over any tunnel.
    sent_at: Option<Moment>,
    /// When one came last over a tunnel that the peer dialled.
    led_at: Option<Moment>,
    /// When a round trip was measured last, or the peer was asked to let it be.
    measured_at: Option<Moment>,
    /// When the peer was last obeyed that asked so.
    obeyed_at: Option<Moment>,
}

/// One of the tunnels between two nodes.
#[derive(Debug, Clone)]
pub struct ProbedTunnel {
    /// Whether this node keeps it to probe the peer; on others it only answers.
    kept: bool,
    sent_at: Option<Moment>,
    heard_at: Option<Moment>,
    /// Whether something is new that the peer has not been told on it.
    untold: bool,
    /// The highest number heard on it.
    newest: u64,
    /// Probes that are listened to at once, and since when.
    allowed: (f32, Moment),
}

impl Probing {
    /// Nothing was said yet between `own` and `peer`.
    pub fn new(own: &NodeName, peer: &NodeName) -> Self {
        Self {
            leads: own < peer,
            seq: 0,
            heard: 0,
            sent_at: None,
            led_at: None,
            measured_at: None,
            obeyed_at: None,
        }
    }

    /// A new tunnel; whether this node keeps it to probe the peer.
    pub fn tunnel(&mut self, kept: bool) -> ProbedTunnel {
        if kept {
            self.measured_at = None;
        }
        let allowed = (PROBES_BURST, Moment::default());
        ProbedTunnel { kept, sent_at: None, heard_at: None, untold: false, newest: 0, allowed }
    }

    /// A tunnel has ended: if it was the one that the peer led, this node does not wait for it.
    pub fn ended(&mut self, tunnel: &ProbedTunnel) {
        if !tunnel.kept {
            self.led_at = None;
        }
    }

    /// When a probe is to be sent on a tunnel if nothing is heard before.
    pub fn due(&self, tunnel: &ProbedTunnel, interval: Duration) -> Option<Moment> {
        if tunnel.untold {
            return Some(after(tunnel.sent_at, ANSWER_INTERVAL_MIN));
        }
        if tunnel.kept {
            return Some(after(tunnel.sent_at, interval).max(self.led_until(interval)));
        }
        let heard_at = tunnel.heard_at?;
        let due = after(self.sent_at, interval * 5 / 4).max(heard_at);
        (due < heard_at + ANSWERED_FOR).then_some(due)
    }

    /// Something is new that the peer is to be told at once, if probes cross this tunnel.
    pub fn news(&self, tunnel: &mut ProbedTunnel, interval: Duration, now: Moment) {
        tunnel.untold |= if tunnel.kept {
            self.led_until(interval) <= now
        } else {
            is_within(tunnel.heard_at, interval * 2, now)
        };
    }

    /// Until when the peer's tunnel is the one to use.
    fn led_until(&self, interval: Duration) -> Moment {
        if self.leads { Moment::default() } else { after(self.led_at, interval * 3 / 2) }
    }

    /// Whether a probe that has come over a tunnel counts: not one that a later one has overtaken, nor one of too many.
    pub fn admits(&self, tunnel: &mut ProbedTunnel, probe: &Probe, now: Moment) -> bool {
        let (left, since) = tunnel.allowed;
        let left = (left + now.since(since).as_secs_f32() * PROBES_PER_SECOND_MAX).min(PROBES_BURST);
        let admits = left >= 1.0 && probe.seq > tunnel.newest;
        tunnel.allowed = (if admits { left - 1.0 } else { left }, now);
        if admits {
            tunnel.newest = probe.seq;
        }
        admits
    }

    /// A probe has come over a tunnel, and counts; whether it is to be answered at once.
    pub fn heard(&mut self, tunnel: &mut ProbedTunnel, probe: &Probe, now: Moment) -> bool {
        self.heard = probe.seq;
        tunnel.heard_at = Some(now);
        if tunnel.kept {
            if probe.at_once {
                self.measured_at = Some(now);
            }
            let obeys = probe.wanted && !is_within(self.obeyed_at, OBEYED_INTERVAL_MIN, now);
            self.obeyed_at = if obeys { Some(now) } else { self.obeyed_at };
            return obeys;
        }
        self.led_at = Some(now);
        // An answer is not answered.
        !probe.at_once && !is_within(tunnel.sent_at, ANSWER_INTERVAL_MIN, now)
    }

    /// The probe to send over a tunnel now, of one that hears. `follows` is whether this node wants to know how far the peer is.
    pub fn next(
        &mut self,
        tunnel: &mut ProbedTunnel,
        (at_once, follows): (bool, bool),
        report: Report,
        now: Moment,
    ) -> Probe {
        self.seq += 1;
        self.sent_at = Some(now);
        tunnel.untold = false;
        // What the peer wants at once comes on top of what is due.
        if !(tunnel.kept && at_once) {
            tunnel.sent_at = Some(now);
        }
        let wanted = !tunnel.kept && follows && !is_within(self.measured_at, WANTED_INTERVAL, now);
        if wanted {
            self.measured_at = Some(now);
        }
        Probe { seq: self.seq, heard: self.heard, at_once, wanted, deaf: false, report }
    }
}

/// So long after something that may never have been.
fn after(at: Option<Moment>, wait: Duration) -> Moment {
    at.map_or(Moment::default(), |at| at + wait)
}

fn is_within(at: Option<Moment>, time: Duration, now: Moment) -> bool {
    at.is_some_and(|at| now.since(at) < time)
}

/// How often whoever does not lead measures a round trip.
const WANTED_INTERVAL: Duration = Duration::from_secs(1);
/// A peer that wants answers at once more often does not get them.
const OBEYED_INTERVAL_MIN: Duration = Duration::from_millis(500);
/// A peer that probes more often is not answered each time.
const ANSWER_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// Probes that count, of one tunnel: five times as many as are sent.
const PROBES_PER_SECOND_MAX: f32 = 60.0;
const PROBES_BURST: f32 = 32.0;
/// For how long a tunnel is answered on after it was last heard.
const ANSWERED_FOR: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
