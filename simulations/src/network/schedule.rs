//! What happens next: events in the order of their time, and of their making where times are equal.

use std::collections::BTreeMap;

use graticule_node_core::Moment;

/// Events that wait for their time.
#[derive(Debug)]
pub(crate) struct Schedule<E> {
    events: BTreeMap<(Moment, u64), E>,
    made: u64,
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self { events: BTreeMap::new(), made: 0 }
    }
}

impl<E> Schedule<E> {
    /// Lets `event` happen at `due`.
    pub(crate) fn push(&mut self, due: Moment, event: E) {
        self.made += 1;
        self.events.insert((due, self.made), event);
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// When the next event is due.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.events.keys().next().map(|(due, _)| *due)
    }

    /// Takes the next event if its time has come.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<E> {
        let next = self.events.first_entry()?;
        (next.key().0 <= now).then(|| next.remove())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_come_by_time_and_then_by_making(dues in prop::collection::vec(0u64..8, 0..64), now in 0u64..8) {
            let mut schedule = Schedule::default();
            for (made, due) in dues.iter().enumerate() {
                schedule.push(Moment::from_micros(*due), (*due, made));
            }
            let mut expected: Vec<_> = dues.iter().enumerate().map(|(made, due)| (*due, made)).collect();
            expected.sort_unstable();
            prop_assert_eq!(schedule.next_due(), expected.first().map(|(due, _)| Moment::from_micros(*due)));
            let popped: Vec<_> =
                std::iter::from_fn(|| schedule.pop_due(Moment::from_micros(now))).collect();
            expected.retain(|(due, _)| *due <= now);
            prop_assert_eq!(popped, expected);
        }
    }
}
