//! Who is to act while a request's body is sent, and how long may a backend take to begin its answer?

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::running::Running;
use crate::task::End;

/// Who is to act next while a request's body is sent, as its connection and its timeout see it.
pub(super) struct Progress {
    turn: Cell<Turn>,
    has_ended: Cell<bool>,
    /// Where it is to be sent, until that has begun.
    connection: Cell<Weak<Running>>,
    /// What sends it there, if it did not go at once.
    sender: Cell<Option<End>>,
}

/// A connection's hold on a body; dropped when it wants no more of it.
#[derive(Debug)]
pub(super) struct Sending(pub(super) Rc<Progress>);

/// A request's hold on what it sends: nothing of it is sent once this is dropped.
#[derive(Debug)]
pub(super) struct Wanted(Option<Rc<Progress>>);

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// The client has not sent the next piece of the body.
    Client,
    /// The backend has all that there is since then.
    Backend(Instant),
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl Progress {
    /// A body of which nothing was asked for yet.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            turn: Cell::new(Turn::Backend(Instant::now())),
            has_ended: Cell::default(),
            connection: Cell::default(),
            sender: Cell::default(),
        })
    }

    /// The connection has room for more of the body, and there is none yet.
    pub(super) fn awaits_client(&self) {
        self.turn.set(Turn::Client);
    }

    /// The connection took a piece of the body, or its end.
    pub(super) fn awaits_backend(&self) {
        self.turn.set(Turn::Backend(Instant::now()));
    }

    /// It is about to be sent on a shared connection.
    pub(super) fn set_connection(&self, connection: &Rc<Running>) {
        self.awaits_backend();
        self.connection.set(Rc::downgrade(connection));
    }

    /// What sends the rest of it.
    pub(super) fn set_sender(&self, sender: End) {
        self.sender.set(Some(sender));
    }

    /// Whether nobody sends it any more: it has gone, or its stream has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    /// Whether the backend is to take the next of it.
    pub(super) fn waits_for_backend(&self) -> bool {
        matches!(self.turn.get(), Turn::Backend(_)) && !self.has_ended()
    }

    /// Whether the backend has not taken the next of it for longer than it takes to say so.
    pub(super) fn is_blocked(&self) -> bool {
        match self.turn.get() {
            Turn::Client => false,
            Turn::Backend(since) => !self.has_ended() && since.elapsed() > BLOCKED_AFTER,
        }
    }

    fn deadline(&self, limit: Duration) -> Instant {
        match self.turn.get() {
            Turn::Client => Instant::now() + limit,
            Turn::Backend(since) => since + limit,
        }
    }
}

impl Sending {
    /// More of it is asked for.
    pub(super) fn ask(&self) {
        if let Some(connection) = self.0.connection.take().upgrade() {
            connection.begin(Rc::clone(&self.0));
        }
        self.0.awaits_client();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.has_ended.set(true);
    }
}

impl Wanted {
    /// A request's body, if it has one.
    pub(super) fn new(body: Option<Rc<Progress>>) -> Self {
        Self(body)
    }
}

impl Drop for Wanted {
    /// The library waits for ever for a backend that does not take a stream's bytes, and so would the backend for them.
    fn drop(&mut self) {
        let sender = self.0.as_ref().and_then(|body| body.sender.take());
        sender.into_iter().for_each(End::now);
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

/// After this a body that the backend does not take is taken to fill its connection: longer than a round trip to a backend
/// of this region, and than it rests to do something else first.
const BLOCKED_AFTER: Duration = Duration::from_millis(50);
