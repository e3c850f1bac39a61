//! What the tests share: hosts that need no map, and a socket to look at single datagrams.

use std::future::poll_fn;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use graticule::world::{Arrival, Listener, Stream};
use graticule_geo::Coordinates;
use quinn::AsyncUdpSocket;
use quinn::udp::{RecvMeta, Transmit};

use crate::{Host, Simulation};

/// The next host, `10.0.0.n` and `fd00::n`, all at one place.
pub(crate) fn host(simulation: &Simulation, number: u8) -> Host {
    let addresses = [[10, 0, 0, number].into(), [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(number)].into()];
    let here = Coordinates::new(50.1, 8.7).unwrap();
    simulation.host(&format!("host-{number}"), here, &addresses).unwrap()
}

/// Two hosts, so many milliseconds apart.
pub(crate) fn pair(simulation: &Simulation, latency_ms: u64) -> (Host, Host) {
    let (one, other) = (host(simulation, 1), host(simulation, 2));
    simulation.shape_both(&one, &other, |link| link.latency = Duration::from_millis(latency_ms));
    (one, other)
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) async fn accept(listener: &dyn Listener) -> (Stream, SocketAddr) {
    let Arrival { stream, peer, .. } = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    (stream, peer)
}

/// A listener and both ends of a connection to it.
pub(crate) async fn connected(client: &Host, server: &Host) -> (Stream, Stream) {
    let to = SocketAddr::new(server.addresses()[0], 80);
    let listener = server.world().net.listen(to, false).unwrap();
    let near = client.world().net.connect(to).await.unwrap();
    let (far, _) = accept(&*listener).await;
    (near, far)
}

pub(crate) fn udp(host: &Host, address: &str) -> Arc<dyn AsyncUdpSocket> {
    host.world().net.bind_udp(at(address)).unwrap()
}

/// A transmit of one datagram.
pub(crate) fn datagram<'a>(to: &str, contents: &'a [u8]) -> Transmit<'a> {
    Transmit { destination: at(to), ecn: None, contents, segment_size: None, src_ip: None }
}

/// The next datagram of a socket.
pub(crate) async fn receive(socket: &dyn AsyncUdpSocket) -> (Vec<u8>, RecvMeta) {
    let mut buffer = vec![0; 65_536];
    let mut meta = [RecvMeta::default()];
    let read = poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta)).await;
    assert_eq!(read.unwrap(), 1);
    buffer.truncate(meta[0].len);
    (buffer, meta[0])
}
