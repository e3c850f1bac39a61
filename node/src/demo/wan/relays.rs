//! Links on a thread of their own, so that whatever else the process does delays nothing.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::{Link, Weather};
use crate::task;

/// One way to dial a node.
#[derive(Clone)]
pub struct Road {
    /// The node's control endpoint; its workers are on the ports after it.
    pub target: SocketAddr,
    /// How many ports it has.
    pub ports: u16,
    /// How datagrams fare.
    pub weather: Weather,
}

/// Links at work; they end with this.
#[derive(Debug)]
pub struct Relays {
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Relays {
    /// Makes a link for every road; gives the address to dial for each. Errors: no free ports, or no thread.
    pub async fn start(roads: Vec<Road>) -> io::Result<(Self, Vec<SocketAddr>)> {
        let (stop, stopped) = oneshot::channel();
        let (ready, bases) = oneshot::channel();
        let thread =
            thread::Builder::new().name("wan".to_owned()).spawn(move || match task::local_runtime() {
                Ok(runtime) => runtime.block_on(async {
                    // An error means that nobody waits any more.
                    let _ = ready.send(roads.into_iter().map(open).collect::<io::Result<Vec<_>>>());
                    let _ = stopped.await;
                }),
                Err(error) => drop(ready.send(Err(error))),
            })?;
        let relays = Self { running: Some((stop, thread)) };
        let bases = bases.await.map_err(io::Error::other)??;
        Ok((relays, bases))
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn open(road: Road) -> io::Result<SocketAddr> {
    let link = Link::bind(road.target, road.ports, road.weather)?;
    let base = link.base()?;
    link.start();
    Ok(base)
}
