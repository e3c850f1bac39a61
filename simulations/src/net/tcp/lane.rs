//! What travels in one direction of a connection, and what waits there to be sent again.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use graticule_node_core::Moment;

use super::EndId;

/// What one end says to the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// The client asks for a connection.
    Syn,
    /// The server has it.
    SynAck,
    /// Bytes of the stream.
    Data(Bytes),
    /// So many bytes more may be sent.
    Credit(usize),
    /// No more bytes will come.
    Fin,
    /// There is no such connection, or not any longer.
    Reset,
}

impl Segment {
    /// How many bytes of the stream it carries.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Data(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// A segment on its way.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(super) sender: EndId,
    pub(super) sequence: u64,
    pub(super) segment: Segment,
}

/// The time has come to send again what this end holds back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retransmission(pub(super) EndId);

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Lane {
    numbered: u64,
    last_arrival: Moment,
    held: BTreeMap<u64, Segment>,
    timer_runs: bool,
    attempts: u32,
}

impl Lane {
    /// The sequence number of the next new segment.
    pub(super) fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Whether an earlier segment is held back, so that this one must be too.
    pub(super) fn must_hold(&self, sequence: u64) -> bool {
        self.held.first_key_value().is_some_and(|(first, _)| *first < sequence)
    }

    /// When a segment gets through that would arrive at `moment`: none overtakes another.
    pub(super) fn in_order(&mut self, moment: Moment) -> Moment {
        self.last_arrival = self.last_arrival.max(moment);
        self.last_arrival
    }

    /// Holds a segment back. If no timer runs yet, one must be started with the pause that is returned.
    pub(super) fn hold(
        &mut self,
        sequence: u64,
        segment: Segment,
        first_pause: Duration,
    ) -> Option<Duration> {
        self.held.insert(sequence, segment);
        let started = !mem::replace(&mut self.timer_runs, true);
        let doubled = first_pause.saturating_mul(2u32.saturating_pow(self.attempts));
        started.then_some(doubled.min(PAUSE_MAX))
    }

    /// The timer has run out: everything that was held back, in order; nothing if there were too many attempts.
    pub(super) fn release(&mut self) -> Option<BTreeMap<u64, Segment>> {
        self.timer_runs = false;
        if self.held.is_empty() {
            return Some(BTreeMap::new());
        }
        self.attempts += 1;
        (self.attempts <= ATTEMPTS_MAX).then(|| mem::take(&mut self.held))
    }

    /// Something got through.
    pub(super) fn progress(&mut self) {
        self.attempts = 0;
    }

    /// Forgets what is held back.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_mins(2);
/// How often something is sent again before the connection is given up; as on Linux.
const ATTEMPTS_MAX: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(200);

    #[test]
    fn pauses_double_up_to_two_minutes_and_progress_begins_again() {
        let mut lane = Lane::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            pauses.push(lane.hold(1, Segment::Fin, PAUSE).unwrap());
            lane.release().unwrap();
        }
        assert_eq!(pauses[..3], [PAUSE, PAUSE * 2, PAUSE * 4]);
        assert_eq!(pauses[10..], [Duration::from_mins(2); 2]);
        lane.progress();
        assert_eq!(lane.hold(1, Segment::Fin, PAUSE), Some(PAUSE));
    }

    #[test]
    fn one_timer_serves_all_that_is_held_and_releases_it_in_order() {
        let mut lane = Lane::default();
        assert_eq!(lane.hold(2, Segment::Fin, PAUSE), Some(PAUSE));
        assert_eq!(lane.hold(1, Segment::Credit(1), PAUSE), None);
        assert!(lane.must_hold(3) && !lane.must_hold(1));
        let released: Vec<_> = lane.release().unwrap().into_keys().collect();
        assert_eq!(released, [1, 2]);
        assert!(!lane.must_hold(3));
    }

    #[test]
    fn attempts_end() {
        let mut lane = Lane::default();
        for _ in 0..15 {
            lane.hold(1, Segment::Syn, PAUSE);
            assert!(lane.release().is_some());
        }
        lane.hold(1, Segment::Syn, PAUSE);
        assert_eq!(lane.release(), None);
    }

    #[test]
    fn a_timer_without_anything_to_send_counts_for_nothing() {
        let mut lane = Lane::default();
        for _ in 0..20 {
            lane.hold(1, Segment::Fin, PAUSE);
            lane.clear();
            assert_eq!(lane.release(), Some(BTreeMap::new()));
        }
    }

    #[test]
    fn nothing_overtakes() {
        let mut lane = Lane::default();
        let first = lane.in_order(Moment::from_millis(9));
        assert_eq!(lane.in_order(Moment::from_millis(5)), first);
        assert_eq!(lane.in_order(Moment::from_millis(11)), Moment::from_millis(11));
    }
}
