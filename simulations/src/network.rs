//! What do all sockets of a simulation share: one state, one schedule, one driver that lets things happen in time.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use graticule_node_core::Moment;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::link::{Links, Passage};
use crate::net::tcp::{Parcel, Retransmission, Tcp};
use crate::net::udp::{Datagram, Udp};

mod bindings;
mod hosts;
mod recording;
mod schedule;

pub(crate) use bindings::Bindings;
pub(crate) use hosts::{HostId, Hosts, Life, seen_by};
pub use recording::{Crossing, Departed, Recording};
pub(crate) use schedule::Schedule;

/// The network between all hosts.
///
/// Everything runs on one thread; the lock is there because sockets must be `Send` and `Sync`.
#[derive(Debug)]
pub(crate) struct Network {
    origin: Instant,
    state: Mutex<State>,
    sooner: Notify,
}

/// The network's whole state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) wire: Wire,
    pub(crate) udp: Udp,
    pub(crate) tcp: Tcp,
}

/// What UDP and TCP stand on.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Virtual time since the simulation began.
    pub(crate) now: Moment,
    pub(crate) hosts: Hosts,
    pub(crate) links: Links,
    pub(crate) recording: Option<Recording>,
    /// What has left so far, by the port it left.
    departed: BTreeMap<u16, Departed>,
    schedule: Schedule<Event>,
    awaited: Option<Moment>,
    wakes: Vec<Waker>,
}

/// What can happen by itself.
#[derive(Debug)]
pub(crate) enum Event {
    /// A datagram reaches its host.
    Datagram(Datagram),
    /// A piece of a TCP connection reaches its host.
    Parcel(Parcel),
    /// What TCP holds back is tried again.
    Retransmission(Retransmission),
}

impl Network {
    /// An empty network whose time begins now.
    pub(crate) fn new(seed: u64) -> Self {
        let wire = Wire {
            now: Moment::default(),
            hosts: Hosts::default(),
            links: Links::new(seed),
            recording: None,
            departed: BTreeMap::new(),
            schedule: Schedule::default(),
            awaited: None,
            wakes: Vec::new(),
        };
        let state = State { wire, udp: Udp::default(), tcp: Tcp::default() };
        Self { origin: Instant::now(), state: Mutex::new(state), sooner: Notify::new() }
    }

    /// When the simulation began.
    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    /// Looks at or changes the state. Tasks are woken when the state is free again: a waker may drop a socket.
    pub(crate) fn enter<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.wire.now = state.wire.now.max(Moment::default() + self.origin.elapsed());
        let result = act(&mut state);
        let wakes = mem::take(&mut state.wire.wakes);
        let next = state.wire.schedule.next_due();
        let sooner = next.is_some_and(|next| state.wire.awaited.is_none_or(|awaited| next < awaited));
        drop(state);
        if sooner {
            self.sooner.notify_one();
        }
        wakes.into_iter().for_each(Waker::wake);
        result
    }

    /// Lets what is due happen, for as long as the simulation runs.
    pub(crate) async fn drive(self: Arc<Self>) {
        loop {
            let next = self.enter(|state| {
                state.let_happen();
                state.wire.await_next()
            });
            tokio::select! {
                biased;
                () = self.until(next) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    async fn until(&self, moment: Option<Moment>) {
        match moment {
            Some(moment) => sleep_until(self.origin + moment.since(Moment::default())).await,
            None => std::future::pending().await,
        }
    }
}

impl State {
    /// The host's sockets are no more, and nobody is told.
    pub(crate) fn crash(&mut self, host: HostId) {
        if self.wire.hosts.is_up(host) {
            self.wire.hosts.crash(host);
            self.udp.crash(host);
            self.tcp.crash(host);
        }
    }

    fn let_happen(&mut self) {
        let Self { wire, udp, tcp } = self;
        while let Some(event) = wire.schedule.pop_due(wire.now) {
            match event {
                Event::Datagram(datagram) => udp.arrive(wire, datagram),
                Event::Parcel(parcel) => tcp.arrive(wire, parcel),
                Event::Retransmission(retransmission) => tcp.retransmit(wire, retransmission),
            }
        }
    }
}

impl Wire {
    /// How a packet of so many bytes fares that leaves now; nothing if it gets lost.
    pub(crate) fn cross(&mut self, from: HostId, to: HostId, bytes: usize) -> Option<Passage> {
        self.links.cross(&self.hosts, (from, to), (bytes, self.now))
    }

    /// How long a packet and its answer take at best.
    pub(crate) fn round_trip(&mut self, one: HostId, other: HostId) -> Duration {
        let there = self.links.link(&self.hosts, one, other).latency;
        there + self.links.link(&self.hosts, other, one).latency
    }

    /// Lets `event` happen at `due`.
    pub(crate) fn post(&mut self, due: Moment, event: Event) {
        self.schedule.push(due, event);
    }

    /// How many events wait for their time.
    pub(crate) fn waiting(&self) -> usize {
        self.schedule.len()
    }

    /// Wakes the task that waits in `slot`, once the state is free.
    pub(crate) fn wake(&mut self, slot: &mut Option<Waker>) {
        self.wakes.extend(slot.take());
    }

    /// What has left ports of this number so far, on any host.
    pub(crate) fn departed(&self, port: u16) -> Departed {
        self.departed.get(&port).copied().unwrap_or_default()
    }

    /// Counts a datagram that was sent, and notes it if anybody records.
    pub(crate) fn record(&mut self, from: SocketAddr, to: SocketAddr, bytes: usize, arrives: Option<Moment>) {
        let departed = self.departed.entry(from.port()).or_default();
        departed.datagrams += 1;
        departed.bytes += bytes as u64;
        if let Some(recording) = &mut self.recording {
            recording.add(Crossing { left: self.now, arrives, from, to, bytes });
        }
    }

    fn await_next(&mut self) -> Option<Moment> {
        self.awaited = self.schedule.next_due();
        self.awaited
    }
}

/// Leaves the task's waker where [`Wire::wake`] finds it.
pub(crate) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// What a socket of an earlier life, or of a host that is down, cannot do.
pub(crate) fn host_is_down() -> io::Error {
    io::Error::new(io::ErrorKind::NetworkDown, "the host is down")
}
