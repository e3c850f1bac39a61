//! A wide-area network on one machine: relays that pass datagrams on after the delay of a distance.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::task;

/// One direction of dialling between two nodes: what arrives at its ports goes on to the target's, and back.
#[derive(Debug)]
pub struct Link {
    sockets: Vec<UdpSocket>,
    target: SocketAddr,
    one_way: Duration,
}

impl Link {
    /// A link on `ports` consecutive ports of loopback, towards those from `target` on.
    pub fn bind(target: SocketAddr, ports: u16, one_way: Duration) -> io::Result<Self> {
        let sockets = consecutive(ports)?;
        let sockets = sockets.into_iter().map(UdpSocket::from_std).collect::<io::Result<_>>()?;
        Ok(Self { sockets, target, one_way })
    }

    /// The first of its ports.
    pub fn base(&self) -> io::Result<SocketAddr> {
        self.sockets.first().ok_or(io::ErrorKind::NotFound)?.local_addr()
    }

    /// Passes datagrams on until this thread's runtime ends.
    pub fn start(self) {
        for (at, socket) in self.sockets.into_iter().enumerate() {
            let mut target = self.target;
            target.set_port(self.target.port() + at as u16);
            task::spawn_detached("wan link", relay(Arc::new(socket), target, self.one_way));
        }
    }
}

/// Consecutive free UDP ports of loopback, bound.
pub fn consecutive(ports: u16) -> io::Result<Vec<std::net::UdpSocket>> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..BIND_ATTEMPTS_MAX {
        match bind_run(ports) {
            Ok(sockets) => return Ok(sockets),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_run(ports: u16) -> io::Result<Vec<std::net::UdpSocket>> {
    let bind = |port: u16| {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let first = bind(0)?;
    let base = first.local_addr()?.port();
    let rest = (1..ports).map(|at| bind(base.checked_add(at).ok_or(io::ErrorKind::AddrInUse)?));
    std::iter::once(Ok(first)).chain(rest).collect()
}

/// A datagram, when it arrives, and where.
type Passing = (Instant, Vec<u8>);

/// One socket's flows, by who sends.
async fn relay(socket: Arc<UdpSocket>, target: SocketAddr, one_way: Duration) {
    let mut flows: HashMap<SocketAddr, mpsc::Sender<Passing>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // A datagram that could not be delivered earlier is reported here; the next may arrive.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if flows.len() >= FLOWS_MAX && !flows.contains_key(&from) {
            flows.clear();
        }
        let flow = match flows.get(&from) {
            Some(flow) => flow,
            None => match open_flow(&socket, from, target, one_way).await {
                Ok(flow) => flows.entry(from).or_insert(flow),
                Err(error) => {
                    tracing::warn!(%error, "cannot open a flow through the demo's network");
                    continue;
                }
            },
        };
        // A full queue loses datagrams, as a router's would.
        let _ = flow.try_send((now() + one_way, buffer[..length].to_vec()));
    }
}

/// Both directions of one flow; ends when its sender is dropped.
async fn open_flow(
    socket: &Arc<UdpSocket>,
    from: SocketAddr,
    target: SocketAddr,
    one_way: Duration,
) -> io::Result<mpsc::Sender<Passing>> {
    let upstream = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
    let (there, queue) = mpsc::channel(QUEUE_DATAGRAMS_MAX);
    let (back, back_queue) = mpsc::channel(QUEUE_DATAGRAMS_MAX);
    let listening = task::spawn("wan flow", receive(Arc::clone(&upstream), back, one_way));
    task::spawn_detached("wan flow", async move {
        deliver(upstream, target, queue).await;
        drop(listening);
    });
    task::spawn_detached("wan flow", deliver(Arc::clone(socket), from, back_queue));
    Ok(there)
}

async fn receive(socket: Arc<UdpSocket>, queue: mpsc::Sender<Passing>, one_way: Duration) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut buffer).await else { continue };
        let _ = queue.try_send((now() + one_way, buffer[..length].to_vec()));
    }
}

async fn deliver(socket: Arc<UdpSocket>, to: SocketAddr, mut queue: mpsc::Receiver<Passing>) {
    while let Some((at, datagram)) = queue.recv().await {
        sleep_until(at).await;
        // Nobody there is what the network is like when a node is gone.
        let _ = socket.send_to(&datagram, to).await;
    }
}

fn now() -> Instant {
    Instant::now()
}

const BIND_ATTEMPTS_MAX: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Flows of one socket; beyond them all begin anew.
const FLOWS_MAX: usize = 256;
/// Datagrams under way in one direction of one flow.
const QUEUE_DATAGRAMS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive_in_order_after_the_delay_and_answers_come_back() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let link = Link::bind(server.local_addr().unwrap(), 1, Duration::from_millis(40)).unwrap();
            let base = link.base().unwrap();
            link.start();
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let sent = now();
            client.send_to(b"first", base).await.unwrap();
            client.send_to(b"second", base).await.unwrap();
            let mut buffer = [0; 16];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], b"first");
            assert!(now() - sent >= Duration::from_millis(40));
            server.send_to(b"answer", from).await.unwrap();
            let (length, _) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], b"second");
            let (length, from) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..length], from), (&b"answer"[..], base));
            assert!(now() - sent >= Duration::from_millis(80));
        });
    }
}
