//! How does a client get to read what it was told last?

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What is left of a connection on which nothing more is said. One that is closed with bytes unread is reset, which can
/// overtake what was said last; so what the client still sends is read until it has closed, or for a moment.
#[derive(Default)]
pub(super) struct Parting {
    /// Made when the parting begins.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parting").field("begun", &self.has_begun()).finish()
    }
}

impl Parting {
    /// Whether it has been polled.
    pub(super) fn has_begun(&self) -> bool {
        self.alarm.is_some()
    }

    /// Ready when the connection may be closed.
    pub(super) fn poll<T: AsyncRead + Unpin>(&mut self, stream: &mut T, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(PARTING_TIMEOUT)));
        if alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut unwanted = [0; 4_096];
        loop {
            let mut buffer = ReadBuf::new(&mut unwanted);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// How long a client may take to close after its last answer.
pub(super) const PARTING_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_client_that_closes_is_not_waited_for_and_one_that_does_not_for_a_moment() {
        let begun = Instant::now();
        for closes in [true, false] {
            let (mut client, mut stream) = tokio::io::duplex(64);
            let mut parting = Parting::default();
            let sending = async {
                // More than is under way at once: somebody reads it.
                client.write_all(&[7; 10_000]).await.unwrap();
                if closes {
                    drop(client);
                    return None;
                }
                Some(client)
            };
            let (_client, ()) = tokio::join!(sending, poll_fn(|cx| parting.poll(&mut stream, cx)));
            let expected = if closes { Duration::ZERO } else { PARTING_TIMEOUT };
            assert!(begun.elapsed() >= expected && begun.elapsed() < expected + PARTING_TIMEOUT);
        }
    }
}
