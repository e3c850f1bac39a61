//! Has the other end of an HTTP/2 connection said what it takes?

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::world::Stream;

/// A connection that tells when its first frame has been read: a server's settings (RFC 9113, 3.4), which the library takes
/// in without a word.
pub(super) struct Greeted {
    stream: Stream,
    greeting: Option<Greeting>,
}

/// The first frame until it is complete.
struct Greeting {
    head: [u8; HEAD_BYTES],
    seen: usize,
    tell: oneshot::Sender<()>,
}

impl fmt::Debug for Greeted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeted").finish_non_exhaustive()
    }
}

impl Greeted {
    /// `stream`, and what tells that the settings are there; it fails if the connection ends before.
    pub(super) fn listen(stream: Stream) -> (Self, oneshot::Receiver<()>) {
        let (tell, told) = oneshot::channel();
        let greeting = Greeting { head: [0; HEAD_BYTES], seen: 0, tell };
        (Self { stream, greeting: Some(greeting) }, told)
    }

    fn hear(&mut self, bytes: &[u8]) {
        if let Some(greeting) = self.greeting.take_if(|greeting| greeting.is_complete_with(bytes)) {
            // Nobody may wait any more.
            let _ = greeting.tell.send(());
        }
    }
}

impl Greeting {
    fn is_complete_with(&mut self, bytes: &[u8]) -> bool {
        let missing = self.head.iter_mut().skip(self.seen);
        missing.zip(bytes).for_each(|(head, byte)| *head = *byte);
        self.seen = self.seen.saturating_add(bytes.len());
        let [high, middle, low, ..] = self.head;
        let payload = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.seen >= HEAD_BYTES + payload
    }
}

impl AsyncRead for Greeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.greeting.is_some() {
            self.hear(&buffer.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What comes before a frame's payload; its length is said first.
const HEAD_BYTES: usize = 9;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::testing::run;

    /// Settings with one value, and the head of what follows.
    const FRAMES: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x08\0\0\0\x01\0\0\0\x04\x01\0\0\0\0";
    const SETTINGS_BYTES: usize = HEAD_BYTES + 6;

    #[test]
    fn the_settings_are_there_with_their_last_byte() {
        run(async {
            for piece in [1, 4, HEAD_BYTES, SETTINGS_BYTES - 1, SETTINGS_BYTES, FRAMES.len()] {
                let (here, mut there) = tokio::io::duplex(64);
                let (mut greeted, mut told) = Greeted::listen(Box::new(here));
                let mut read = 0;
                for bytes in FRAMES.chunks(piece) {
                    if read < SETTINGS_BYTES {
                        assert_eq!(told.try_recv(), Err(TryRecvError::Empty), "{read}, {piece} at a time");
                    }
                    there.write_all(bytes).await.unwrap();
                    let mut room = vec![0; bytes.len()];
                    greeted.read_exact(&mut room).await.unwrap();
                    assert_eq!(room, bytes);
                    read += bytes.len();
                }
                assert_eq!(told.await, Ok(()), "{piece}");
            }
        });
    }

    #[test]
    fn a_connection_that_ends_before_has_said_nothing() {
        run(async {
            let (here, mut there) = tokio::io::duplex(64);
            let (mut greeted, told) = Greeted::listen(Box::new(here));
            there.write_all(&FRAMES[..HEAD_BYTES]).await.unwrap();
            drop(there);
            greeted.read_to_end(&mut Vec::new()).await.unwrap();
            drop(greeted);
            assert!(told.await.is_err());
        });
    }
}
