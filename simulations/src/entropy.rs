//! Where do libraries draw from that ask the system for randomness: from the seed, on threads of simulations.
//!
//! The standard library's hash maps, `rand`'s thread generator and the runtime's `select!` all begin with
//! `getrandom(2)`. A simulation must decide that too, so this program has a `getrandom` of its own, which its build
//! script makes the dynamic linker find first. On every other thread it reads the system's. It is the one place with
//! `unsafe` in the repository, and only the simulator has it: the node is linked without this crate.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

thread_local! {
    static STREAM: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// From now on all that this thread draws from the system comes from `seed`.
///
/// To be called before the thread draws anything: what was drawn is remembered, for one, by hash maps.
pub(crate) fn decide(seed: u64) {
    // Names the function, so that no linker leaves it out.
    let own: extern "C" fn(*mut u8, usize, u32) -> isize = getrandom;
    std::hint::black_box(own);
    STREAM.with_borrow_mut(|stream| *stream = Some(SmallRng::seed_from_u64(seed)));
}

/// Fills `buffer` from this thread's stream, if it has one, or from the system. Whether that was possible.
fn fill(buffer: &mut [u8]) -> bool {
    let decided = STREAM.try_with(|stream| {
        stream
            .try_borrow_mut()
            .ok()
            .and_then(|mut stream| stream.as_mut().map(|stream| stream.fill_bytes(buffer)))
    });
    if matches!(decided, Ok(Some(()))) {
        return true;
    }
    File::open("/dev/urandom").and_then(|mut system| system.read_exact(buffer)).is_ok()
}

/// `getrandom(2)` as the C library declares it, for all code of this process.
#[expect(unsafe_code, reason = "interposing a function of the C library cannot be said otherwise")]
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, bytes: usize, _flags: u32) -> isize {
    let Ok(filled) = isize::try_from(bytes) else { return -1 };
    if buffer.is_null() {
        return -1;
    }
    // SAFETY: callers of getrandom(2) pass a buffer of so many bytes, which is theirs to be written.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, bytes) };
    if fill(buffer) { filled } else { -1 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    /// The order of a hash set, and a number of the thread's generator, on a new thread.
    fn drawn(seed: Option<u64>) -> (Vec<u32>, u64) {
        let draw = move || {
            if let Some(seed) = seed {
                decide(seed);
            }
            ((0..64).collect::<HashSet<u32>>().into_iter().collect(), rand::rng().next_u64())
        };
        thread::spawn(draw).join().unwrap()
    }

    #[test]
    fn a_seed_decides_what_its_thread_draws_from_the_system() {
        assert_eq!(drawn(Some(7)), drawn(Some(7)));
        assert_ne!(drawn(Some(7)).0, drawn(Some(8)).0);
        assert_ne!(drawn(Some(7)).1, drawn(Some(8)).1);
    }

    #[test]
    fn other_threads_draw_from_the_system() {
        assert_ne!(drawn(None).0, drawn(None).0);
        assert_ne!(drawn(None).1, drawn(None).1);
    }
}
