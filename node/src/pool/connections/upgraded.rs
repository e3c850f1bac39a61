//! A connection or stream to a backend that has switched protocols: bytes both ways.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::client::conn::http1::Parts;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::patience::{Progress, Sending};
use super::request_body::Later;
use crate::body::{BodyError, Pieces};
use crate::task::{self, Task};
use crate::world::Stream;

/// What is left of an HTTP/1.1 connection after 101.
pub(super) type Remains = Parts<TokioIo<Stream>>;

/// The backend's bytes; what the client sends goes its own way until this is dropped.
pub(super) struct Upgraded {
    reader: ReadHalf<Stream>,
    /// What came along with the head.
    opening: Bytes,
    pieces: Pieces,
    /// How far what the client sends has come.
    progress: Rc<Progress>,
    _sending: Task,
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("pieces", &self.pieces).finish_non_exhaustive()
    }
}

impl Upgraded {
    /// Sends `input` through what is left of an HTTP/1.1 connection, and reads from it.
    pub(super) fn http1(remains: Remains, input: Later) -> Self {
        Self::new(remains.io.into_inner(), remains.read_buf, input)
    }

    /// The same with a stream of HTTP/2.
    pub(super) fn http2(stream: hyper::upgrade::Upgraded, input: Later) -> Self {
        Self::new(Box::new(TokioIo::new(stream)), Bytes::new(), input)
    }

    fn new(stream: Stream, opening: Bytes, input: Later) -> Self {
        input.begin();
        let (reader, writer) = tokio::io::split(stream);
        let progress = Progress::new();
        progress.awaits_client();
        let on_its_way = Sending(Rc::clone(&progress));
        let sending = task::spawn("upgraded backend connection", async move {
            if let Err(error) = send(input, writer, &on_its_way.0).await {
                tracing::debug!(%error, "an upgraded backend connection broke off");
            }
        });
        Self { reader, opening, pieces: Pieces::default(), progress, _sending: sending }
    }

    /// Whether what the client has sent waits for the backend to take it.
    pub(super) fn is_blocked(&self) -> bool {
        self.progress.waits_for_backend()
    }

    /// How far what the client sends has come.
    pub(super) fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }

    /// The next bytes; nothing at their end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if !self.opening.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.opening)));
        }
        ready!(pin!(self.reader.read_buf(self.pieces.room())).poll(cx))?;
        Poll::Ready(Ok(self.pieces.take()))
    }
}

/// Sends to the end of `input`, and says so. If `input` breaks off, nothing is said: the other half closes.
async fn send(mut input: Later, mut writer: WriteHalf<Stream>, progress: &Progress) -> Result<(), BodyError> {
    while let Some(frame) = poll_fn(|cx| input.poll_frame(cx)).await {
        let Ok(piece) = frame?.into_data() else { continue };
        progress.awaits_backend();
        writer.write_all(&piece).await?;
        writer.flush().await?;
        progress.awaits_client();
    }
    Ok(writer.shutdown().await?)
}
