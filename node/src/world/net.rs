//! The machine's sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use quinn::Runtime;
use socket2::{Domain, Protocol, Socket, Type};
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
        Ok(Box::new(stream))
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
            (Box::new(stream) as Stream, peer)
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Connections the kernel holds until they are accepted.
const ACCEPT_BACKLOG: i32 = 1_024;
/// Asked for each UDP socket and direction.
const UDP_BUFFER_BYTES: usize = 2 * 1024 * 1024;
