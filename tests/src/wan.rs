//! The network between regions: relays that pass datagrams on after the delay of the distance.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use graticule::demo::wan::{Link, steady};
use tokio::sync::oneshot;

/// One way to dial a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Road {
    /// The node's control endpoint; its workers are on the ports after it.
    pub(crate) target: SocketAddr,
    /// How long a datagram takes.
    pub(crate) one_way: Duration,
}

/// Relays on a thread of their own, so that a busy test delays nothing.
#[derive(Debug)]
pub(crate) struct Wan {
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Wan {
    /// Makes every road; gives the address to dial for each.
    pub(crate) async fn start(roads: Vec<Road>, ports: u16) -> (Self, Vec<SocketAddr>) {
        let (stop, stopped) = oneshot::channel();
        let (ready, addresses) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default())
                .expect("a runtime for the network");
            runtime.block_on(async {
                let opened = roads.into_iter().map(|road| open(road, ports)).collect();
                // An error means that the test is over.
                let _ = ready.send(opened);
                let _ = stopped.await;
            });
        });
        (Self { running: Some((stop, thread)) }, addresses.await.expect("the network's addresses"))
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn open(road: Road, ports: u16) -> SocketAddr {
    let link = Link::bind(road.target, ports, steady(road.one_way)).expect("ports for a link");
    let address = link.base().expect("a link's address");
    link.start();
    address
}
