//! Drawing members of a pool by their weights: by chance, and evenly in turn.

/// Members that can be drawn, each as often as its weight says. Equal weights cost nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lots {
    members: Box<[u16]>,
    /// For each member the sum of the weights up to and with its own; empty if all weigh the same.
    sums: Box<[u32]>,
}

impl Lots {
    /// These members with their weights, which are at least 1.
    pub(super) fn new(weighted: impl Iterator<Item = (u16, u32)> + Clone) -> Self {
        let members = weighted.clone().map(|(member, _)| member).collect();
        let first = weighted.clone().next().map(|(_, weight)| weight);
        let equal = weighted.clone().all(|(_, weight)| Some(weight) == first);
        let mut sum = 0u32;
        let running = weighted.map(|(_, weight)| {
            sum = sum.saturating_add(weight.max(1));
            sum
        });
        Self { members, sums: if equal { Box::default() } else { running.collect() } }
    }

    /// The members.
    pub(super) fn members(&self) -> &[u16] {
        &self.members
    }

    /// One member, as `chance` wants it, which is uniform over all values.
    pub(super) fn draw(&self, chance: u32) -> Option<usize> {
        let at = self.position(scale(chance, self.total()).0, None)?;
        self.member(at)
    }

    /// Two different members; the same twice if there is only one.
    pub(super) fn draw_two(&self, chance: u32) -> Option<(usize, usize)> {
        let (ticket, rest) = scale(chance, self.total());
        let first = self.position(ticket, None)?;
        let others = self.total() - self.weight(first);
        let second = self.position(scale(rest, others).0, Some(first)).unwrap_or(first);
        Some((self.member(first)?, self.member(second)?))
    }

    /// The member of that turn: one after the other, whatever they weigh.
    pub(super) fn in_turn(&self, turn: u32) -> Option<usize> {
        self.member((turn as usize).checked_rem(self.members.len())?)
    }

    /// The member of that turn, so that each has its weight's part of any number of turns, as evenly as can be.
    pub(super) fn in_weighted_turn(&self, turn: u32) -> Option<usize> {
        if self.sums.is_empty() {
            return self.in_turn(turn);
        }
        // Multiples of the golden ratio fall into every interval as often as its length says (Weyl), without lumps.
        self.draw(turn.wrapping_mul(GOLDEN))
    }

    fn total(&self) -> u32 {
        self.sums.last().copied().unwrap_or(self.members.len() as u32)
    }

    fn weight(&self, at: usize) -> u32 {
        let sum = |at: usize| self.sums.get(at).copied();
        sum(at).map_or(1, |upto| upto - at.checked_sub(1).and_then(sum).unwrap_or(0))
    }

    /// Where a ticket below the total falls; with `without`, a ticket below the total without that one's weight.
    fn position(&self, ticket: u32, without: Option<usize>) -> Option<usize> {
        let skipped = without.map_or(0, |at| self.weight(at));
        let total = self.total() - skipped;
        if ticket >= total {
            return None;
        }
        let before =
            without.map_or(total, |at| if self.sums.is_empty() { at as u32 } else { self.before(at) });
        let ticket = if ticket >= before { ticket + skipped } else { ticket };
        Some(if self.sums.is_empty() {
            ticket as usize
        } else {
            self.sums.partition_point(|sum| *sum <= ticket)
        })
    }

    fn before(&self, at: usize) -> u32 {
        at.checked_sub(1).and_then(|at| self.sums.get(at).copied()).unwrap_or(0)
    }

    fn member(&self, at: usize) -> Option<usize> {
        self.members.get(at).map(|member| usize::from(*member))
    }
}

/// A number below `count`, and what is left of the chance: uniform again, for the next draw.
pub(super) fn scale(chance: u32, count: u32) -> (u32, u32) {
    let product = u64::from(chance) * u64::from(count);
    ((product >> 32) as u32, product as u32)
}

/// Another chance from one, for a decision that must not depend on what the first decided.
pub(super) fn another(chance: u32) -> u32 {
    let mixed = (chance ^ chance >> 16).wrapping_mul(0x7feb_352d);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x846c_a68b);
    mixed ^ mixed >> 16
}

/// 2^32 divided by the golden ratio.
const GOLDEN: u32 = 0x9e37_79b9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lots(weights: &[u32]) -> Lots {
        Lots::new(weights.iter().enumerate().map(|(at, weight)| (at as u16, *weight)))
    }

    fn chances(draws: u32) -> impl Iterator<Item = u32> {
        (0..draws).map(move |at| (u64::from(at) * (1 << 32) / u64::from(draws)) as u32)
    }

    #[test]
    fn of_none_there_is_none_and_of_one_that_one() {
        assert_eq!((lots(&[]).draw(7), lots(&[]).draw_two(7), lots(&[]).in_turn(7)), (None, None, None));
        assert_eq!(lots(&[]).in_weighted_turn(7), None);
        for chance in [0, 1, u32::MAX] {
            assert_eq!((lots(&[3]).draw(chance), lots(&[3]).draw_two(chance)), (Some(0), Some((0, 0))));
        }
    }

    #[test]
    fn turns_of_equal_members_go_round() {
        let turns: Vec<_> = (0..6).filter_map(|turn| lots(&[2, 2, 2]).in_turn(turn)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    }

    proptest! {
        #[test]
        fn draws_follow_the_weights(weights in prop::collection::vec(1u32..50, 1..12)) {
            let (lots, draws) = (lots(&weights), 20_000u32);
            let total: u32 = weights.iter().sum();
            let mut drawn = vec![0u32; weights.len()];
            chances(draws).for_each(|chance| drawn[lots.draw(chance).unwrap()] += 1);
            for (drawn, weight) in drawn.iter().zip(&weights) {
                let expected = f64::from(draws) * f64::from(*weight) / f64::from(total);
                prop_assert!((f64::from(*drawn) - expected).abs() <= 1.0);
            }
        }

        #[test]
        fn two_draws_differ_and_the_first_follows_the_weights(
            weights in prop::collection::vec(1u32..50, 2..12), chance: u32,
        ) {
            let lots = lots(&weights);
            let (first, second) = lots.draw_two(chance).unwrap();
            prop_assert_ne!(first, second);
            prop_assert!(second < weights.len());
            prop_assert_eq!(Some(first), lots.draw(chance));
        }

        #[test]
        fn every_stretch_of_weighted_turns_has_about_the_weights_parts(
            weights in prop::collection::vec(1u32..20, 2..8), from: u32,
        ) {
            let (lots, turns) = (lots(&weights), 1_000u32);
            let total: u32 = weights.iter().sum();
            let mut got = vec![0i64; weights.len()];
            (0..turns).for_each(|turn| got[lots.in_weighted_turn(from.wrapping_add(turn)).unwrap()] += 1);
            for (got, weight) in got.iter().zip(&weights) {
                let expected = i64::from(turns * weight / total);
                prop_assert!((got - expected).abs() <= 12, "{got} instead of {expected}");
            }
        }
    }
}
