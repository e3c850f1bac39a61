//! The machine's sockets.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use quinn::Runtime;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::{Listener, Net, Stream};

/// Kernel sockets.
#[derive(Debug)]
pub(super) struct SystemNet;

#[async_trait]
impl Net for SystemNet {
    fn listen(&self, address: SocketAddr, shared: bool) -> io::Result<Box<dyn Listener>> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(ACCEPT_BACKLOG)?;
        Ok(Box::new(SystemListener(TcpListener::from_std(socket.into())?)))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(SystemStream(stream)))
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<Arc<dyn quinn::AsyncUdpSocket>> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        // The kernel grants what its limits allow; a smaller buffer costs throughput, not correctness.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(UDP_BUFFER_BYTES);
        socket.bind(&address.into())?;
        quinn::TokioRuntime.wrap_udp_socket(socket.into())
    }
}

#[derive(Debug)]
struct SystemListener(TcpListener);

impl Listener for SystemListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        self.0.poll_accept(cx).map_ok(|(stream, peer)| {
            // A connection that cannot be set up so still works, only slower.
            let _ = stream.set_nodelay(true);
            (Box::new(SystemStream(stream)) as Stream, peer)
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A kernel connection. Short pieces are sent as one: copying them costs less than a vectored call.
#[derive(Debug)]
struct SystemStream(TcpStream);

impl AsyncRead for SystemStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SystemStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [only] = pieces {
            return stream.poll_write(cx, only);
        }
        let mut joined = [0; JOINED_BYTES_MAX];
        let mut length = 0;
        for piece in pieces {
            match joined.get_mut(length..length + piece.len()) {
                Some(room) => room.copy_from_slice(piece),
                None => return stream.poll_write_vectored(cx, pieces),
            }
            length += piece.len();
        }
        stream.poll_write(cx, &joined[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Connections the kernel holds until they are accepted.
const ACCEPT_BACKLOG: i32 = 1_024;
/// Asked for each UDP socket and direction.
const UDP_BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// Up to here pieces are copied together before they are sent.
const JOINED_BYTES_MAX: usize = 1024;
