//! Informational responses, said to a client of HTTP/1.1 before the answer to its request.
//!
//! The HTTP library cannot say them, so they are slipped in below it, where nothing of it is half sent.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BytesMut};
use http::{HeaderMap, StatusCode, Version};
use tokio::io::AsyncWrite;

/// What is to be said to one connection's client; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct EarlyWriter(Rc<State>);

#[derive(Default)]
struct State {
    /// Whether there is anything, as a flag that costs nothing to look at.
    waiting: Cell<bool>,
    /// Whether some of it has gone, so that the rest must follow before anything else.
    begun: Cell<bool>,
    bytes: RefCell<BytesMut>,
    /// Who waits for it to be gone.
    waiter: Cell<Option<Waker>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl EarlyWriter {
    /// Says it when the connection is next flushed, which the caller's task does after it was polled. Whoever speaks a
    /// version that has none does without.
    pub fn say(&self, version: Version, status: StatusCode, headers: &HeaderMap) {
        let mut bytes = self.0.bytes.borrow_mut();
        if version != Version::HTTP_11 || bytes.len() > WAITING_BYTES_MAX {
            return;
        }
        bytes.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", status.as_str(), reason(status)).as_bytes());
        for (name, value) in headers {
            bytes.extend_from_slice(name.as_ref());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        self.0.waiting.set(true);
    }

    /// Waits until all of it is gone: before that, the answer must not come.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.0.waiting.get() {
            return Poll::Ready(());
        }
        self.0.waiter.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Finishes what has begun to go.
    pub(super) fn poll_rest<S>(&self, stream: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite,
    {
        if self.0.begun.get() { self.poll_all(stream, cx) } else { Poll::Ready(Ok(())) }
    }

    /// Sends all that waits; to be called when the library has nothing to send.
    pub(super) fn poll_all<S>(&self, mut stream: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite,
    {
        if !self.0.waiting.get() {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = self.0.bytes.borrow_mut();
        while !bytes.is_empty() {
            let written = ready!(stream.as_mut().poll_write(cx, &bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.0.begun.set(true);
            bytes.advance(written);
        }
        self.0.begun.set(false);
        self.0.waiting.set(false);
        self.0.waiter.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Informational")
}

/// What may wait for a client that takes nothing.
const WAITING_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::testing::run;

    fn said(early: &EarlyWriter, value: &'static str) {
        let mut headers = HeaderMap::new();
        headers.insert("link", value.parse().unwrap());
        early.say(Version::HTTP_11, StatusCode::from_u16(103).unwrap(), &headers);
    }

    #[test]
    fn what_has_begun_to_go_goes_to_its_end_and_the_answer_waits_for_it() {
        run(async {
            let (mut client, mut server) = duplex(16);
            let early = EarlyWriter::default();
            said(&early, "</a.css>");
            let mut cx = Context::from_waker(Waker::noop());
            // There is room for a part of it.
            assert!(early.poll_all(Pin::new(&mut server), &mut cx).is_pending());
            assert!(early.poll_gone(&mut cx).is_pending());
            let expected = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
            let mut seen = vec![0; expected.len()];
            let sending = poll_fn(|cx| early.poll_rest(Pin::new(&mut server), cx));
            let gone = poll_fn(|cx| early.poll_gone(cx));
            let (sent, (), read) = tokio::join!(sending, gone, client.read_exact(&mut seen));
            assert!(sent.is_ok() && read.is_ok());
            assert_eq!(seen, expected);
        });
    }

    #[test]
    fn what_waits_does_not_go_between_the_librarys_own_pieces() {
        run(async {
            let (client, mut server) = duplex(64);
            let early = EarlyWriter::default();
            said(&early, "</a.css>");
            // The library writes: only what has begun would have to go first.
            assert!(poll_fn(|cx| early.poll_rest(Pin::new(&mut server), cx)).await.is_ok());
            drop(server);
            let mut client = client;
            let mut seen = Vec::new();
            client.read_to_end(&mut seen).await.unwrap();
            assert_eq!(seen, b"");
        });
    }

    #[test]
    fn a_version_without_them_gets_none_and_a_client_that_takes_nothing_few() {
        let early = EarlyWriter::default();
        early.say(Version::HTTP_10, StatusCode::PROCESSING, &HeaderMap::new());
        assert!(!early.0.waiting.get());
        for _ in 0..10_000 {
            said(&early, "</a.css>");
        }
        assert!(early.0.bytes.borrow().len() <= WAITING_BYTES_MAX + 1_024);
    }
}
