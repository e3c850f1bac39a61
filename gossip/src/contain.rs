//! What becomes of a panic inside a library: an error, and the node goes on.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Something panicked; what it worked on may be half-done and should be thrown away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Calls `call`.
pub(crate) fn contain<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

/// Awaits `future`.
pub(crate) async fn contain_future<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|cx| match contain(|| future.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_call_is_an_error() {
        assert_eq!(contain(|| 7), Ok(7));
        assert_eq!(contain(|| -> u8 { panic!("on purpose") }), Err(Panicked));
    }

    #[tokio::test]
    async fn a_panic_after_an_await_is_an_error() {
        let later = async |fails: bool| {
            tokio::task::yield_now().await;
            assert!(!fails, "on purpose");
            7
        };
        assert_eq!(contain_future(later(false)).await, Ok(7));
        assert_eq!(contain_future(later(true)).await, Err(Panicked));
    }
}
