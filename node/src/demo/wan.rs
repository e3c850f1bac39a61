//! A wide-area network on one machine: relays that pass datagrams on as a link would, late, twice or not at all.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::task;

mod relays;

pub use relays::{Relays, Road};

/// One direction of dialling between two nodes: what arrives at its ports goes on to the target's, and back.
pub struct Link {
    sockets: Vec<UdpSocket>,
    target: SocketAddr,
    weather: Weather,
}

/// How a datagram of so many bytes fares: how long each of its copies takes, none if it gets lost.
pub type Weather = Arc<dyn Fn(Way, usize) -> [Option<Duration>; 2] + Send + Sync>;

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the node that dialled.
    There,
    /// To it.
    Back,
}

/// Every datagram takes this long.
pub fn steady(one_way: Duration) -> Weather {
    Arc::new(move |_, _| [Some(one_way), None])
}

impl Link {
    /// A link on `ports` consecutive ports of loopback, towards those from `target` on.
    pub fn bind(target: SocketAddr, ports: u16, weather: Weather) -> io::Result<Self> {
        let sockets = consecutive(ports)?;
        let sockets = sockets.into_iter().map(UdpSocket::from_std).collect::<io::Result<_>>()?;
        Ok(Self { sockets, target, weather })
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
            task::spawn_detached("wan link", relay(Arc::new(socket), target, Arc::clone(&self.weather)));
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

/// A datagram that is under way. The first to arrive is the first to be delivered.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Passing {
    arrives: Instant,
    number: u64,
    datagram: Vec<u8>,
}

/// One socket's flows, by who sends.
async fn relay(socket: Arc<UdpSocket>, target: SocketAddr, weather: Weather) {
    let mut flows: HashMap<SocketAddr, Departures> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // A datagram that could not be delivered earlier is reported here; the next may arrive.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if flows.len() >= FLOWS_MAX && !flows.contains_key(&from) {
            flows.clear();
        }
        let flow = match flows.get_mut(&from) {
            Some(flow) => flow,
            None => match open_flow(&socket, from, target, &weather).await {
                Ok(flow) => flows.entry(from).or_insert(flow),
                Err(error) => {
                    tracing::warn!(%error, "cannot open a flow through the relay");
                    continue;
                }
            },
        };
        flow.depart(&buffer[..length]);
    }
}

/// Where datagrams of one direction of one flow leave.
struct Departures {
    way: Way,
    weather: Weather,
    queue: mpsc::Sender<Passing>,
    departed: u64,
}

impl Departures {
    fn depart(&mut self, datagram: &[u8]) {
        for late in (self.weather)(self.way, datagram.len()).into_iter().flatten() {
            self.departed += 1;
            let passing =
                Passing { arrives: now() + late, number: self.departed, datagram: datagram.to_vec() };
            // A full queue loses datagrams, as a router's would.
            let _ = self.queue.try_send(passing);
        }
    }
}

/// Both directions of one flow; ends when its sender is dropped.
async fn open_flow(
    socket: &Arc<UdpSocket>,
    from: SocketAddr,
    target: SocketAddr,
    weather: &Weather,
) -> io::Result<Departures> {
    let upstream = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
    let direction = |way| {
        let (queue, arrivals) = mpsc::channel(QUEUE_DATAGRAMS_MAX);
        (Departures { way, weather: Arc::clone(weather), queue, departed: 0 }, arrivals)
    };
    let ((there, arrivals), (back, back_arrivals)) = (direction(Way::There), direction(Way::Back));
    let listening = task::spawn("wan flow", receive(Arc::clone(&upstream), back));
    task::spawn_detached("wan flow", async move {
        deliver(upstream, target, arrivals).await;
        drop(listening);
    });
    task::spawn_detached("wan flow", deliver(Arc::clone(socket), from, back_arrivals));
    Ok(there)
}

async fn receive(socket: Arc<UdpSocket>, mut departures: Departures) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut buffer).await else { continue };
        departures.depart(&buffer[..length]);
    }
}

/// Delivers datagrams when they arrive, which need not be in the order in which they left.
async fn deliver(socket: Arc<UdpSocket>, to: SocketAddr, mut queue: mpsc::Receiver<Passing>) {
    let mut under_way = BinaryHeap::new();
    loop {
        let next = under_way.peek().map(|Reverse(Passing { arrives, .. })| *arrives);
        tokio::select! {
            biased;
            () = sleep_until(next.unwrap_or_else(now)), if next.is_some() => {
                if let Some(Reverse(passing)) = under_way.pop() {
                    // Nobody there is what the network is like when a node is gone.
                    let _ = socket.send_to(&passing.datagram, to).await;
                }
            }
            departed = queue.recv(), if under_way.len() < QUEUE_DATAGRAMS_MAX => match departed {
                Some(passing) => under_way.push(Reverse(passing)),
                None => return,
            }
        }
    }
}

fn now() -> Instant {
    Instant::now()
}

const BIND_ATTEMPTS_MAX: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Flows of one socket; beyond them all begin anew.
const FLOWS_MAX: usize = 256;
/// Datagrams under way in one direction of one flow, and as many that wait to be.
const QUEUE_DATAGRAMS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A client that talks to a server through a link: both sockets, and the address to send to.
    async fn linked(weather: Weather) -> (UdpSocket, UdpSocket, SocketAddr) {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let link = Link::bind(server.local_addr().unwrap(), 1, weather).unwrap();
        let base = link.base().unwrap();
        link.start();
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), server, base)
    }

    fn run(test: impl Future<Output = ()>) {
        task::local_runtime().unwrap().block_on(test);
    }

    #[test]
    fn weather_decides_how_often_and_in_which_order_datagrams_arrive() {
        run(async {
            let ms = Duration::from_millis;
            let sent = AtomicU32::new(0);
            let (client, server, base) = linked(Arc::new(move |way, bytes| {
                assert_eq!((way, bytes), (Way::There, 1));
                match sent.fetch_add(1, Ordering::Relaxed) {
                    0 => [Some(ms(60)), None],
                    1 => [None, None],
                    _ => [Some(ms(20)), Some(ms(100))],
                }
            }))
            .await;
            for datagram in [b"a", b"b", b"c"] {
                client.send_to(datagram, base).await.unwrap();
            }
            let mut arrived = String::new();
            while arrived.len() < 3 {
                let mut buffer = [0; 16];
                let (length, _) = server.recv_from(&mut buffer).await.unwrap();
                arrived += std::str::from_utf8(&buffer[..length]).unwrap();
            }
            assert_eq!(arrived, "cac", "the first was overtaken, the second lost, the third doubled");
        });
    }

    #[test]
    fn datagrams_arrive_in_order_after_the_delay_and_answers_come_back() {
        run(async {
            let (client, server, base) = linked(steady(Duration::from_millis(40))).await;
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
