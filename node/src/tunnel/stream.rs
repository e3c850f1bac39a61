//! One stream of a tunnel: frames in, frames out, and what happens when either side gives up.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use graticule_node_core::Reason;
use graticule_node_core::framing::{
    self, BodyLength, Decoder, FramingError, PREFACE_BYTES, Protocol, ResponseHeadRef, StreamKind,
};
use http::{HeaderMap, StatusCode};
use quinn::{Connection, RecvStream, SendStream, VarInt, WriteError};

use super::backlog::{Backlog, Chunks, Read, Watched};
use super::transport::{SEND_WINDOW_BYTES, URGENT_SEND_WINDOW_BYTES};
use crate::body::BodyError;

/// Why a stream gave no further frame.
#[derive(Debug)]
pub enum ReadError {
    /// The peer broke the framing.
    Frame(FramingError),
    /// The stream or its connection ended.
    Stream(quinn::ReadError),
    /// This side read too slowly.
    CutOff,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Stream(error) => error.fmt(f),
            Self::CutOff => f.write_str("cut off: its reader was among the slowest of a full tunnel"),
        }
    }
}

impl std::error::Error for ReadError {}

impl ReadError {
    /// Whether the peer had accepted the request before it broke off. A reset overtakes what was sent before it, so
    /// `accepted` itself may never be seen.
    pub fn is_after_accepted(&self) -> bool {
        let Self::Stream(quinn::ReadError::Reset(reset)) = self else { return false };
        *reset == code(Reset::UpstreamFailed)
    }
}

/// The kind of a stream that a peer has opened.
pub async fn kind(stream: &mut RecvStream) -> Result<StreamKind, BodyError> {
    let mut preface = [0; PREFACE_BYTES];
    stream.read_exact(&mut preface).await?;
    Ok(StreamKind::from_preface(preface)?)
}

/// Reads the frames of one stream. Dropped before its end, it tells the peer to stop.
#[derive(Debug)]
pub struct FrameReader<P: Protocol> {
    source: Source,
    decoder: Decoder<P>,
    /// What was read behind what the decoder has.
    ahead: Bytes,
}

#[derive(Debug)]
enum Source {
    /// Nobody else's; there is one but for the moment in which it becomes watched.
    Own(Option<RecvStream>),
    Watched(Watched),
}

impl Source {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunks>, ReadError>> {
        let read: Read = match self {
            Self::Own(None) => Ok(None),
            Self::Own(Some(stream)) => {
                let mut chunks = Chunks::default();
                let read = ready!(pin!(stream.read_chunks(&mut chunks)).poll(cx));
                read.map(|read| read.map(|_| chunks))
            }
            Self::Watched(watched) => match ready!(watched.poll(cx)) {
                Some(read) => read,
                None => return Poll::Ready(Err(ReadError::CutOff)),
            },
        };
        Poll::Ready(read.map_err(ReadError::Stream))
    }
}

impl<P: Protocol> FrameReader<P> {
    /// Reads `stream` from after its preface.
    pub fn new(stream: RecvStream, decoder: Decoder<P>) -> Self {
        Self { source: Source::Own(Some(stream)), decoder, ahead: Bytes::new() }
    }

    /// From now on `backlog` watches how a body of this length is read.
    #[must_use]
    pub fn watched_by(mut self, backlog: &Backlog, length: BodyLength) -> Self {
        if Backlog::is_for(length)
            && let Source::Own(stream) = &mut self.source
            && let Some(stream) = stream.take()
        {
            self.source = Source::Watched(backlog.watch(stream, length));
        }
        self
    }

    /// Reads `stream` from its beginning: its kind, and whatever came along with it.
    pub async fn begin(
        mut stream: RecvStream,
        mut decoder: Decoder<P>,
    ) -> Result<(StreamKind, Self), BodyError> {
        let mut begun = Bytes::new();
        while begun.len() < PREFACE_BYTES {
            let mut chunks = Chunks::default();
            stream.read_chunks(&mut chunks).await?.ok_or("the stream ended before its kind")?;
            let [first, second] = chunks;
            let is_all = begun.is_empty() && second.is_empty();
            begun = if is_all { first } else { [begun, first, second].concat().into() };
        }
        let preface = begun.first_chunk().copied().unwrap_or_default();
        decoder.push(begun.split_off(PREFACE_BYTES));
        Ok((StreamKind::from_preface(preface)?, Self::new(stream, decoder)))
    }

