//! The whole mesh, first-hand: every peer of every region, and the state that decisions use.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::{NodeName, RegionName};

use super::preference::UPDATE_INTERVAL;
use super::{Exceptions, MeshState, Peer, PeerId, PreferenceMachine, Standing};
use crate::Moment;
use crate::framing::Probe;
use crate::policy::{Fleet, TenantId};

mod event;
mod member;
mod refusals;
mod regions;

use event::Events;
pub use event::MeshEvent;
use member::Member;
use regions::Regions;

/// Follows all peers. Whoever drives it tells it what happens, calls [`Tracker::handle_timeout`] when
/// [`Tracker::poll_timeout`] says so, and after either publishes [`Tracker::poll_state`] and records
/// [`Tracker::poll_event`].
#[derive(Debug)]
pub struct Tracker {
    members: BTreeMap<PeerId, Member>,
    ids_given: u32,
    /// Numbers of peers that are forgotten, the longest forgotten first.
    ids_free: VecDeque<PeerId>,
    regions: Regions,
    own_load: f32,
    preference: PreferenceMachine,
    next_update: Moment,
    changed: bool,
    state: Arc<MeshState>,
    events: Events,
}

impl Tracker {
    /// Follows nobody yet, from a node of region `here`.
    pub fn new(here: &RegionName, fleet: &Fleet, now: Moment) -> Self {
        let mut tracker = Self {
            members: BTreeMap::new(),
            ids_given: 0,
            ids_free: VecDeque::new(),
            regions: Regions::new(here, fleet),
            own_load: 0.0,
            preference: PreferenceMachine::default(),
            next_update: now,
            changed: true,
            state: Arc::default(),
            events: Events::default(),
        };
        tracker.update(now);
        tracker
    }

    /// Goes by another fleet: regions get its indices, and those that stay keep what was learnt about them.
    pub fn set_fleet(&mut self, fleet: &Fleet, now: Moment) {
        let regions = self.regions.of_fleet(fleet);
        self.preference.renumber(&self.regions.renumbering(&regions));
        self.regions = regions;
        self.update(now);
    }

    /// Follows a node of a region; its number, which is below 4,096, or `None` when so many are followed already. A node
    /// that is followed already keeps its number, unless it is in another region now.
    pub fn add(&mut self, node: &NodeName, region: &RegionName) -> Option<PeerId> {
        match self.find(node) {
            Some((id, member)) if member.region == *region => return Some(id),
            Some((id, _)) => self.remove(id),
            None => {}
        }
        let id = self.free_id()?;
        let peer = Peer::new(self.regions.rtt_guess(region));
        self.members.insert(id, Member::new(node.clone(), region.clone(), peer));
        self.changed = true;
        Some(id)
    }

    /// Forgets a peer. What is still reported of it is ignored.
    pub fn remove(&mut self, id: PeerId) {
        if self.members.remove(&id).is_some() {
            self.ids_free.push_back(id);
            self.changed = true;
        }
    }

    /// This node's own load; counts in its region's.
    pub fn set_own_load(&mut self, load: f32) {
        self.own_load = load;
    }

    /// See [`Peer::connected`].
    pub fn connected(&mut self, id: PeerId, now: Moment) {
        self.with(id, now, |peer| peer.connected(now));
    }

    /// See [`Peer::disconnected`].
    pub fn disconnected(&mut self, id: PeerId, now: Moment) {
        self.with(id, now, Peer::disconnected);
    }

    /// See [`Peer::probe_sent`].
    pub fn probe_sent(&mut self, id: PeerId, seq: u64, now: Moment) {
        self.with(id, now, |peer| peer.probe_sent(seq, now));
    }

    /// See [`Peer::heard`].
    pub fn heard(&mut self, id: PeerId, probe: &Probe, now: Moment) {
        self.with(id, now, |peer| peer.heard(probe, now));
    }

    /// See [`Peer::set_exceptions`].
    pub fn set_exceptions(&mut self, id: PeerId, exceptions: Exceptions, now: Moment) {
        self.with(id, now, |peer| peer.set_exceptions(exceptions));
    }

    /// See [`Peer::unanswered`].
    pub fn unanswered(&mut self, id: PeerId, sent_at: Moment, now: Moment) {
        self.with(id, now, |peer| peer.unanswered(sent_at, now));
    }

    /// A peer has refused a request because it has no healthy backend for the tenant: for a second, it gets no more.
    pub fn refused(&mut self, id: PeerId, tenant: &TenantId, now: Moment) {
        if let Some(member) = self.members.get_mut(&id) {
            member.refused(tenant, now);
            self.changed = true;
        }
    }

    /// Time has passed. `lag` is by how much the caller's timer was late, see [`Peer::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Moment, lag: Duration) {
        for member in self.members.values_mut() {
            self.changed |= member.forget_refusals(now);
            self.changed |= member.watch(now, &mut self.events, |peer| peer.handle_timeout(now, lag));
        }
        if now >= self.next_update {
            self.update(now);
        }
    }

    /// When [`Tracker::handle_timeout`] is to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Moment> {
        let members = self.members.values().filter_map(Member::poll_timeout);
        members.chain([self.next_update]).min()
    }

    /// Whether there is a new state or an event to take.
    pub fn has_news(&self) -> bool {
        self.changed || !self.events.is_empty()
    }

    /// The state that decisions are to use from now on, if it is not the one that was taken last.
    pub fn poll_state(&mut self) -> Option<Arc<MeshState>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let regions = self.regions.states(&self.members, self.own_load);
        self.state = Arc::new(MeshState { regions, preference: self.preference.preference() });
        Some(Arc::clone(&self.state))
    }

    /// The state that was taken last.
    pub fn state(&self) -> &Arc<MeshState> {
        &self.state
    }

    /// What happened, in order; to be asked until there is no more.
    pub fn poll_event(&mut self) -> Option<MeshEvent> {
        self.events.pop()
    }

    /// What was seen of a peer.
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.members.get(&id).map(|member| &member.peer)
    }

    /// Tables by number stay small however many names come and go; and a number is used again as late as can be, so that
    /// nothing is still reported of the peer that had it.
    fn free_id(&mut self) -> Option<PeerId> {
        if self.ids_given < PEERS_MAX {
            self.ids_given += 1;
            return Some(PeerId(self.ids_given - 1));
        }
        self.ids_free.pop_front()
    }

    fn find(&self, node: &NodeName) -> Option<(PeerId, &Member)> {
        self.members.iter().find(|(_, member)| member.node == *node).map(|(id, member)| (*id, member))
    }

    fn with(&mut self, id: PeerId, now: Moment, input: impl FnOnce(&mut Peer)) {
        if let Some(member) = self.members.get_mut(&id) {
            self.changed |= member.watch(now, &mut self.events, input);
        }
    }

    /// Costs, loads and preferences anew.
    fn update(&mut self, now: Moment) {
        let standings: Vec<Standing> = self.regions.standings(&self.members, self.own_load);
        self.preference.update(&standings, now);
        self.next_update = now + UPDATE_INTERVAL;
        self.changed = true;
    }
}

/// How many peers are followed; their numbers are lower than this.
const PEERS_MAX: u32 = 4_096;

#[cfg(test)]
mod tests;
