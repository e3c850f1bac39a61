//! Requests with bodies of any type on the same connections, and their own type back if they were not sent.

use std::any::Any;
use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};

use super::patience::Progress;

/// A request's body as the connections know it. One that is empty costs no allocation.
pub(super) enum RequestBody {
    /// Nothing.
    Empty,
    /// Something, as it comes.
    Streaming(Box<dyn Streaming>, Rc<Progress>),
}

/// Any body.
pub(super) trait Streaming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;
    fn is_end_stream(&self) -> bool;
    fn size_hint(&self) -> SizeHint;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

type BodyError = Box<dyn Error + Send + Sync>;

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
    let body = RequestBody::Streaming(Box::new(body), Progress::new());
    (Request::from_parts(parts, body), None)
}

/// The request that [`erase`] was given, if these are what it returned.
pub(super) fn restore<B: 'static>(request: Request<RequestBody>, empty: Option<B>) -> Option<Request<B>> {
    let (parts, body) = request.into_parts();
    let body = match body {
        RequestBody::Empty => empty?,
        RequestBody::Streaming(body, _) => *body.into_any().downcast().ok()?,
    };
    Some(Request::from_parts(parts, body))
}

impl RequestBody {
    /// How far it has come; `None` if there is nothing to send.
    pub(super) fn progress(&self) -> Option<Rc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streaming(_, progress) => Some(Rc::clone(progress)),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self::Streaming(body, progress) = self.get_mut() else { return Poll::Ready(None) };
        progress.awaits_client();
        let frame = ready!(body.poll_frame(cx));
        progress.awaits_backend();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body, _) => body.size_hint(),
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
