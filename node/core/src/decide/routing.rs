//! Which region is nearest and able: what became of every region of the fleet.

use super::{Ability, Candidate, Request, Snapshot, Verdict};
use crate::mesh::{Condition, Cost, RegionState, Sought};
use crate::policy::{Permission, Split, Tenant, TenantIndex};
use crate::{RegionIndex, RegionSet};

/// What routing has to know.
pub(super) struct Question<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) tenant: TenantIndex,
    pub(super) document: &'a Tenant,
    pub(super) sought: Sought<'a>,
    /// The pools that the request may go to.
    pub(super) split: &'a Split,
    pub(super) permission: &'a Permission,
    pub(super) request: &'a Request<'a>,
}

/// Every region of the fleet with its verdict. At most one is chosen, and one is if any that may serve is able.
pub(super) fn candidates(question: &Question<'_>) -> Vec<Candidate> {
    let regions = &question.snapshot.policy.fleet.regions;
    let (mut candidates, mut able) = (Vec::with_capacity(regions.len()), RegionSet::EMPTY);
    for region in (0..regions.len()).filter_map(RegionIndex::new) {
        let (candidate, is_able) = assess(question, region);
        candidates.push(candidate);
        if is_able {
            able.insert(region);
        }
    }
    if let Some(winner) = choose(question, able) {
        for candidate in candidates.iter_mut().filter(|candidate| able.contains(candidate.region)) {
            candidate.verdict = against(question, candidate.region, winner);
        }
    }
    candidates
}

/// One region by itself, and whether it is able. An able one counts as outbid until all have been seen.
fn assess(question: &Question<'_>, region: RegionIndex) -> (Candidate, bool) {
    let tier = tier_of(question.permission, region);
    let obstacle = if tier.is_none() { Some(Verdict::Forbidden) } else { obstacle(question, region) };
    let cost = question.snapshot.mesh.region(region).map_or(Cost::MAX, |state| state.cost);
    (Candidate { region, tier, cost, verdict: obstacle.unwrap_or(Verdict::CostsMore) }, obstacle.is_none())
}

/// Why a region that is allowed cannot serve this request; `None` if it can.
fn obstacle(question: &Question<'_>, region: RegionIndex) -> Option<Verdict> {
    let Question { snapshot, document, split, .. } = question;
    if !split.shares().iter().any(|share| document.regions_of(share.pool).contains(region)) {
        Some(Verdict::NoPool)
    } else if question.request.tried.contains(region) {
        Some(Verdict::Tried)
    } else if region == snapshot.here.region {
        own_obstacle(question)
    } else {
        snapshot
            .mesh
            .region(region)
            .map_or(Some(Verdict::Unreachable), |state| peers_obstacle(state, &question.sought))
    }
}

fn own_obstacle(question: &Question<'_>) -> Option<Verdict> {
    match question.snapshot.pools.ability(question.tenant, question.split) {
        Ability::NoPool => Some(Verdict::NoPool),
        Ability::NoBackend => Some(Verdict::NoHealthyBackend),
        Ability::Able => None,
    }
}

/// One able peer is enough. Without one, the peer that comes nearest to it gives the reason.
fn peers_obstacle(region: &RegionState, tenant: &Sought<'_>) -> Option<Verdict> {
    if region.peers.iter().any(|peer| peer.can_serve(tenant)) {
        return None;
    }
    let best = region.peers.iter().map(|peer| peer.condition).min();
    Some(match best {
        Some(Condition::Usable) => Verdict::NoHealthyBackend,
        Some(Condition::Suspect) => Verdict::Suspect,
        Some(Condition::Draining) => Verdict::Draining,
        Some(Condition::Unreachable) | None => Verdict::Unreachable,
    })
}

/// The preferred region of the first tier that has an able one.
fn choose(question: &Question<'_>, able: RegionSet) -> Option<RegionIndex> {
    let tiers = question.permission.tiers.iter().map(|tier| tier.intersection(able));
    let tier = tiers.into_iter().find(|tier| !tier.is_empty())?;
    tier.iter().reduce(|a, b| question.snapshot.mesh.prefer(a, b, question.request.chance))
}

/// The verdict on an able region, now that the winner is known.
fn against(question: &Question<'_>, region: RegionIndex, winner: RegionIndex) -> Verdict {
    let tier = |region| tier_of(question.permission, region);
    let overloaded = |region| question.snapshot.mesh.region(region).is_some_and(RegionState::is_overloaded);
    if region == winner {
        Verdict::Chosen
    } else if tier(region) != tier(winner) {
        Verdict::LaterTier
    } else if overloaded(region) && !overloaded(winner) {
        Verdict::Overloaded
    } else {
        Verdict::CostsMore
    }
}

/// The tier of `region`, 0 first. Those beyond the 255th are shown as that.
fn tier_of(permission: &Permission, region: RegionIndex) -> Option<u8> {
    let tier = permission.tiers.iter().position(|tier| tier.contains(region))?;
    Some(u8::try_from(tier).unwrap_or(u8::MAX))
}
