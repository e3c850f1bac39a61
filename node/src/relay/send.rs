//! One request sent through one tunnel, up to the head of its answer.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use graticule_node_core::framing::{
    BodyLength, RequestHeadRef, ResponseDecoder, ResponseFrame, ResponseHead, ResponseProtocol, StreamKind,
};
use graticule_node_core::{Moment, Reason};
use http::StatusCode;
use quinn::{Connection, RecvStream, SendStream, WriteError};
use tokio::time::timeout;

use super::limit::within;
use super::tunnels::{Tunnel, TunnelGuard};
use super::{TunnelBody, Upload};
use crate::early::{Early, Listener};
use crate::task::{self, Task};
use crate::tunnel::{FrameReader, FrameWriter, ReadError};
use crate::world::World;

/// Why a tunnel gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of the request can have reached a backend: it may be sent elsewhere, whatever it is.
    Unsent(Reason),
    /// It may have reached a backend: it may be sent elsewhere only if it may be repeated.
    Sent(Reason),
    /// The serving node does not serve it, and no backend has seen it.
    Refused(Reason),
    /// It cannot be sent through any tunnel.
    Never(Reason),
}

impl Failure {
    /// Whether backends failed: where they do, more requests make it worse, so such retries are limited. A lost node or
    /// tunnel is no backend's failure, and what reached no backend costs none.
    pub fn is_of_backends(self) -> bool {
        matches!(self, Self::Sent(Reason::BackendFailed | Reason::BackendTimeout))
    }
}

/// A request for one tunnel.
#[derive(Debug)]
pub struct Relayed<'a, M> {
    /// The request's head.
    pub head: RequestHeadRef<'a>,
    /// Its body.
    pub upload: &'a Upload,
    /// Whether it could and should be sent elsewhere if this peer stays silent.
    pub may_leave: M,
    /// How long it waits for a place in the tunnel.
    pub open_timeout: Duration,
    /// Who hears what the backend says before its answer, if anybody does.
    pub listener: Option<&'a Listener>,
}

/// Sends a request and waits for the head of its answer.
///
/// `suspect` is told when the peer has left the request without `accepted` for longer than its patience.
pub async fn send<M: Fn() -> bool>(
    world: &World,
    tunnel: &Rc<Tunnel>,
    request: Relayed<'_, M>,
    suspect: impl Fn(Moment),
) -> Result<http::Response<Box<TunnelBody>>, Failure> {
    let guard = tunnel.enter();
    let mut opening = FrameWriter::buffer();
    opening.extend_from_slice(&StreamKind::Request.preface());
    request.head.encode(&mut opening).map_err(|_| Failure::Never(Reason::BadRequest))?;
    let (connection, (sender, receiver)) = open(tunnel, &request).await?;
    let sent = world.clock.now();
    let mut writer = FrameWriter::new(connection, sender, opening);
    writer.set_length(if request.head.upgrade { BodyLength::Unknown } else { request.head.body });
    let uploading = start_upload(request.upload, writer).await.map_err(|_| UNSENT)?;
    let reader = FrameReader::new(receiver, ResponseDecoder::new(request.head.upgrade));
    let mut exchange = Exchange { tunnel, request, reader };
    exchange.accepted(|| suspect(sent)).await?;
    let accepted = world.clock.now();
    tunnel.answered(sent, accepted);
    let head = exchange.head().await?;
    Ok(answer(head, exchange.reader, accepted, (guard, uploading)))
}

/// Waits for a tunnel that is about to stand only if the request can go nowhere else: the control side has reached
/// the peer, and each worker's own tunnel follows a round trip later.
async fn open<M: Fn() -> bool>(
    tunnel: &Tunnel,
    request: &Relayed<'_, M>,
) -> Result<(Connection, (SendStream, RecvStream)), Failure> {
    let limit = request.open_timeout;
    let connection = match tunnel.connection() {
        Some(connection) => connection,
        None if (request.may_leave)() => return Err(UNSENT),
        None => within(limit, tunnel.connected()).await.ok_or(UNSENT)?,
    };
    match within(limit, connection.open_bi()).await {
        Some(Ok(streams)) => Ok((connection, streams)),
        Some(Err(_)) => Err(UNSENT),
        None => Err(Failure::Unsent(Reason::Overloaded)),
    }
}

