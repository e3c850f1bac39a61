//! One machine of a simulation: the world it gives to its node, and what happens to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use graticule::world::World;
use rand::Rng;

use crate::chance::{Purpose, SeededChance, generator};
use crate::clock::HostClock;
use crate::disk::MemoryDisk;
use crate::names::NameTable;
use crate::net::MemoryNet;
use crate::network::{HostId, Network};
use crate::simulation::Simulation;

/// A host. Cheap to clone; clones are the same host.
#[derive(Debug, Clone)]
pub struct Host {
    network: Arc<Network>,
    names: NameTable,
    clock: Arc<HostClock>,
    chance: Arc<SeededChance>,
    disk: MemoryDisk,
    name: Arc<str>,
    addresses: Arc<[IpAddr]>,
    pub(crate) id: HostId,
}

impl Host {
    pub(crate) fn new(simulation: &Simulation, id: HostId, name: &str, addresses: &[IpAddr]) -> Self {
        let Simulation { seed, network, names } = simulation.clone();
        let booted_before =
            generator(seed, Purpose::Clock, &[id.number()]).random_range(BOOTED_BEFORE_SECONDS);
        Self {
            clock: Arc::new(HostClock::new(network.origin(), Duration::from_secs(booted_before))),
            chance: Arc::new(SeededChance::new(seed, id.number())),
            disk: MemoryDisk::default(),
            name: name.into(),
            addresses: addresses.into(),
            network,
            names,
            id,
        }
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its addresses; the loopback addresses reach it too, from itself.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Its disk, which keeps everything in a crash.
    pub fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// All that a node on this host may use, until the host's next crash. Ask again after a start: the sockets of an
    /// old world stay dead.
    pub fn world(&self) -> World {
        let life = self.network.enter(|state| state.wire.hosts.life(self.id));
        World {
            net: Arc::new(MemoryNet::new(Arc::clone(&self.network), life)),
            clock: self.clock.clone(),
            chance: self.chance.clone(),
            disk: Arc::new(self.disk.clone()),
            names: Arc::new(self.names.clone()),
        }
    }

    /// Takes the host down at once: its sockets are no more, and nothing it is sent is answered. Tasks that used them
    /// wait for ever; drop them.
    pub fn crash(&self) {
        self.network.enter(|state| state.crash(self.id));
    }

    /// Brings the host up again, unless it is. What it knew of connections is gone: it answers their packets with a
    /// reset.
    pub fn start(&self) {
        self.network.enter(|state| state.wire.hosts.start(self.id));
    }

    /// Whether the host is up.
    pub fn is_up(&self) -> bool {
        self.network.enter(|state| state.wire.hosts.is_up(self.id))
    }

    /// Lets its clocks run so much too fast from now on, in millionths; too slow if it is negative.
    pub fn drift(&self, drift_ppm: i32) {
        self.clock.drift(drift_ppm);
    }

    /// Lets the node on this host have used more processor time. By itself it uses none.
    pub fn add_cpu_time(&self, used: Duration) {
        self.clock.add_cpu_time(used);
    }
}

/// How long hosts had been up when the simulation began: no two boot clocks agree.
const BOOTED_BEFORE_SECONDS: std::ops::Range<u64> = 60..10_000_000;
