//! What crosses the node: bodies of requests and of answers, streamed and never collected.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use graticule_node_core::Moment;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::pool::PooledBody;
#[cfg(test)]
use crate::pool::testing::AnyBody;
use crate::relay::TunnelBody;

mod client;
mod pieces;
mod upgrade;

pub use client::{ClientBody, fault};
pub use pieces::Pieces;
pub use upgrade::{UpgradeBody, UpgradeInput, upgrade};

/// What is kept of a body for sending it again.
pub const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// Why a body ended early.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body on its way to a backend: what was kept for sending again, then the rest of its source.
///
/// Most requests have none and all are moved about, so it is small: what there is of it is allocated.
#[derive(Debug, Default)]
pub struct RequestBody {
    kept: Option<Box<Kept>>,
    source: Source,
    read: Option<ByteCount>,
}

/// Bytes that have come so far, for whoever gives an account of the request.
pub type ByteCount = Rc<Cell<u64>>;

/// What has been read already, and comes first.
#[derive(Debug, Default)]
struct Kept {
    chunks: VecDeque<Bytes>,
    /// They come after everything else, so the source has nothing left once they are here.
    trailers: Option<HeaderMap>,
}

/// Where a request's body comes from.
#[derive(Debug, Default)]
enum Source {
    /// Nowhere: there is none, or all of it is kept.
    #[default]
    Nothing,
    /// The client's connection.
    Client(Box<ClientBody>),
    /// A tunnel.
    Tunnel(Box<TunnelBody>),
    /// The client's connection, once it has been taken over.
    Upgrade(Box<UpgradeBody>),
    /// Whatever a test wants.
    #[cfg(test)]
    Test(AnyBody),
}

impl RequestBody {
    /// The body of a client's request, which may rest for `rest_max` from piece to piece.
    pub fn client(incoming: Incoming, rest_max: Duration) -> Self {
        let source = if incoming.is_end_stream() {
            Source::Nothing
        } else {
            Source::Client(Box::new(ClientBody::new(incoming, rest_max)))
        };
        Self { source, ..Self::default() }
    }

    /// No more than so many bytes of a client's body are taken from now on.
    pub fn limit(&mut self, bytes_max: u64) {
        if let Source::Client(body) = &mut self.source {
            body.limit(bytes_max);
        }
    }

    /// The body of a relayed request.
    pub fn tunnel(body: TunnelBody) -> Self {
        let source = if body.is_end_stream() { Source::Nothing } else { Source::Tunnel(Box::new(body)) };
        Self { source, ..Self::default() }
    }

    /// What a client sends through an upgraded connection.
    pub fn upgrade(body: UpgradeBody) -> Self {
        Self { source: Source::Upgrade(Box::new(body)), ..Self::default() }
    }

    /// Any body.
    #[cfg(test)]
    pub(crate) fn test<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
    {
        Self { source: Source::Test(boxed(body)), ..Self::default() }
    }

    /// Counts what comes from its source from now on; one without a source counts nothing.
    pub fn counted(mut self) -> (Self, Option<ByteCount>) {
        if !matches!(self.source, Source::Nothing) {
            self.read = Some(Rc::default());
        }
        let count = self.read.clone();
        (self, count)
    }

