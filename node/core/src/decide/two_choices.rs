//! Which of several equal places: the less busy of two drawn by chance.

/// Draws two different items and takes the one with less to do, the first of them if both have as much.
///
/// The power of two choices: close to always taking the least busy, without everybody running to it at once.
/// `chance` is uniform over all values. `None` if there is no item.
pub(super) fn pick<T: Copy>(
    items: impl Iterator<Item = T> + Clone,
    busy: impl Fn(T) -> u32,
    chance: u32,
) -> Option<T> {
    let count = items.clone().count();
    let (one, other) = draw(count, chance)?;
    let mut drawn = items.enumerate().filter(|(at, _)| *at == one || *at == other).map(|(_, item)| item);
    let (a, b) = (drawn.next()?, drawn.next());
    let Some(b) = b else { return Some(a) };
    let (first, second) = if one < other { (a, b) } else { (b, a) };
    Some(if busy(second) < busy(first) { second } else { first })
}

/// Two different positions among `count`, in the order drawn; the same twice if there is only one.
fn draw(count: usize, chance: u32) -> Option<(usize, usize)> {
    let (one, rest) = scale(chance, count)?;
    let Some((step, _)) = scale(rest, count - 1) else { return Some((one, one)) };
    Some((one, (one + 1 + step) % count))
}

/// A position below `count`, and what is left of the chance: uniform again, for the next draw.
fn scale(chance: u32, count: usize) -> Option<(usize, u32)> {
    let product = u64::from(chance) * u64::from(u32::try_from(count).ok()?);
    (count > 0).then_some(((product >> 32) as usize, product as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn two_draws_are_positions_and_differ(count in 2usize..2_000, chance: u32) {
            let (one, other) = draw(count, chance).unwrap();
            prop_assert!(one < count && other < count);
            prop_assert_ne!(one, other);
        }

        #[test]
        fn the_busiest_of_all_is_never_picked(busy in proptest::collection::vec(0u32..100, 2..20), chance: u32) {
            let most = busy.iter().copied().max().unwrap();
            prop_assume!(busy.iter().filter(|busy| **busy == most).count() == 1);
            let picked = pick(0..busy.len(), |at| busy[at], chance).unwrap();
            prop_assert_ne!(busy[picked], most);
        }
    }

    #[test]
    fn of_none_there_is_none_and_of_one_that_one() {
        assert_eq!(pick(0..0, |_| 0, 7), None);
        for chance in [0, 1, u32::MAX / 2, u32::MAX] {
            assert_eq!(pick(4..5, |_| 9, chance), Some(4));
        }
    }

    #[test]
    fn equally_busy_items_are_picked_equally_often() {
        let mut picked = [0u32; 5];
        let draws = 100_000;
        for draw in 0..draws {
            let chance = (u64::from(draw) * (1 << 32) / u64::from(draws)) as u32;
            picked[pick(0..5, |_| 1, chance).unwrap()] += 1;
        }
        for count in picked {
            assert!(count.abs_diff(draws / 5) < draws / 500, "{picked:?}");
        }
    }

    #[test]
    fn every_pair_is_drawn() {
        let pairs: std::collections::BTreeSet<_> =
            (0..10_000u32).filter_map(|draw_at| draw(4, draw_at * (u32::MAX / 10_000))).collect();
        assert_eq!(pairs.len(), 12);
    }
}
