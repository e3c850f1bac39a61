//! What peers send over control tunnels on streams: gossip, questions for exceptions, and admin calls.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use graticule_gossip::Inbound;
use graticule_node_core::framing::{
    self, AdminAnswer, AdminAnswerDecoder, AdminCall, AdminCallDecoder, Decoder, FramingError, Protocol,
    StreamKind,
};
use quinn::{Connection, RecvStream, SendStream};
use tokio::time::timeout;

use super::{Link, Mesh, Role};
use crate::body::BodyError;
use crate::identity::PeerIdentity;
use crate::task;
use crate::tunnel;

/// Answers the admin calls of other nodes.
#[derive(Clone)]
pub struct AdminHandler(Rc<dyn Fn(AdminCall) -> AdminAnswer>);

impl AdminHandler {
    /// A handler that answers with `answer`.
    pub fn new(answer: impl Fn(AdminCall) -> AdminAnswer + 'static) -> Self {
        Self(Rc::new(answer))
    }
}

impl fmt::Debug for AdminHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminHandler")
    }
}

impl Mesh {
    /// Enters a tunnel and serves what comes over it until it ends.
    pub(super) async fn serve_link(self: Rc<Self>, connection: Connection, peer: PeerIdentity, role: Role) {
        let node = peer.node.clone();
        let entered = match self.links.enter(connection.clone(), peer, role) {
            Ok(entered) => entered,
            Err(refusal) => {
                tracing::warn!(%node, reason = refusal.text(), "refused a peer");
                return refusal.close(&connection);
            }
        };
        let link = entered.link();
        self.links.learn_address(link.connection.remote_address(), &link.peer.node);
        let probes = task::spawn("probes", {
            let (mesh, link) = (Rc::clone(&self), Rc::clone(link));
            async move { mesh.serve_probes(&link).await }
        });
        tokio::join!(self.serve_uni(link), self.serve_bi(link));
        drop(probes);
    }

    async fn serve_uni(self: &Rc<Self>, link: &Rc<Link>) {
        while let Ok(stream) = link.connection.accept_uni().await {
            let (mesh, link) = (Rc::clone(self), Rc::clone(link));
            task::spawn_detached("gossip stream", async move {
                if let Err(error) = mesh.take_gossip(&link, stream).await {
                    tracing::debug!(node = %link.peer.node, %error, "a gossip message was broken off");
                }
            });
        }
    }

    async fn take_gossip(&self, link: &Link, mut stream: RecvStream) -> Result<(), BodyError> {
        let kind = timeout(READ_TIMEOUT, tunnel::kind(&mut stream)).await??;
        if kind != StreamKind::Gossip {
            return Err(format!("a stream of kind {kind:?} carries no gossip").into());
        }
        let message = framing::decode_gossip(read_all(&mut stream, framing::GOSSIP_BYTES_MAX).await?)?;
        let node = link.peer.node.clone();
        let announced = self.view.borrow().members.get(&node).map(|member| member.announcement.mesh.base);
        let from = announced.unwrap_or_else(|| link.connection.remote_address());
        // A full queue means that gossip is behind; it repeats itself.
        let _ = self.gossip_in.try_send(Inbound { from, node, message });
        Ok(())
    }

    async fn serve_bi(self: &Rc<Self>, link: &Rc<Link>) {
        while let Ok((sender, receiver)) = link.connection.accept_bi().await {
            let (mesh, link) = (Rc::clone(self), Rc::clone(link));
            task::spawn_detached("control stream", async move {
                let answered = timeout(CALL_TIMEOUT, mesh.answer(sender, receiver)).await;
                if let Err(error) = answered.unwrap_or_else(|_| Err("it took too long".into())) {
                    tracing::debug!(node = %link.peer.node, %error, "a control call was broken off");
                }
            });
        }
    }

