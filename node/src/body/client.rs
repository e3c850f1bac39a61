//! How long may a client's body rest, and why did it end early?

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use graticule_node_core::{Reason, headers};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::BodyError;
use crate::tunnel::ReadError;

/// The body of a client's request, which fails if the client sends nothing for too long while it is waited for.
#[derive(Debug)]
pub struct ClientBody {
    incoming: Incoming,
    rest_max: Duration,
    /// Bytes that may still come.
    left: u64,
    /// Made when the body is first waited for.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Whether something has come since the alarm was set.
    moved: bool,
}

/// A client sent nothing of its body for too long.
#[derive(Debug)]
struct TooSlow(Duration);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client sent nothing of its body for {} ms", self.0.as_millis())
    }
}

impl Error for TooSlow {}

/// A client's body is longer than it may be.
#[derive(Debug)]
struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client's body is longer than its tenant's limit")
    }
}

impl Error for TooLong {}

/// What to refuse a request with whose body has failed: the cause is somewhere in `error`.
pub fn fault(error: &(dyn Error + 'static)) -> Reason {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TooSlow>() {
            return Reason::RequestTimeout;
        }
        if error.is::<TooLong>() {
            return Reason::BodyTooLarge;
        }
        if matches!(error.downcast_ref(), Some(ReadError::CutOff)) {
            return Reason::BackendTimeout;
        }
        cause = error.source();
    }
    Reason::BadRequest
}

impl ClientBody {
    /// The body `incoming`, of which no piece may come later than `rest_max` after it was waited for.
    pub(super) fn new(incoming: Incoming, rest_max: Duration) -> Self {
        Self { incoming, rest_max, left: u64::MAX, alarm: None, moved: false }
    }

    /// No more than so many bytes may come from now on.
    pub(super) fn limit(&mut self, bytes_max: u64) {
        self.left = bytes_max;
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.left = self.left.checked_sub(bytes).ok_or(TooLong)?;
        Ok(without_odd_trailers(frame))
    }

    /// Whether the client has let its time pass. To be asked whenever nothing has come.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let rest_max = self.rest_max;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(rest_max)));
        if std::mem::take(&mut self.moved) {
            alarm.as_mut().reset(Instant::now() + rest_max);
        }
        alarm.as_mut().poll(cx)
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.moved = true;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into).and_then(|frame| self.count(frame))))
            }
            Poll::Pending if self.poll_alarm(cx).is_ready() => {
                Poll::Ready(Some(Err(TooSlow(self.rest_max).into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Whoever merges trailers into the head must not find there what was taken out of the head.
pub(super) fn without_odd_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        headers::strip_trailers(trailers);
    }
    frame
}
