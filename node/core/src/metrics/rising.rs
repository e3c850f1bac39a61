//! What do counters come to under labels that move between their sources? They only rise.

use std::collections::BTreeMap;

/// `N` counters of each source, added up by label. What a source counted before it came under a label stays with the label
/// that it was under.
#[derive(Debug)]
pub struct Rising<S, L, const N: usize> {
    /// What each source had when it was looked at last; only sources that have counted something.
    seen: BTreeMap<S, [u64; N]>,
    told: BTreeMap<L, [u64; N]>,
}

impl<S: Ord, L: Ord, const N: usize> Default for Rising<S, L, N> {
    fn default() -> Self {
        Self { seen: BTreeMap::new(), told: BTreeMap::new() }
    }
}

impl<S: Ord, L: Ord, const N: usize> Rising<S, L, N> {
    /// Takes what every source has now, with its label. A label that no source has is forgotten, unless it `stays`. A counter
    /// that fell has begun again at zero.
    pub fn collect(&mut self, now: impl Iterator<Item = (S, L, [u64; N])>, stays: impl Fn(&L) -> bool) {
        let before = std::mem::take(&mut self.seen);
        let mut known = std::mem::take(&mut self.told);
        for (source, label, counts) in now {
            let old = known.remove(&label).unwrap_or([0; N]);
            let told = self.told.entry(label).or_insert(old);
            let was = before.get(&source).unwrap_or(&[0; N]);
            for ((told, now), was) in told.iter_mut().zip(counts).zip(was) {
                *told += now.checked_sub(*was).unwrap_or(now);
            }
            if counts != [0; N] {
                self.seen.insert(source, counts);
            }
        }
        self.told.extend(known.into_iter().filter(|(label, _)| stays(label)));
    }

    /// Every label with its counters.
    pub fn told(&self) -> impl Iterator<Item = (&L, &[u64; N])> {
        self.told.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Labels = Rising<u8, &'static str, 1>;

    fn collect(rising: &mut Labels, now: &[(u8, &'static str, u64)]) -> Vec<(&'static str, u64)> {
        rising.collect(now.iter().map(|(source, label, count)| (*source, *label, [*count])), |label| {
            *label == "rest"
        });
        rising.told().map(|(label, [count])| (*label, *count)).collect()
    }

    #[test]
    fn what_was_counted_under_one_label_stays_there_when_its_source_moves() {
        let mut rising = Labels::default();
        assert_eq!(collect(&mut rising, &[(1, "rest", 5), (2, "rest", 1)]), [("rest", 6)]);
        assert_eq!(collect(&mut rising, &[(1, "a", 7), (2, "rest", 1)]), [("a", 2), ("rest", 6)]);
        assert_eq!(collect(&mut rising, &[(1, "rest", 8), (2, "b", 3)]), [("b", 2), ("rest", 7)]);
    }

    #[test]
    fn a_source_that_begins_again_lets_no_counter_fall_and_a_label_without_sources_is_forgotten() {
        let mut rising = Labels::default();
        assert_eq!(collect(&mut rising, &[(1, "a", 5), (2, "rest", 1)]), [("a", 5), ("rest", 1)]);
        assert_eq!(collect(&mut rising, &[(1, "a", 0)]), [("a", 5), ("rest", 1)]);
        assert_eq!(collect(&mut rising, &[(1, "a", 2)]), [("a", 7), ("rest", 1)]);
        assert_eq!(collect(&mut rising, &[]), [("rest", 1)]);
    }

    proptest! {
        #[test]
        fn the_rest_never_falls_and_nothing_is_lost_while_labels_stay(
            rounds in prop::collection::vec(prop::collection::vec((any::<bool>(), 0u64..9), 4), 1..20),
        ) {
            let mut rising = Labels::default();
            let (mut counts, mut told) = ([0; 5], BTreeMap::new());
            for round in rounds {
                // A source without a label of its own keeps `own` in use.
                let mut now = vec![(4, "own", 0)];
                for (source, (is_own, more)) in (0_u8..).zip(round) {
                    counts[usize::from(source)] += more;
                    let label = if is_own { "own" } else { "rest" };
                    now.push((source, label, counts[usize::from(source)]));
                }
                let seen = BTreeMap::from_iter(collect(&mut rising, &now));
                prop_assert_eq!(seen.values().sum::<u64>(), counts.iter().sum::<u64>());
                prop_assert!(told.iter().all(|(label, count)| seen[label] >= *count), "{told:?}, {seen:?}");
                told = seen;
            }
        }
    }
}
