//! The machine's sockets.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use quinn::Runtime;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::{Arrival, Listener, Net, Reset, Stream};

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
        Ok(Box::new(SystemStream::new(stream)))
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
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        self.0.poll_accept(cx).map_ok(|(stream, peer)| {
            // A connection that cannot be set up so still works, only slower.
            let _ = stream.set_nodelay(true);
            let stream = SystemStream::new(stream);
            let reset = stream.reset();
            Arrival { stream: Box::new(stream), peer, reset }
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A kernel connection. Short pieces are sent as one: copying them costs less than a vectored call.
#[derive(Debug)]
struct SystemStream {
    reader: OwnedReadHalf,
    writer: Arc<Writer>,
}

/// The half that sends, which whoever watches for a reset holds, too: the other cannot be shared, but has the library's
/// way of reading, which saves a call for each piece.
#[derive(Debug)]
struct Writer(Option<OwnedWriteHalf>);

impl SystemStream {
    fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader, writer: Arc::new(Writer(Some(writer))) }
    }

    /// The kernel tells of an error whether anybody reads or not.
    fn reset(&self) -> Reset {
        let writer = Arc::clone(&self.writer);
        Box::pin(async move {
            if let Ok(half) = writer.half() {
                // It fails when the runtime ends.
                let _ = half.ready(Interest::ERROR).await;
            }
        })
    }
}

impl Writer {
    fn half(&self) -> io::Result<&OwnedWriteHalf> {
        self.0.as_ref().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&OwnedWriteHalf) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let half = self.half()?;
        loop {
            ready!(half.as_ref().poll_write_ready(cx))?;
            match write(half) {
                // Now it is known not to be ready.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // By itself it would say an orderly end first.
        self.0.take().into_iter().for_each(OwnedWriteHalf::forget);
    }
}

impl AsyncRead for SystemStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SystemStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer.poll_send(cx, |half| half.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = pieces {
            return self.poll_write(cx, only);
        }
        let mut joined = [0; JOINED_BYTES_MAX];
        let mut length = 0;
        for piece in pieces {
            match joined.get_mut(length..length + piece.len()) {
                Some(room) => room.copy_from_slice(piece),
                None => return self.writer.poll_send(cx, |half| half.try_write_vectored(pieces)),
            }
            length += piece.len();
        }
        self.poll_write(cx, &joined[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let half = self.writer.half()?;
        Poll::Ready(SockRef::from(half.as_ref()).shutdown(Shutdown::Write))
    }
}

/// Connections the kernel holds until they are accepted.
const ACCEPT_BACKLOG: i32 = 1_024;
/// Asked for each UDP socket and direction.
const UDP_BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// Up to here pieces are copied together before they are sent.
const JOINED_BYTES_MAX: usize = 1024;
