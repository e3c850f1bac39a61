//! Whom does a connection wake?

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Wakes who drives a connection now: once, and nobody while nobody waits.
///
/// A connection goes from request to request, and with each from task to task. Its parts know this bell only, so they
/// need not learn who is next; and what the task itself does to them does not wake it again.
#[derive(Debug, Default)]
pub(super) struct Bell {
    waits: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Wakes `waker` the next time it is rung.
    pub(super) fn ring_for(&self, waker: &Waker) {
        let mut known = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        self.waits.store(true, Ordering::Release);
    }

    /// Wakes nobody until [`ring_for`](Self::ring_for).
    pub(super) fn mute(&self) {
        self.waits.store(false, Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.waits.swap(false, Ordering::AcqRel) {
            let known = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            known.as_ref().inspect(|waker| waker.wake_by_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn rings_once_for_who_waits_and_not_for_who_waited_before() {
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(Arc::clone(&bell));
        let ((first, first_waker), (second, second_waker)) = (counted(), counted());
        waker.wake_by_ref();
        bell.ring_for(&first_waker);
        bell.ring_for(&second_waker);
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
        bell.ring_for(&first_waker);
        waker.wake();
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn a_muted_bell_wakes_nobody() {
        let bell = Arc::<Bell>::default();
        let (count, waker) = counted();
        bell.ring_for(&waker);
        bell.mute();
        Waker::from(Arc::clone(&bell)).wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }
}
