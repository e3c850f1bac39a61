//! Who may knock now: bounds on handshakes and tunnels, so that strangers do not keep peers out, nor one peer all others.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use graticule_gossip_core::NodeName;
use tokio::time::{Duration, Instant};

/// One endpoint's.
#[derive(Debug, Default)]
pub(super) struct Door {
    counts: RefCell<Counts>,
    said: RefCell<Said>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Handshakes under way with addresses that nobody has proven to be at.
    unproven: usize,
    handshakes: BTreeMap<Network, usize>,
    tunnels: BTreeMap<NodeName, usize>,
    /// Handshakes and tunnels of everybody.
    all: usize,
}

/// Addresses that one machine can easily have.
type Network = u128;

/// What to do with a packet that begins a handshake.
#[derive(Debug)]
pub(super) enum Knock {
    /// Shake hands.
    Enter(Handshake),
    /// Ask for proof that the sender is at its address; that costs nothing to remember.
    Prove,
    /// There is no room for it.
    Refuse,
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Handshake {
    door: Rc<Door>,
    network: Network,
    proven: bool,
}

/// A tunnel that stands.
#[derive(Debug)]
pub(super) struct Standing {
    door: Rc<Door>,
    node: NodeName,
}

impl Door {
    /// Somebody at `from` wants in; `proven` says whether it has shown that it is there.
    pub(super) fn knock(self: &Rc<Self>, from: IpAddr, proven: bool) -> Knock {
        let mut counts = self.counts.borrow_mut();
        let network = network(from);
        let of_network = counts.handshakes.get(&network).copied().unwrap_or_default();
        if !proven && counts.unproven >= UNPROVEN_MAX {
            return Knock::Prove;
        }
        if counts.all >= CONNECTIONS_MAX || of_network >= HANDSHAKES_PER_NETWORK_MAX {
            return Knock::Refuse;
        }
        counts.unproven += usize::from(!proven);
        counts.all += 1;
        counts.handshakes.insert(network, of_network + 1);
        Knock::Enter(Handshake { door: Rc::clone(self), network, proven })
    }

    /// A tunnel with `node` stands from now on; `None` if it has enough of them.
    pub(super) fn stand(self: &Rc<Self>, node: &NodeName) -> Option<Standing> {
        let mut counts = self.counts.borrow_mut();
        let tunnels = counts.tunnels.entry(node.clone()).or_default();
        if *tunnels >= TUNNELS_PER_NODE_MAX {
            return None;
        }
        *tunnels += 1;
        counts.all += 1;
        Some(Standing { door: Rc::clone(self), node: node.clone() })
    }

    /// Whether another refusal is worth a line in the log, and how many were not since the last that was. Strangers
    /// must not fill a disk.
    pub(super) fn is_worth_a_line(&self, now: Instant) -> Option<u64> {
        self.said.borrow_mut().another(now)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut counts = self.door.counts.borrow_mut();
        counts.unproven -= usize::from(!self.proven);
        counts.all -= 1;
        take_one(&mut counts.handshakes, &self.network);
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let mut counts = self.door.counts.borrow_mut();
        counts.all -= 1;
        take_one(&mut counts.tunnels, &self.node);
    }
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    let left = counts.get_mut(key).map_or(0, |count| {
        *count = count.saturating_sub(1);
        *count
    });
    if left == 0 {
        counts.remove(key);
    }
}

/// One IPv4 address, or the /64 of an IPv6 one.
fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

/// What was said in this second.
#[derive(Debug, Default)]
struct Said {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Said {
    fn another(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines >= LINES_PER_SECOND_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Handshakes and tunnels of one endpoint.
const CONNECTIONS_MAX: usize = 4_096;
/// Handshakes at once with senders who may have made their address up; the next have to prove it, a round trip more.
const UNPROVEN_MAX: usize = 64;
/// Handshakes at once with one network: many nodes may be behind one address, or on one machine.
const HANDSHAKES_PER_NETWORK_MAX: usize = 512;
/// Tunnels that one node may have to one endpoint: each of its workers one, and old ones that have not ended yet.
const TUNNELS_PER_NODE_MAX: usize = 256;
/// Refused peers that are told of.
const LINES_PER_SECOND_MAX: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
