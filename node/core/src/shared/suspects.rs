//! Which peers left a worker's sending unanswered, and since when.

use super::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::Moment;
use crate::mesh::PeerId;

/// A slot for each peer: marked by workers, taken by the control runtime.
#[derive(Debug)]
pub struct Suspects {
    /// By [`PeerId`]: microseconds of the sending, plus one; 0 for none.
    slots: Box<[AtomicU64]>,
    /// Whether a slot may have been marked since the last taking.
    marked: AtomicBool,
}

impl Suspects {
    /// Slots for peers with numbers below `peers`.
    pub fn new(peers: usize) -> Self {
        Self { slots: (0..peers).map(|_| AtomicU64::new(NONE)).collect(), marked: AtomicBool::new(false) }
    }

    /// Says that what was sent to `peer` at `sent` has not been answered; of several sendings the latest stays. `false`
    /// if there is no slot for the peer, and nothing was noted.
    pub fn mark(&self, peer: PeerId, sent: Moment) -> bool {
        let Some(slot) = self.slots.get(peer.0 as usize) else { return false };
        slot.fetch_max(sent.as_micros().saturating_add(1), Ordering::AcqRel);
        // After the slot, so that whoever sees the flag finds the slot. A swap and not a store: a store would hide the flag
        // of another worker, and with it that worker's slot, from a taker who then clears both.
        self.marked.swap(true, Ordering::AcqRel);
        true
    }

    /// Takes what has been marked since the last taking, by number: each mark is given once, and none is lost. Costs one
    /// read while nothing is marked. Only one thread takes.
    pub fn take(&self) -> impl Iterator<Item = (PeerId, Moment)> {
        let slots = if self.marked.swap(false, Ordering::AcqRel) { &self.slots[..] } else { &[] };
        slots.iter().enumerate().filter_map(|(peer, slot)| match slot.load(Ordering::Relaxed) {
            NONE => None,
            _ => match slot.swap(NONE, Ordering::AcqRel) {
                NONE => None,
                stamp => Some((PeerId(peer as u32), Moment::from_micros(stamp - 1))),
            },
        })
    }
}

const NONE: u64 = 0;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(micros: u64) -> Moment {
        Moment::from_micros(micros)
    }

    #[test]
    fn the_latest_sending_stays_and_is_taken_once() {
        let suspects = Suspects::new(3);
        assert!(suspects.mark(PeerId(1), at(7)));
        assert!(suspects.mark(PeerId(1), at(5)));
        assert!(suspects.mark(PeerId(2), at(0)));
        assert_eq!(suspects.take().collect::<Vec<_>>(), [(PeerId(1), at(7)), (PeerId(2), at(0))]);
        assert_eq!(suspects.take().count(), 0);
    }

    #[test]
    fn a_peer_without_a_slot_is_not_noted() {
        let suspects = Suspects::new(3);
        assert!(!suspects.mark(PeerId(3), at(7)));
        assert!(!suspects.mark(PeerId(u32::MAX), at(7)));
        assert_eq!(suspects.take().count(), 0);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_the_latest_of_what_was_marked(
            marks in prop::collection::vec((0u32..5, any::<u32>()), 0..50), taken_at in any::<prop::sample::Index>(),
        ) {
            let suspects = Suspects::new(5);
            let split = if marks.is_empty() { 0 } else { taken_at.index(marks.len()) };
            for part in [&marks[..split], &marks[split..]] {
                let mut latest = BTreeMap::new();
                for (peer, micros) in part {
                    suspects.mark(PeerId(*peer), at(u64::from(*micros)));
                    let slot = latest.entry(PeerId(*peer)).or_insert(at(0));
                    *slot = (*slot).max(at(u64::from(*micros)));
                }
                prop_assert_eq!(suspects.take().collect::<BTreeMap<_, _>>(), latest);
            }
        }
    }
}
