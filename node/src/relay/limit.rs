//! How long may something take that is most often there at once?

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

pin_project! {
    /// See [`within`].
    pub(super) struct Within<F> {
        #[pin]
        future: F,
        limit: Duration,
        // Made when there is something to wait for.
        alarm: Option<Pin<Box<Sleep>>>,
    }
}

/// The output of `future`, or `None` if it takes longer than `limit`. Costs no timer if there is no need to wait.
pub(super) fn within<F: Future>(limit: Duration, future: F) -> Within<F> {
    Within { future, limit, alarm: None }
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        let limit = *this.limit;
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep(limit)));
        alarm.as_mut().poll(cx).map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_is_passed_on() {
        let begun = Instant::now();
        assert_eq!(within(Duration::ZERO, ready(7)).await, Some(7));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let late = async {
            sleep(LIMIT * 9 / 10).await;
            7
        };
        assert_eq!(within(LIMIT, late).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_is_waited_for_no_longer() {
        let begun = Instant::now();
        assert_eq!(within(LIMIT, pending::<u8>()).await, None);
        assert!(
            (LIMIT..LIMIT + Duration::from_millis(5)).contains(&begun.elapsed()),
            "{:?}",
            begun.elapsed()
        );
    }
}
