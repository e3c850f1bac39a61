//! What crosses the node: bodies of requests and of answers, streamed and never collected.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use graticule_node_core::shared::InFlightGuard;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::pool::PooledBody;
use crate::relay::TunnelBody;

/// Why a body ended early.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body on its way to a backend: what was kept for sending again, then the rest of its source.
#[derive(Debug, Default)]
pub struct RequestBody {
    kept: VecDeque<Bytes>,
    source: Source,
}

/// Where a request's body comes from.
#[derive(Debug, Default)]
enum Source {
    /// Nowhere: there is none, or all of it is kept.
    #[default]
    Nothing,
    /// The client's connection.
    Client(Incoming),
    /// A tunnel.
    Tunnel(TunnelBody),
}

impl RequestBody {
    /// The body of a client's request.
    pub fn client(incoming: Incoming) -> Self {
        let source = if incoming.is_end_stream() { Source::Nothing } else { Source::Client(incoming) };
        Self { kept: VecDeque::new(), source }
    }

    /// The body of a relayed request.
    pub fn tunnel(body: TunnelBody) -> Self {
        Self { kept: VecDeque::new(), source: Source::Tunnel(body) }
    }

    /// Puts `chunks` that have been read already back in front.
    pub fn put_back(&mut self, chunks: impl DoubleEndedIterator<Item = Bytes>) {
        chunks.rev().for_each(|chunk| self.kept.push_front(chunk));
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(chunk) = self.kept.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match &mut self.source {
            Source::Nothing => Poll::Ready(None),
            Source::Client(incoming) => {
                Poll::Ready(ready!(Pin::new(incoming).poll_frame(cx)).map(|frame| frame.map_err(Into::into)))
            }
            Source::Tunnel(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_empty()
            && match &self.source {
                Source::Nothing => true,
                Source::Client(incoming) => incoming.is_end_stream(),
                Source::Tunnel(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let kept: u64 = self.kept.iter().map(|chunk| chunk.len() as u64).sum();
        let rest = match &self.source {
            Source::Nothing => SizeHint::with_exact(0),
            Source::Client(incoming) => incoming.size_hint(),
            Source::Tunnel(body) => body.size_hint(),
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
    guard: Option<InFlightGuard>,
}

#[derive(Debug)]
enum Kind {
    Own(Full<Bytes>),
    Backend(PooledBody),
    Tunnel(TunnelBody),
}

impl ResponseBody {
    /// Written by this node.
    pub fn own(body: Bytes) -> Self {
        Self { kind: Kind::Own(Full::new(body)), guard: None }
    }

    /// From a backend of this region.
    pub fn backend(body: PooledBody) -> Self {
        Self { kind: Kind::Backend(body), guard: None }
    }

    /// From another region.
    pub fn tunnel(body: TunnelBody) -> Self {
        Self { kind: Kind::Tunnel(body), guard: None }
    }

    /// Counts the request as in flight until the body has ended or is dropped.
    pub fn hold(&mut self, guard: InFlightGuard) {
        self.guard = Some(guard);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().kind {
            Kind::Own(body) => {
                Poll::Ready(ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into)))
            }
            Kind::Backend(body) => {
                Poll::Ready(ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into)))
            }
            Kind::Tunnel(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(body) => body.is_end_stream(),
            Kind::Backend(body) => body.is_end_stream(),
            Kind::Tunnel(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(body) => body.size_hint(),
            Kind::Backend(body) => body.size_hint(),
            Kind::Tunnel(body) => body.size_hint(),
        }
    }
}