    async fn answer(&self, mut sender: SendStream, mut receiver: RecvStream) -> Result<(), BodyError> {
        let kind = timeout(READ_TIMEOUT, tunnel::kind(&mut receiver)).await??;
        let bytes = read_all(&mut receiver, CALL_BYTES_MAX).await?;
        let mut answer = BytesMut::new();
        match kind {
            StreamKind::Exceptions => {
                framing::encode_exceptions(&self.tracking.exceptions(), &mut answer)?;
            }
            StreamKind::Admin => {
                let call = only(AdminCallDecoder::new(), bytes)?;
                (self.admin.0)(call).encode(&mut answer)?;
            }
            kind => return Err(format!("a stream of kind {kind:?} is not for a control tunnel").into()),
        }
        let answer = answer.freeze();
        sender.write_chunk(answer).await?;
        sender.finish()?;
        Ok(())
    }

    /// Passes one admin call to a peer and waits for its answer.
    pub async fn call_admin(
        &self,
        node: &graticule_gossip_core::NodeName,
        call: AdminCall,
    ) -> Result<AdminAnswer, String> {
        let link = self.links.to(node).ok_or_else(|| format!("there is no tunnel to `{node}`"))?;
        let failed = |error: BodyError| format!("the call to `{node}` failed: {error}");
        let mut message = BytesMut::new();
        call.encode(&mut message).map_err(|error| failed(error.into()))?;
        let exchange = exchange(&link.connection, StreamKind::Admin, &message, REMOTE_ADMIN_BYTES_MAX);
        let bytes = timeout(REMOTE_ADMIN_TIMEOUT, exchange)
            .await
            .map_err(|_| format!("`{node}` did not answer within {} s", REMOTE_ADMIN_TIMEOUT.as_secs()))?
            .map_err(failed)?;
        only(AdminAnswerDecoder::new(), bytes).map_err(failed)
    }
}

/// Sends one message on a stream of its own and reads the answer to its end.
pub(super) async fn exchange(
    connection: &Connection,
    kind: StreamKind,
    message: &[u8],
    answer_bytes_max: usize,
) -> Result<Bytes, BodyError> {
    let exchanged = async {
        let (mut sender, mut receiver) = connection.open_bi().await?;
        let mut whole = BytesMut::from(&kind.preface()[..]);
        whole.extend_from_slice(message);
        sender.write_chunk(whole.freeze()).await?;
        sender.finish()?;
        read_all(&mut receiver, answer_bytes_max).await
    };
    // Also for a peer that lets nothing be opened or written: nobody waits without end.
    timeout(READ_TIMEOUT, exchanged).await?
}

/// The one frame that `bytes` are.
pub(super) fn only<P: Protocol>(mut decoder: Decoder<P>, bytes: Bytes) -> Result<P::Frame, BodyError> {
    decoder.push(bytes);
    let frame = decoder.next()?.ok_or(FramingError::Truncated)?;
    decoder.finish()?;
    Ok(frame)
}

/// The rest of a stream. In order, because its kind was read in order: a switch to `read_to_end`, which reads as bytes
/// come, counts those twice that came twice, and then never sees the end.
async fn read_all(stream: &mut RecvStream, bytes_max: usize) -> Result<Bytes, BodyError> {
    let reading = async {
        let mut whole = BytesMut::new();
        while let Some(chunk) = stream.read_chunk(READ_BYTES_MAX, true).await? {
            if whole.len() + chunk.bytes.len() > bytes_max {
                return Err(BodyError::from(format!("more than {bytes_max} bytes")));
            }
            whole.extend_from_slice(&chunk.bytes);
        }
        Ok(whole.freeze())
    };
    timeout(READ_TIMEOUT, reading).await?
}

/// An answer to an admin call of another node.
pub const REMOTE_ADMIN_BYTES_MAX: usize = framing::ADMIN_BODY_BYTES_MAX + 64;
const REMOTE_ADMIN_TIMEOUT: Duration = Duration::from_secs(3);
/// A call.
const CALL_BYTES_MAX: usize = 4 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Taken from a stream at a time.
const READ_BYTES_MAX: usize = 64 * 1024;
/// From the first byte of a peer's call to the last of its answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
