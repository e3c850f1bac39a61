//! A response's body, and with it the hold on the connection that it comes from.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::exchange::Exchange;
use super::upgraded::Upgraded;
use crate::body::BodyError;

/// The body of a backend's response. Read to its end, it gives its connection back; dropped before, it closes it.
#[derive(Debug)]
pub struct PooledBody {
    source: Source,
    exchange: Option<Exchange>,
}

#[derive(Debug)]
enum Source {
    Http(Incoming),
    Upgraded(Box<Upgraded>),
}

impl PooledBody {
    pub(super) fn new(incoming: Incoming, exchange: Exchange) -> Self {
        let mut body = Self { source: Source::Http(incoming), exchange: Some(exchange) };
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    /// What comes out of a connection that has been upgraded; it cannot be given back.
    pub(super) fn upgraded(upgraded: Upgraded, exchange: Exchange) -> Self {
        Self { source: Source::Upgraded(Box::new(upgraded)), exchange: Some(exchange) }
    }

    fn finish(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.finish();
        }
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        if let (Source::Upgraded(upgraded), Some(exchange)) = (&self.source, &self.exchange)
            && upgraded.is_blocked()
        {
            exchange.left_blocked();
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let incoming = match &mut self.source {
            Source::Http(incoming) => incoming,
            Source::Upgraded(upgraded) => {
                let piece = ready!(upgraded.poll_piece(cx))?;
                return Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))));
            }
        };
        let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
        match &frame {
            // Who reads this need not ask again after the last of a known length, nor after trailers.
            Some(Ok(frame)) if !frame.is_trailers() && !incoming.is_end_stream() => {}
            Some(Err(_)) => self.exchange.take().into_iter().for_each(Exchange::broke_off),
            None | Some(Ok(_)) => self.finish(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Http(incoming) => incoming.is_end_stream(),
            Source::Upgraded(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Http(incoming) => incoming.size_hint(),
            Source::Upgraded(_) => SizeHint::new(),
        }
    }
}