    /// Puts `chunks` that have been read already back in front, and `trailers` that have been read at the end.
    pub fn put_back(&mut self, chunks: impl DoubleEndedIterator<Item = Bytes>, trailers: Option<HeaderMap>) {
        let mut chunks = chunks.rev().peekable();
        if chunks.peek().is_none() && trailers.is_none() {
            return;
        }
        let kept = self.kept.get_or_insert_default();
        chunks.for_each(|chunk| kept.chunks.push_front(chunk));
        kept.trailers = trailers.or(kept.trailers.take());
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(kept) = &mut self.kept {
            if let Some(chunk) = kept.chunks.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            if let Some(trailers) = kept.trailers.take() {
                self.source = Source::Nothing;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        }
        let frame = match &mut self.source {
            Source::Nothing => return Poll::Ready(None),
            Source::Client(body) => Pin::new(&mut **body).poll_frame(cx),
            Source::Tunnel(body) => Pin::new(&mut **body).poll_frame(cx),
            Source::Upgrade(body) => Pin::new(&mut **body).poll_frame(cx),
            #[cfg(test)]
            Source::Test(body) => Pin::new(body).poll_frame(cx),
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(read)) = (&frame, &self.read) {
            read.set(read.get() + frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.chunks.is_empty() && kept.trailers.is_none())
            && match &self.source {
                Source::Nothing => true,
                Source::Client(body) => body.is_end_stream(),
                Source::Tunnel(body) => body.is_end_stream(),
                Source::Upgrade(body) => body.is_end_stream(),
                #[cfg(test)]
                Source::Test(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.iter().flat_map(|kept| &kept.chunks);
        let kept: u64 = kept.map(|chunk| chunk.len() as u64).sum();
        let rest = match &self.source {
            Source::Nothing => SizeHint::with_exact(0),
            Source::Client(body) => body.size_hint(),
            Source::Tunnel(body) => body.size_hint(),
            Source::Upgrade(body) => body.size_hint(),
            #[cfg(test)]
            Source::Test(body) => body.size_hint(),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(kept + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(kept + upper);
        }
        hint
    }
}

/// An answer's body on its way to the client or through a tunnel.
#[derive(Debug)]
pub struct ResponseBody {
    kind: Kind,
    witness: Option<Box<dyn Witness>>,
    input: Option<UpgradeInput>,
}

/// Sees an answer's body pass, and is dropped when that has ended, or whoever wanted it is gone.
pub trait Witness: Debug {
    /// So many bytes more have passed.
    fn passed(&mut self, bytes: usize);

    /// All of it has passed.
    fn ended(&mut self);
}

#[derive(Debug)]
enum Kind {
    Own(Full<Bytes>),
    Backend(PooledBody),
    // Boxed: it is twice as large as the others, and an answer is moved at every step of its way.
    Tunnel(Box<TunnelBody>),
    #[cfg(test)]
    Test(AnyBody),
}

impl ResponseBody {
    /// Written by this node.
    pub fn own(body: Bytes) -> Self {
        Self { kind: Kind::Own(Full::new(body)), witness: None, input: None }
    }

    /// From a backend of this region.
    pub fn backend(body: PooledBody) -> Self {
        Self { kind: Kind::Backend(body), witness: None, input: None }
    }

    /// From another region.
    pub fn tunnel(body: Box<TunnelBody>) -> Self {
        Self { kind: Kind::Tunnel(body), witness: None, input: None }
    }

    /// Any body.
    #[cfg(test)]
    pub(crate) fn test<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
    {
        Self { kind: Kind::Test(boxed(body)), witness: None, input: None }
    }

    /// Where what the client sends goes, now that the connection is upgraded.
    pub fn set_input(&mut self, input: UpgradeInput) {
        self.input = Some(input);
    }

    /// The same, for whoever takes the client's connection over.
    pub fn take_input(&mut self) -> Option<UpgradeInput> {
        self.input.take()
    }

    /// Lets `witness` see the body pass.
    pub fn watch(&mut self, mut witness: Box<dyn Witness>) {
        if self.is_end_stream() {
            witness.ended();
        }
        self.witness = Some(witness);
    }

    /// When a peer accepted the request, if one did.
    pub fn accepted(&self) -> Option<Moment> {
        match &self.kind {
            Kind::Tunnel(body) => body.accepted(),
            _ => None,
        }
    }

    fn poll_kind(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.kind {
            Kind::Own(body) => {
                Poll::Ready(ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into)))
            }
            Kind::Backend(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map(client::without_odd_trailers)))
            }
            Kind::Tunnel(body) => Pin::new(&mut **body).poll_frame(cx),
            #[cfg(test)]
            Kind::Test(body) => Pin::new(body).poll_frame(cx),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        let frame = ready!(body.poll_kind(cx));
        if let Some(witness) = &mut body.witness {
            match &frame {
                Some(Ok(frame)) => witness.passed(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) => {}
                None => witness.ended(),
            }
        }
        // Who knows the length asks no further.
        if (body.is_end_stream() || body.size_hint().exact() == Some(0))
            && let Some(witness) = &mut body.witness
            && !matches!(frame, Some(Err(_)))
        {
            witness.ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(body) => body.is_end_stream(),
            Kind::Backend(body) => body.is_end_stream(),
            Kind::Tunnel(body) => body.is_end_stream(),
            #[cfg(test)]
            Kind::Test(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(body) => body.size_hint(),
            Kind::Backend(body) => body.size_hint(),
            Kind::Tunnel(body) => body.size_hint(),
            #[cfg(test)]
            Kind::Test(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
fn boxed<B: Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static>(body: B) -> AnyBody {
    use http_body_util::BodyExt;
    body.map_err(Into::into).boxed_unsync()
}

#[cfg(test)]
mod tests;
