//! Does the other end take what it is sent? A connection that ends when it does not for too long.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::Stream;

/// A connection. Writing fails once the other end has taken nothing of what waits for it for the time given.
pub struct Taking {
    stream: Stream,
    rest_max: Duration,
    /// Made when something first has to wait.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Whether something waits since the alarm was set.
    waiting: bool,
}

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taking").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Taking {
    /// `stream`, whose other end may let what is written wait for `rest_max`.
    pub fn new(stream: Stream, rest_max: Duration) -> Self {
        Self { stream, rest_max, alarm: None, waiting: false }
    }

    /// What became of a write: one that is kept waiting fails when its time is over.
    fn within<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        let rest_max = self.rest_max;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(rest_max)));
        if !std::mem::replace(&mut self.waiting, true) {
            alarm.as_mut().reset(Instant::now() + rest_max);
        }
        alarm.as_mut().poll(cx).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Taking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Taking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.within(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.within(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within(cx, closed)
    }
}
