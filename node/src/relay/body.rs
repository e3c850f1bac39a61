//! A body as it comes out of a tunnel.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use graticule_node_core::Moment;
use graticule_node_core::framing::{
    BodyLength, RequestFrame, RequestProtocol, ResponseFrame, ResponseProtocol,
};
use http_body::{Body, Frame, SizeHint};

use super::tunnels::TunnelGuard;
use crate::body::BodyError;
use crate::task::Task;
use crate::tunnel::{FrameReader, ReadError};

/// A body that a peer sends. Dropping it before its end tells the peer to stop.
#[derive(Debug)]
pub struct TunnelBody {
    source: Source,
    remaining: BodyLength,
    ended: bool,
    /// When the peer accepted the request, of an answer.
    accepted: Option<Moment>,
    _held: Option<(TunnelGuard, Option<Task>)>,
}

#[derive(Debug)]
enum Source {
    Request(FrameReader<RequestProtocol>),
    Answer(FrameReader<ResponseProtocol>),
}

enum Part {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

impl TunnelBody {
    /// The body of a relayed request.
    pub fn request(reader: FrameReader<RequestProtocol>, length: BodyLength) -> Self {
        Self::new(Source::Request(reader), length, None)
    }

    /// The body of a relayed answer to what was accepted then; `held` lives until it is dropped.
    pub fn answer(
        reader: FrameReader<ResponseProtocol>,
        length: BodyLength,
        accepted: Moment,
        held: (TunnelGuard, Option<Task>),
    ) -> Self {
        Self { accepted: Some(accepted), ..Self::new(Source::Answer(reader), length, Some(held)) }
    }

    /// When the peer accepted the request, of an answer.
    pub fn accepted(&self) -> Option<Moment> {
        self.accepted
    }

    fn new(source: Source, length: BodyLength, held: Option<(TunnelGuard, Option<Task>)>) -> Self {
        let ended = matches!(length, BodyLength::None);
        Self { source, remaining: length, ended, accepted: None, _held: held }
    }

    fn count(&mut self, chunk: &Bytes) {
        if let BodyLength::Known(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(chunk.len() as u64);
        }
    }
}

impl Source {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Part>, ReadError>> {
        loop {
            let part = match self {
                Self::Request(reader) => ready!(reader.poll_next(cx))?.map(request_part),
                Self::Answer(reader) => ready!(reader.poll_next(cx))?.map(answer_part),
            };
            match part {
                None => return Poll::Ready(Ok(None)),
                Some(Some(part)) => return Poll::Ready(Ok(Some(part))),
                Some(None) => {}
            }
        }
    }
}

/// The decoder lets nothing but these through after a head.
fn request_part(frame: RequestFrame) -> Option<Part> {
    match frame {
        RequestFrame::Data(chunk) => Some(Part::Data(chunk)),
        RequestFrame::Trailers(trailers) => Some(Part::Trailers(trailers)),
        RequestFrame::Head(_) | RequestFrame::End => None,
    }
}

fn answer_part(frame: ResponseFrame) -> Option<Part> {
    match frame {
        ResponseFrame::Data(chunk) => Some(Part::Data(chunk)),
        ResponseFrame::Trailers(trailers) => Some(Part::Trailers(trailers)),
        _ => None,
    }
}

impl Body for TunnelBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = ready!(self.source.poll_part(cx));
        Poll::Ready(match part {
            Ok(Some(Part::Data(chunk))) => {
                self.count(&chunk);
                Some(Ok(Frame::data(chunk)))
            }
            Ok(Some(Part::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            BodyLength::None => SizeHint::with_exact(0),
            BodyLength::Known(remaining) => SizeHint::with_exact(remaining),
            BodyLength::Unknown => SizeHint::new(),
        }
    }
}
