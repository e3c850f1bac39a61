//! How long may a backend take to begin its answer?

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

/// Who is to act next while a request's body is sent, as its connection and its timeout see it.
#[derive(Debug)]
pub(super) struct Progress {
    turn: Cell<Turn>,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// The client has not sent the next piece of the body.
    Client,
    /// The backend has all that there is since then.
    Backend(Instant),
}

impl Progress {
    /// A body of which nothing was asked for yet.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { turn: Cell::new(Turn::Backend(Instant::now())) })
    }

    /// The connection has room for more of the body, and there is none yet.
    pub(super) fn awaits_client(&self) {
        self.turn.set(Turn::Client);
    }

    /// The connection took a piece of the body, or its end.
    pub(super) fn awaits_backend(&self) {
        self.turn.set(Turn::Backend(Instant::now()));
    }

    fn deadline(&self, limit: Duration) -> Instant {
        match self.turn.get() {
            Turn::Client => Instant::now() + limit,
            Turn::Backend(since) => since + limit,
        }
    }
}

pin_project! {
    /// An answer that is waited for. Not an async block: that would hold the answer twice.
    pub(super) struct Within<F> {
        #[pin]
        answer: F,
        #[pin]
        alarm: Sleep,
        limit: Duration,
        progress: Option<Rc<Progress>>,
    }
}

/// The output of `answer`, or `None` if the backend let `limit` pass since it was its turn.
pub(super) fn within<F: Future>(limit: Duration, progress: Option<Rc<Progress>>, answer: F) -> Within<F> {
    Within { answer, alarm: tokio::time::sleep(limit), limit, progress }
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.answer.poll(cx) {
            return Poll::Ready(Some(output));
        }
        while this.alarm.as_mut().poll(cx).is_ready() {
            let deadline = this.progress.as_ref().map(|progress| progress.deadline(*this.limit));
            match deadline.filter(|deadline| *deadline > Instant::now()) {
                Some(later) => this.alarm.as_mut().reset(later),
                None => return Poll::Ready(None),
            }
        }
        Poll::Pending
    }
}
