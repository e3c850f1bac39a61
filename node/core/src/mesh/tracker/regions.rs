//! The fleet's regions: how far each is, how busy, and who of it is known.

use std::collections::BTreeMap;
use std::time::Duration;

use graticule_geo::Coordinates;
use graticule_gossip_core::RegionName;

use super::member::Member;
use crate::RegionIndex;
use crate::mesh::{Condition, Cost, PeerId, RegionState, Standing, rtt_by_distance};
use crate::policy::Fleet;

/// What of the fleet document matters here.
#[derive(Debug)]
pub(super) struct Regions {
    here: RegionName,
    /// By [`RegionIndex`].
    regions: Vec<Region>,
}

#[derive(Debug)]
struct Region {
    name: RegionName,
    /// The round trip there before anything was measured; the longest possible if this node's own region has no place.
    rtt_guess: Duration,
}

/// What all peers of a region say together.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// The lowest of its connected nodes.
    rtt: Option<Duration>,
    /// The lowest of nodes that were connected once.
    rtt_once: Option<Duration>,
    load: f32,
    loads: u16,
}

impl Regions {
    pub(super) fn new(here: &RegionName, fleet: &Fleet) -> Self {
        let own = fleet.regions.iter().find(|region| region.name == *here).map(|region| region.coordinates);
        let guess = |there: Coordinates| own.map_or(RTT_ELSEWHERE, |own| rtt_by_distance(own, there));
        let known = |region: &crate::policy::Region| Region {
            name: region.name.clone(),
            rtt_guess: guess(region.coordinates),
        };
        Self { here: here.clone(), regions: fleet.regions.iter().map(known).collect() }
    }

    /// The regions of another fleet, seen from the same place.
    pub(super) fn of_fleet(&self, fleet: &Fleet) -> Self {
        Self::new(&self.here, fleet)
    }

    /// For every region of `next`, its index here.
    pub(super) fn renumbering(&self, next: &Self) -> Vec<Option<RegionIndex>> {
        next.regions.iter().map(|region| self.position(&region.name).and_then(RegionIndex::new)).collect()
    }

    /// The round trip to a region before anything was measured.
    pub(super) fn rtt_guess(&self, region: &RegionName) -> Duration {
        self.position(region).map_or(RTT_ELSEWHERE, |at| self.regions[at].rtt_guess)
    }

    /// What every region costs.
    pub(super) fn standings(&self, members: &BTreeMap<PeerId, Member>, own_load: f32) -> Vec<Standing> {
        let sums = self.sums(members, own_load);
        self.regions.iter().zip(sums).map(|(region, sum)| self.standing(region, sum)).collect()
    }

    /// Every region as decisions see it.
    pub(super) fn states(&self, members: &BTreeMap<PeerId, Member>, own_load: f32) -> Vec<RegionState> {
        let standings = self.standings(members, own_load).into_iter();
        let mut states: Vec<_> = standings
            .map(|standing| RegionState { cost: standing.cost, load: standing.load, peers: Vec::new() })
            .collect();
        for (id, member) in members {
            if let Some(at) = self.position(&member.region) {
                states[at].peers.push(member.state(*id));
            }
        }
        for state in &mut states {
            state.peers.sort_by(|a, b| a.node.cmp(&b.node));
        }
        states
    }

    /// This node is a live node of its own region, and no way from it.
    fn standing(&self, region: &Region, sum: Sum) -> Standing {
        let load = if sum.loads == 0 { 0.0 } else { sum.load / f32::from(sum.loads) };
        let own = region.name == self.here;
        let measured = if own { Some(Duration::ZERO) } else { sum.rtt.or(sum.rtt_once) };
        let rtt = measured.unwrap_or(region.rtt_guess);
        Standing { cost: Cost::of(rtt, load), load, measured: measured.is_some() }
    }

    fn sums(&self, members: &BTreeMap<PeerId, Member>, own_load: f32) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.regions.len()];
        if let Some(own) = self.position(&self.here) {
            sums[own].count(Some(own_load));
        }
        for member in members.values() {
            let Some(at) = self.position(&member.region) else { continue };
            let condition = member.peer.condition();
            sums[at].measured(member.peer.rtt(), condition);
            sums[at].count(member.peer.load().filter(|_| condition == Condition::Usable));
        }
        sums
    }

    fn position(&self, name: &RegionName) -> Option<usize> {
        self.regions.binary_search_by(|region| region.name.cmp(name)).ok()
    }
}

impl Sum {
    fn measured(&mut self, rtt: Option<Duration>, condition: Condition) {
        let lowest = if condition == Condition::Unreachable { &mut self.rtt_once } else { &mut self.rtt };
        *lowest = lowest.iter().copied().chain(rtt).min();
    }

    fn count(&mut self, load: Option<f32>) {
        if let Some(load) = load {
            self.load += load;
            self.loads += 1;
        }
    }
}

/// For a region that the fleet document does not place: further than any on Earth.
const RTT_ELSEWHERE: Duration = Duration::from_millis(500);