    /// The next frame; `None` at the stream's orderly end.
    pub async fn next(&mut self) -> Result<Option<P::Frame>, ReadError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next frame; `None` at the stream's orderly end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<P::Frame>, ReadError>> {
        loop {
            if let Some(frame) = self.decoder.next().map_err(ReadError::Frame)? {
                return Poll::Ready(Ok(Some(frame)));
            }
            if !self.ahead.is_empty() {
                self.decoder.push(std::mem::take(&mut self.ahead));
                continue;
            }
            match ready!(self.source.poll(cx))? {
                Some([first, second]) => {
                    self.decoder.push(first);
                    self.ahead = second;
                }
                None => return Poll::Ready(self.decoder.finish().map(|()| None).map_err(ReadError::Frame)),
            }
        }
    }
}

impl<P: Protocol> Drop for FrameReader<P> {
    fn drop(&mut self) {
        // The end has most often come with the last frame. Unless it is taken, the peer is told to stop what it has
        // finished.
        if self.decoder.is_complete() {
            let _ = self.poll_next(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// Why a stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Whoever wanted it does so no longer.
    Cancelled,
    /// What was passed on broke off.
    UpstreamFailed,
}

/// Writes the frames of one stream; resets it if it is dropped before its end.
#[derive(Debug)]
pub struct FrameWriter {
    stream: SendStream,
    connection: Connection,
    buffer: BytesMut,
    length: BodyLength,
    accepted: bool,
    informational: usize,
    /// Bytes of its body that go before those of longer ones.
    urgent: usize,
    ended: bool,
}

impl FrameWriter {
    /// An empty buffer with room for most messages.
    pub fn buffer() -> BytesMut {
        BytesMut::with_capacity(MESSAGE_BYTES_EXPECTED)
    }

    /// Writes to `stream`, which is one of `connection`, first of all what is in `buffer`.
    pub fn new(connection: Connection, stream: SendStream, buffer: BytesMut) -> Self {
        Self {
            stream,
            connection,
            buffer,
            length: BodyLength::None,
            accepted: false,
            informational: 0,
            urgent: URGENT_BYTES_MAX,
            ended: false,
        }
    }

    /// What follows is a body of this length.
    pub fn set_length(&mut self, length: BodyLength) {
        self.length = length;
    }

    /// The serving node takes the request.
    pub async fn accepted(&mut self) -> Result<(), WriteError> {
        self.accepted = true;
        // The first of all frames, so nothing has been put in front of it.
        let accepted = Bytes::from_static(&framing::ACCEPTED);
        written(&self.connection, self.urgent, self.stream.write_chunk(accepted)).await
    }

    /// The serving node does not take the request; ends the stream.
    pub async fn refused(mut self, reason: Reason) -> Result<(), WriteError> {
        framing::encode_refused(reason, &mut self.buffer);
        self.finish().await
    }

    /// What a backend says before its answer; what cannot cross a tunnel is left out.
    pub async fn informational(&mut self, status: StatusCode, headers: &HeaderMap) -> Result<(), WriteError> {
        if self.informational == framing::INFORMATIONAL_MAX {
            return Ok(());
        }
        self.informational += 1;
        if let Err(error) = framing::encode_informational(status, headers, &mut self.buffer) {
            tracing::debug!(%error, "an informational response that cannot cross a tunnel");
        }
        self.flush().await
    }

    /// Puts an answer's head before whatever is written next.
    pub fn head(&mut self, head: ResponseHeadRef<'_>) -> Result<(), FramingError> {
        self.length = head.body;
        head.encode(&mut self.buffer)
    }

    /// A part of the body.
    pub async fn data(&mut self, mut chunk: Bytes) -> Result<(), WriteError> {
        while !chunk.is_empty() {
            let part = chunk.split_to(chunk.len().min(framing::DATA_BYTES_MAX));
            self.passes(part.len());
            // The length is within its limits: the line above sees to it.
            let _ = framing::encode_data_header(part.len(), &mut self.buffer);
            if part.len() <= COPY_BYTES_MAX {
                self.buffer.extend_from_slice(&part);
                self.flush().await?;
            } else {
                let mut both = [self.buffer.split().freeze(), part];
                let write = self.stream.write_all_chunks(&mut both);
                written(&self.connection, self.urgent, write).await?;
            }
        }
        Ok(())
    }

    /// Heads, short bodies and the beginnings of long ones go first on a narrow way, the rest of long ones after them.
    fn passes(&mut self, bytes: usize) {
        if self.urgent > 0 && self.urgent <= bytes {
            // Fails only if the stream has ended already.
            let _ = self.stream.set_priority(BULK);
        }
        self.urgent = self.urgent.saturating_sub(bytes);
    }

    /// The headers after the body; those that cannot cross a tunnel are left out with all others.
    pub fn trailers(&mut self, trailers: &HeaderMap) {
        match framing::encode_trailers(trailers, &mut self.buffer) {
            Ok(()) => self.length = BodyLength::None,
            Err(error) => tracing::debug!(%error, "trailers that cannot cross a tunnel"),
        }
    }

    /// Sends what has been put in front.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        // Copied, so that what waits for its acknowledgement holds no more memory than it needs.
        written(&self.connection, self.urgent, self.stream.write_all(&self.buffer)).await?;
        self.buffer.clear();
        Ok(())
    }

    /// Nothing more follows.
    pub async fn finish(mut self) -> Result<(), WriteError> {
        if self.length == BodyLength::Unknown {
            framing::encode_end(&mut self.buffer);
        }
        self.flush().await?;
        self.ended = true;
        // Fails only if the stream has ended already.
        let _ = self.stream.finish();
        Ok(())
    }

    /// What was sent is not whole and never will be.
    pub fn reset(mut self, reset: Reset) {
        self.ended = true;
        let _ = self.stream.reset(code(reset));
    }

    /// Ends when the reader wants no more, or its connection is gone.
    pub fn stopped(&self) -> impl Future<Output = ()> + 'static {
        let stopped = self.stream.stopped();
        async move {
            // Whatever it says, nobody reads.
            let _ = stopped.await;
        }
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        if !self.ended {
            // A reset can overtake what was written before it: one after `accepted` must not look like one without.
            let reset = if self.accepted { Reset::UpstreamFailed } else { Reset::Cancelled };
            let _ = self.stream.reset(code(reset));
        }
    }
}

/// What comes of `write`. While its stream is `urgent` it finds room where long bodies find none: who waits with them for
/// room may wait for ever, as they take whatever there is.
async fn written<W: Future>(connection: &Connection, urgent: usize, write: W) -> W::Output {
    let mut write = pin!(write);
    poll_fn(|cx| {
        let written = write.as_mut().poll(cx);
        if written.is_ready() || urgent == 0 {
            return written;
        }
        connection.set_send_window(URGENT_SEND_WINDOW_BYTES);
        let written = write.as_mut().poll(cx);
        connection.set_send_window(SEND_WINDOW_BYTES);
        written
    })
    .await
}

fn code(reset: Reset) -> VarInt {
    VarInt::from_u32(match reset {
        Reset::Cancelled => framing::reset::CANCELLED,
        Reset::UpstreamFailed => framing::reset::UPSTREAM_FAILED,
    })
}

/// A head of the usual headers with a short body: so much is allocated once.
const MESSAGE_BYTES_EXPECTED: usize = 1024;
/// Of a body, so much is as urgent as heads are; streams begin with priority 0.
const URGENT_BYTES_MAX: usize = 64 * 1024;
const BULK: i32 = -1;
/// Up to here one copy is cheaper than a second chunk.
const COPY_BYTES_MAX: usize = 2 * 1024;

#[cfg(test)]
mod tests;
