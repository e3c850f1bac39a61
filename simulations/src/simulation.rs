//! One run: a paused runtime, the network of all hosts, and the faults a scenario brings about.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use graticule::task;
use graticule_geo::Coordinates;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::entropy;
use crate::host::Host;
use crate::link::Link;
use crate::names::NameTable;
use crate::network::{Departed, Network, Recording};

/// A running simulation, as its scenario sees it. Cheap to clone; clones are the same simulation.
#[derive(Debug, Clone)]
pub struct Simulation {
    pub(crate) seed: u64,
    pub(crate) network: Arc<Network>,
    pub(crate) names: NameTable,
}

impl Simulation {
    /// Runs a scenario to its end and returns what it returns; everything it spawned ends with it.
    ///
    /// It runs on a thread and a current-thread runtime of its own, whose time starts at zero and moves on only when
    /// every task waits, in whole milliseconds: what is due in between happens at the next one. The runtime has no I/O driver: a node that opens a real socket panics. Everything random
    /// comes from `seed`. A panic of the scenario goes on in the caller. Errors: the machine has no thread for it, or
    /// the scenario did not end within 48 virtual hours, as when everything waits for ever.
    pub fn run<F, T>(seed: u64, scenario: impl FnOnce(Self) -> F + Send + 'static) -> io::Result<T>
    where
        F: Future<Output = T>,
        T: Send + 'static,
    {
        let thread = thread::Builder::new().name(format!("simulation-{seed}"));
        let running = thread.spawn(move || {
            entropy::decide(seed);
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
            // What is still there in the end is dropped in virtual time too.
            let _entered = runtime.enter();
            // Not a local runtime: there, whatever is spawned would escape the set of its process.
            LocalSet::new().block_on(&runtime, async {
                let network = Arc::new(Network::new(seed));
                let _driver = task::spawn("network", Arc::clone(&network).drive());
                let simulation = Self { seed, network, names: NameTable::default() };
                timeout(VIRTUAL_TIME_MAX, scenario(simulation)).await.map_err(|_| endless())
            })
        })?;
        running.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Adds a host that is up, at a place on the Earth, with addresses of its own.
    pub fn host(&self, name: &str, coordinates: Coordinates, addresses: &[IpAddr]) -> io::Result<Host> {
        let id = self.network.enter(|state| state.wire.hosts.add(name, coordinates, addresses))?;
        Ok(Host::new(self, id, name, addresses))
    }

    /// Virtual time since the simulation began.
    pub fn elapsed(&self) -> Duration {
        self.network.origin().elapsed()
    }

    /// The link from one host to another as it is now.
    pub fn link(&self, from: &Host, to: &Host) -> Link {
        self.network.enter(|state| *state.wire.links.link(&state.wire.hosts, from.id, to.id))
    }

    /// Changes the link from one host to another, in this direction only. What is on its way stays on its way.
    pub fn shape(&self, from: &Host, to: &Host, change: impl FnOnce(&mut Link)) {
        let mut link = self.link(from, to);
        change(&mut link);
        self.network.enter(|state| *state.wire.links.link(&state.wire.hosts, from.id, to.id) = link);
    }

    /// Changes the links between two hosts in both directions.
    pub fn shape_both(&self, one: &Host, other: &Host, change: impl Fn(&mut Link)) {
        self.shape(one, other, &change);
        self.shape(other, one, &change);
    }

    /// Gives a name its addresses, for every host. With none, the name does not exist.
    pub fn name(&self, name: &str, addresses: &[IpAddr]) {
        self.names.set(name, addresses.to_vec());
    }

    /// How many TCP connections there are.
    pub fn tcp_connections(&self) -> usize {
        self.network.enter(|state| state.tcp.len())
    }

    /// How many packets and timers of the network wait for their time.
    pub fn events_waiting(&self) -> usize {
        self.network.enter(|state| state.wire.waiting())
    }

    /// The datagrams that have left ports of this number so far, on any host, whatever became of them.
    pub fn departed(&self, port: u16) -> Departed {
        self.network.enter(|state| state.wire.departed(port))
    }

    /// Lets TCP connections that are opened from now on have at most so many unread bytes in each direction.
    pub fn set_tcp_window(&self, bytes: usize) {
        self.network.enter(|state| state.tcp.set_window(bytes));
    }

    /// Records every datagram from now on, and forgets an earlier recording.
    pub fn record(&self) {
        self.network.enter(|state| state.wire.recording = Some(Recording::default()));
    }

    /// Ends the recording and returns it.
    pub fn recorded(&self) -> Recording {
        self.network.enter(|state| state.wire.recording.take()).unwrap_or_default()
    }
}

fn endless() -> io::Error {
    let message =
        format!("the scenario did not end within {} virtual hours", VIRTUAL_TIME_MAX.as_secs() / 3_600);
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// The longest a scenario may take, in virtual time.
const VIRTUAL_TIME_MAX: Duration = Duration::from_hours(48);

#[cfg(test)]
mod tests;