/// Sends the head at once, with the end of the request if there is no body; a body follows by itself.
async fn start_upload(upload: &Upload, mut writer: FrameWriter) -> Result<Option<Task>, WriteError> {
    if upload.is_empty() {
        writer.finish().await?;
        return Ok(None);
    }
    writer.flush().await?;
    Ok(Some(task::spawn("upload", Upload::clone(upload).send(writer))))
}

struct Exchange<'a, M> {
    tunnel: &'a Tunnel,
    request: Relayed<'a, M>,
    reader: FrameReader<ResponseProtocol>,
}

impl<M: Fn() -> bool> Exchange<'_, M> {
    /// Waits for `accepted`: no longer than the peer's patience if the request could go elsewhere, else until the peer is
    /// suspect.
    async fn accepted(&mut self, suspect: impl Fn()) -> Result<(), Failure> {
        let frame = if let Ok(frame) = timeout(self.tunnel.patience(), self.reader.next()).await {
            frame
        } else {
            suspect();
            if (self.request.may_leave)() {
                return Err(Failure::Unsent(Reason::TunnelTimeout));
            }
            // Nowhere else to go: it may only be slow. Once it is suspect, the client is told so.
            tokio::select! {
                biased;
                frame = self.reader.next() => frame,
                () = self.tunnel.suspected() => return Err(Failure::Unsent(Reason::TunnelTimeout)),
            }
        };
        match frame {
            Ok(Some(ResponseFrame::Accepted)) => {
                self.request.upload.release();
                Ok(())
            }
            Ok(Some(ResponseFrame::Refused(reason))) => Err(Failure::Refused(reason)),
            Err(error) if error.is_after_accepted() => Err(Failure::Sent(Reason::BackendFailed)),
            Ok(_) | Err(_) => Err(UNSENT),
        }
    }

    /// Waits for the answer's head; leaves a peer that turns suspect if the request may be repeated elsewhere.
    async fn head(&mut self) -> Result<ResponseHead, Failure> {
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.reader.next() => frame,
                () = leave(self.tunnel, &self.request) => return Err(Failure::Sent(Reason::TunnelLost)),
            };
            match frame {
                Ok(Some(ResponseFrame::Head(head))) => return Ok(head),
                Ok(Some(ResponseFrame::Informational(ResponseHead { status, headers, .. }))) => {
                    if let Some(listener) = self.request.listener {
                        listener.hear(Early { status, headers });
                    }
                }
                Ok(Some(ResponseFrame::Refused(reason))) => return Err(after_accepted(reason)),
                Err(error @ ReadError::Stream(_)) if !error.is_after_accepted() => {
                    return Err(Failure::Sent(Reason::TunnelLost));
                }
                Ok(_) | Err(_) => return Err(Failure::Sent(Reason::BackendFailed)),
            }
        }
    }
}

/// A refusal after `accepted` says how far the request came.
fn after_accepted(reason: Reason) -> Failure {
    match reason {
        Reason::BackendUnreachable | Reason::NoCompliantRegion | Reason::Overloaded | Reason::PolicySkew => {
            Failure::Refused(reason)
        }
        // Every backend there is alike, and so is the request everywhere.
        Reason::NotSupported | Reason::BadRequest => Failure::Never(reason),
        reason => Failure::Sent(reason),
    }
}

async fn leave<M: Fn() -> bool>(tunnel: &Tunnel, request: &Relayed<'_, M>) {
    tunnel.suspected().await;
    if !((request.may_leave)() && request.upload.is_whole() && request.head.method.is_idempotent()) {
        pending::<()>().await;
    }
}

fn answer(
    head: ResponseHead,
    reader: FrameReader<ResponseProtocol>,
    accepted: Moment,
    kept: (TunnelGuard, Option<Task>),
) -> http::Response<Box<TunnelBody>> {
    let is_upgrade = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let length = if is_upgrade { BodyLength::Unknown } else { head.body };
    let reader = reader.watched_by(kept.0.backlog(), length);
    let body = TunnelBody::answer(reader, length, accepted, kept);
    let mut response = http::Response::new(Box::new(body));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

const UNSENT: Failure = Failure::Unsent(Reason::TunnelLost);

#[cfg(test)]
mod tests;
