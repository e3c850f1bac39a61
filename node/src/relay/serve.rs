//! Relayed requests as the serving node takes them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use graticule_node_core::Reason;
use graticule_node_core::framing::{
    BodyLength, RequestDecoder, RequestFrame, RequestHead, RequestProtocol, ResponseHeadRef, StreamKind,
};
use http::StatusCode;
use http_body::{Body, Frame};
use quinn::{Connection, RecvStream, SendStream, WriteError};

use super::TunnelBody;
use super::limit::within;
use crate::body::{BodyError, RequestBody, ResponseBody};
use crate::early::{Early, Heads, Heard, Listener};
use crate::task;
use crate::tunnel::{Backlog, FrameReader, FrameWriter, Reset, StreamRoom};

/// Serves relayed requests; the rest of the node, as the tunnel sees it.
pub trait Server: 'static {
    /// What [`Server::admit`] found out and [`Server::forward`] needs.
    type Admission;

    /// Whether this node takes the request. Asked before anything else is done with it.
    fn admit(self: &Rc<Self>, head: &RequestHead) -> Result<Self::Admission, Reason>;

    /// Whether this node is about to close its tunnels.
    fn is_leaving(&self) -> bool;

    /// Passes an admitted request on to a backend. Dropped when the edge goes away.
    fn forward(
        self: Rc<Self>,
        admission: Self::Admission,
        head: RequestHead,
        body: RequestBody,
        listener: Option<Listener>,
    ) -> impl Future<Output = Result<http::Response<ResponseBody>, Reason>>;

    /// Whether what backends say before their answers is passed on.
    fn passes_on_informational(&self, admission: &Self::Admission) -> bool;
}

/// Serves every request of one tunnel until its connection ends; `backlog` has the readers of their bodies.
pub async fn serve_connection<S: Server>(connection: Connection, server: Rc<S>, backlog: Backlog) {
    let room = StreamRoom::default();
    while let Ok((sender, receiver)) = connection.accept_bi().await {
        let place = room.take(&connection);
        // Boxed: the runtime moves what it is given several times, and this is a few thousand bytes.
        let serving =
            Box::pin(serve(Rc::clone(&server), connection.clone(), (sender, receiver), backlog.clone()));
        task::spawn_detached("relayed request", async move {
            if let Err(error) = serving.await {
                tracing::debug!(%error, "a relayed request was broken off");
            }
            drop(place);
        });
    }
}

async fn serve<S: Server>(
    server: Rc<S>,
    connection: Connection,
    (sender, receiver): (SendStream, RecvStream),
    backlog: Backlog,
) -> Result<(), BodyError> {
    let mut writer = FrameWriter::new(connection, sender, FrameWriter::buffer());
    let (admission, head, body) = match begin(&server, &mut writer, receiver, &backlog).await? {
        Ok(begun) => begun,
        Err(reason) => return Ok(writer.refused(reason).await?),
    };
    let mut stopped = pin!(writer.stopped());
    let hints = server.passes_on_informational(&admission).then(|| Heard::default().split());
    let (mut said_early, listener) = hints.unzip();
    let mut forwarding = pin!(Rc::clone(&server).forward(admission, head, body, listener));
    let answer = loop {
        tokio::select! {
            biased;
            early = next(&mut said_early) => writer.informational(early.status, &early.headers).await?,
            answer = &mut forwarding => break answer,
            () = &mut stopped => return Ok(()),
        }
    };
    match answer {
        Err(reason) => Ok(writer.refused(reason).await?),
        Ok(answer) => {
            let (parts, mut body) = answer.into_parts();
            tokio::select! {
                biased;
                sent = pass_on(writer, parts, &mut body) => sent?,
                () = &mut stopped => return Ok(()),
            }
            // With its tunnel an answer is lost that has not arrived: the body, which counts as in flight, lives until then.
            if server.is_leaving() {
                stopped.await;
            }
            Ok(())
        }
    }
}

/// The next informational response, if any is waited for.
async fn next(heads: &mut Option<Heads>) -> Box<Early> {
    match heads {
        Some(heads) => heads.next().await,
        None => std::future::pending().await,
    }
}

type Begun<A> = (A, RequestHead, RequestBody);

/// Reads a request's head and says `accepted`, or returns why the request is not taken.
async fn begin<S: Server>(
    server: &Rc<S>,
    writer: &mut FrameWriter,
    receiver: RecvStream,
    backlog: &Backlog,
) -> Result<Result<Begun<S::Admission>, Reason>, BodyError> {
    let head = within(HEAD_TIMEOUT, read_head(receiver)).await;
    let (head, reader) = head.ok_or("a stream was opened, and no head came")??;
    let admission = match server.admit(&head) {
        Ok(admission) => admission,
        Err(reason) => return Ok(Err(reason)),
    };
    writer.accepted().await?;
    let length = if head.upgrade { BodyLength::Unknown } else { head.body };
    let reader = reader.watched_by(backlog, length);
    let body = RequestBody::tunnel(TunnelBody::request(reader, length));
    Ok(Ok((admission, head, body)))
}

async fn read_head(receiver: RecvStream) -> Result<(RequestHead, FrameReader<RequestProtocol>), BodyError> {
    let (kind, mut reader) = FrameReader::begin(receiver, RequestDecoder::new()).await?;
    if kind != StreamKind::Request {
        return Err(format!("a stream of kind {kind:?} is not for a worker").into());
    }
    match reader.next().await? {
        Some(RequestFrame::Head(head)) => Ok((head, reader)),
        _ => Err("the stream ended before its head".into()),
    }
}

/// Sends an answer; what of its body is there already leaves together with its head.
async fn pass_on(
    mut writer: FrameWriter,
    parts: http::response::Parts,
    body: &mut ResponseBody,
) -> Result<(), BodyError> {
    let is_upgrade = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let length = if is_upgrade || body.is_end_stream() {
        BodyLength::None
    } else {
        body.size_hint().exact().map_or(BodyLength::Unknown, BodyLength::Known)
    };
    let head = ResponseHeadRef { status: parts.status, headers: &parts.headers, body: length };
    if let Err(error) = writer.head(head) {
        tracing::warn!(%error, "a backend's answer cannot cross a tunnel");
        return Ok(writer.refused(Reason::BackendFailed).await?);
    }
    if is_upgrade {
        writer.set_length(BodyLength::Unknown);
    }
    loop {
        let Some(frame) = next_or_flush(&mut writer, body).await? else { break };
        match frame.map(Frame::into_data) {
            Err(error) => {
                tracing::debug!(%error, "a backend's answer broke off");
                writer.reset(Reset::UpstreamFailed);
                return Ok(());
            }
            Ok(Ok(chunk)) => writer.data(chunk).await?,
            Ok(Err(frame)) => frame.into_trailers().iter().for_each(|trailers| writer.trailers(trailers)),
        }
    }
    Ok(writer.finish().await?)
}

type NextFrame = Option<Result<Frame<bytes::Bytes>, BodyError>>;

/// The next frame if it is there; else sends what has been put in front, and waits.
async fn next_or_flush(writer: &mut FrameWriter, body: &mut ResponseBody) -> Result<NextFrame, WriteError> {
    let ready = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(frame) => Poll::Ready(Some(frame)),
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(frame) = ready.await {
        return Ok(frame);
    }
    writer.flush().await?;
    Ok(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await)
}

/// How long a peer may take to send a request's head after it has opened the stream.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
