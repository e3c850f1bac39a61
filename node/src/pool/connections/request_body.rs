//! Requests with bodies of any type on the same connections, their own type back if they were not sent, and what was sent
//! of them once more if they may be repeated.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body::{Body, Frame, SizeHint};

use super::patience::{Progress, Sending};
use crate::body::{BodyError, REPLAY_BYTES_MAX};

/// A request's body as the connections know it. One that is empty costs no allocation.
pub(super) enum RequestBody {
    /// Nothing.
    Empty,
    /// Something, as it comes.
    Streaming(Reader, Sending),
    /// What is sent once the backend has switched protocols; until then it is nothing.
    Later(Later),
}

/// What a client sends through an upgraded connection.
pub(super) struct Later(Reader);

/// Any body.
pub(super) trait Streaming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;
    fn is_end_stream(&self) -> bool;
    fn size_hint(&self) -> SizeHint;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// A body, and what was read of it as far as that may be needed again.
pub(super) struct Source {
    /// Until it is given back.
    rest: RefCell<Option<Box<dyn Streaming>>>,
    /// `None` if the request may not be repeated, or more was read than is kept.
    read: RefCell<Option<Sent>>,
    /// The one reader that gets anything: others belong to connections that have failed.
    reader: Cell<u32>,
    /// Whether it is sent only after an upgrade.
    is_later: bool,
}

/// What was read of a body: to be put back in front of it.
#[derive(Debug, Default)]
pub struct Sent {
    /// Pieces, in their order.
    pub chunks: Vec<Bytes>,
    /// What comes after all of them, and after everything else.
    pub trailers: Option<HeaderMap>,
    bytes: usize,
}

/// A body as one connection reads it.
pub(super) struct Reader {
    source: Rc<Source>,
    number: u32,
    /// How many of the pieces that were read before it has passed on.
    passed: usize,
}

/// The request without its body's type, and the body if it is empty, for [`restore`].
pub(super) fn erase<B>(request: Request<B>) -> (Request<RequestBody>, Option<B>)
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return (Request::from_parts(parts, RequestBody::Empty), Some(body));
    }
    let source = Rc::new(Source {
        rest: RefCell::new(Some(Box::new(body))),
        read: RefCell::new(parts.method.is_idempotent().then(Sent::default)),
        reader: Cell::new(0),
        // Only requests that ask for an upgrade still have this header.
        is_later: parts.headers.contains_key(header::UPGRADE),
    });
    (Request::from_parts(parts, source.again()), None)
}

/// The request that [`erase`] was given, if these are what it returned, and what was read of its body.
pub(super) fn restore<B: 'static>(
    request: Request<RequestBody>,
    empty: Option<B>,
) -> Option<(Request<B>, Sent)> {
    let (parts, body) = request.into_parts();
    let (body, read) = match body {
        RequestBody::Empty => (empty?, Sent::default()),
        RequestBody::Streaming(reader, _) | RequestBody::Later(Later(reader)) => {
            let rest = reader.source.rest.take()?;
            (*rest.into_any().downcast().ok()?, reader.source.read.take().unwrap_or_default())
        }
    };
    Some((Request::from_parts(parts, body), read))
}

impl RequestBody {
    /// How far it has come; `None` if there is nothing to send.
    pub(super) fn progress(&self) -> Option<Rc<Progress>> {
        match self {
            Self::Empty | Self::Later(_) => None,
            Self::Streaming(_, Sending(progress)) => Some(Rc::clone(progress)),
        }
    }

    /// Where it comes from; `None` if there is nothing to send.
    pub(super) fn source(&self) -> Option<&Rc<Source>> {
        match self {
            Self::Empty => None,
            Self::Streaming(reader, _) | Self::Later(Later(reader)) => Some(&reader.source),
        }
    }

    /// What is to be sent once the backend has switched protocols.
    pub(super) fn take_later(&mut self) -> Option<Later> {
        match std::mem::replace(self, Self::Empty) {
            Self::Later(later) => Some(later),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Undoes [`take_later`](Self::take_later), for a request that was not sent.
    pub(super) fn put_later(&mut self, later: Later) {
        *self = Self::Later(later);
    }
}

impl Source {
    /// Whether all that was read is kept, and nobody has the rest.
    pub(super) fn is_whole(&self) -> bool {
        self.read.borrow().is_some() && self.rest.borrow().is_some()
    }

    /// The body from its beginning; whoever reads it now gets no more of it.
    pub(super) fn again(self: &Rc<Self>) -> RequestBody {
        self.reader.set(self.reader.get() + 1);
        let reader = Reader { source: Rc::clone(self), number: self.reader.get(), passed: 0 };
        if self.is_later {
            RequestBody::Later(Later(reader))
        } else {
            RequestBody::Streaming(reader, Sending(Progress::new()))
        }
    }

    fn keep(&self, frame: &Result<Frame<Bytes>, BodyError>) {
        let mut kept = self.read.borrow_mut();
        let Some(read) = &mut *kept else { return };
        // What comes after a failure looks like an end, and is none.
        let fits = frame.as_ref().is_ok_and(|frame| read.keep(frame));
        if !fits {
            *kept = None;
        }
    }
}

impl Sent {
    /// Whether there is room for it.
    fn keep(&mut self, frame: &Frame<Bytes>) -> bool {
        if let Some(chunk) = frame.data_ref() {
            self.bytes += chunk.len();
            self.chunks.push(Bytes::clone(chunk));
        } else if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(HeaderMap::clone(trailers));
        }
        self.bytes <= REPLAY_BYTES_MAX
    }
}

impl Reader {
    /// What was read before, and this reader has not had.
    fn left(&self) -> Option<Frame<Bytes>> {
        let read = self.source.read.borrow();
        let read = read.as_ref()?;
        match read.chunks.get(self.passed) {
            Some(chunk) => Some(Frame::data(Bytes::clone(chunk))),
            None if self.passed == read.chunks.len() => {
                read.trailers.as_ref().map(|trailers| Frame::trailers(HeaderMap::clone(trailers)))
            }
            None => None,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.number != self.source.reader.get() {
            return Poll::Pending;
        }
        if let Some(frame) = self.left() {
            self.passed += 1;
            return Poll::Ready(Some(Ok(frame)));
        }
        let mut rest = self.source.rest.borrow_mut();
        let Some(rest) = &mut *rest else { return Poll::Pending };
        let frame = ready!(rest.poll_frame(cx));
        if let Some(frame) = &frame {
            self.source.keep(frame);
            self.passed += 1;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let rest = self.source.rest.borrow();
        self.left().is_none() && rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.source.read.borrow();
        let left = read.iter().flat_map(|read| read.chunks.iter().skip(self.passed));
        let left: u64 = left.map(|chunk| chunk.len() as u64).sum();
        let rest =
            self.source.rest.borrow().as_ref().map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(left + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(left + upper);
        }
        hint
    }
}

impl Later {
    /// The backend has switched protocols: nothing can be sent again from here on.
    pub(super) fn begin(&self) {
        self.0.source.read.replace(None);
    }

    /// The next piece.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_frame(cx)
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later")
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self::Streaming(reader, sending) = self.get_mut() else { return Poll::Ready(None) };
        sending.ask();
        let frame = ready!(reader.poll_frame(cx));
        sending.0.awaits_backend();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Later(_) => true,
            Self::Streaming(reader, _) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Later(_) => SizeHint::with_exact(0),
            Self::Streaming(reader, _) => reader.size_hint(),
        }
    }
}

impl<B> Streaming for B
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(self).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        Body::is_end_stream(self)
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(self)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
