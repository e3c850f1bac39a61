//! How long may a backend take to begin its answer?

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

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

/// The output of `answer`, or `None` if the backend let `limit` pass since it was its turn.
pub(super) async fn within<F: Future>(
    limit: Duration,
    progress: Option<Rc<Progress>>,
    answer: F,
) -> Option<F::Output> {
    let mut answer = pin!(answer);
    let mut alarm = pin!(tokio::time::sleep(limit));
    poll_fn(|cx| {
        if let Poll::Ready(output) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        while alarm.as_mut().poll(cx).is_ready() {
            let deadline = progress.as_ref().map(|progress| progress.deadline(limit));
            match deadline.filter(|deadline| *deadline > Instant::now()) {
                Some(later) => alarm.as_mut().reset(later),
                None => return Poll::Ready(None),
            }
        }
        Poll::Pending
    })
    .await
}
