//! Which backend of a region's pool: asked by the node that serves.

use std::net::SocketAddr;

use super::two_choices;

/// One of the tenant's healthy backends here: the one with fewer requests in flight of two drawn by chance.
///
/// `candidates` are the healthy ones without those that have failed this request. `chance` is uniform over all values.
/// `None` if there are no candidates.
pub fn choose(
    candidates: &[SocketAddr],
    in_flight: impl Fn(SocketAddr) -> u32,
    chance: u32,
) -> Option<SocketAddr> {
    two_choices::pick(candidates.iter().copied(), in_flight, chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backends(count: u16) -> Vec<SocketAddr> {
        (0..count).map(|at| SocketAddr::from(([10, 0, 0, 1], 8_000 + at))).collect()
    }

    #[test]
    fn an_empty_pool_has_no_backend() {
        assert_eq!(choose(&[], |_| 0, 5), None);
    }

    proptest! {
        #[test]
        fn of_two_the_idle_one_is_chosen(busy in 1u32..1_000, chance: u32, idle in 0usize..2) {
            let pool = backends(2);
            let chosen = choose(&pool, |backend| if backend == pool[idle] { 0 } else { busy }, chance);
            prop_assert_eq!(chosen, Some(pool[idle]));
        }

        #[test]
        fn the_choice_is_from_the_pool(count in 1u16..1_024, chance: u32) {
            let pool = backends(count);
            prop_assert!(choose(&pool, |_| 0, chance).is_some_and(|chosen| pool.contains(&chosen)));
        }
    }
}
