//! A connection as its holder sees it.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::EndId;
use super::connection::Connection;
use crate::network::{Life, Network, State, Wire};

/// One end of a connection, held by a node; it is closed when dropped.
///
/// The process of a crashed host waits for ever: no operation of its streams ends.
#[derive(Debug)]
pub(crate) struct MemoryStream {
    network: Arc<Network>,
    end: EndId,
}

impl MemoryStream {
    /// Opens a connection. Ends when the other host answers, or after two minutes of silence.
    pub(crate) async fn connect(network: &Arc<Network>, life: Life, to: SocketAddr) -> io::Result<Self> {
        let end = network.enter(|state| state.tcp.connect(&mut state.wire, life, to))?;
        let stream = Self { network: Arc::clone(network), end };
        timeout(CONNECT_MAX, poll_fn(|cx| stream.poll(|connection, _| connection.poll_established(cx))))
            .await??;
        Ok(stream)
    }

    /// A connection that came to a listener.
    pub(super) fn accepted(network: &Arc<Network>, end: EndId) -> Self {
        Self { network: Arc::clone(network), end }
    }

    /// Ends when the connection has broken, whether or not anybody reads.
    pub(super) fn reset(&self) -> impl Future<Output = ()> + Send + use<> {
        let (network, end) = (Arc::clone(&self.network), self.end);
        poll_fn(move |cx| poll(&network, end, |connection, _| connection.poll_failed(end.side, cx)))
    }

    fn poll<T>(&self, act: impl FnOnce(&mut Connection, &mut Wire) -> Poll<T>) -> Poll<T> {
        poll(&self.network, self.end, act)
    }
}

fn poll<T>(
    network: &Network,
    end: EndId,
    act: impl FnOnce(&mut Connection, &mut Wire) -> Poll<T>,
) -> Poll<T> {
    network.enter(|State { wire, tcp, .. }| match tcp.connections.get_mut(&end.connection) {
        Some(connection) => act(connection, wire),
        None => Poll::Pending,
    })
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.network.enter(|state| state.tcp.close(&mut state.wire, self.end));
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(|connection, wire| connection.poll_read(wire, self.end.side, cx, buffer))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(|connection, wire| connection.poll_write(wire, self.end.side, cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|connection, wire| {
            connection.shut_down(wire, self.end.side);
            Poll::Ready(Ok(()))
        })
    }
}

/// How long a client waits for an answer: its first packet and six more; as on Linux.
const CONNECT_MAX: Duration = Duration::from_secs(127);
