//! The whole of a decision, against small fleets and against chance.

use std::sync::Arc;

use http::HeaderMap;
use proptest::prelude::*;

use super::testing::*;
use super::*;
use crate::mesh::{Condition, PeerState, RegionState, Sought};
use crate::policy::{PathPrefix, Permission, Receive, Residency, Route, Split, Tenant, UnknownLocation};
use crate::pool::testing::states;

const TENANT: TenantIndex = TenantIndex(0);
const LOCAL: Decision = Decision::Local { tenant: TENANT, pool: PoolIndex::UNNAMED };

/// Five regions, seen from region `here`, and one tenant.
fn fleet_with(tenant: Tenant, here: usize) -> Snapshot {
    snapshot(policy(5, vec![tenant]), here)
}

fn ask(snapshot: &Snapshot) -> Decided {
    decide(snapshot, &request("shop.example", &HeaderMap::new()))
}

fn relay(position: usize) -> Decision {
    Decision::Relay { tenant: TENANT, region: region(position) }
}

fn verdicts(decided: &Decided) -> Vec<Verdict> {
    decided.rationale.candidates.iter().map(|candidate| candidate.verdict).collect()
}

fn change_region(snapshot: &mut Snapshot, position: usize, change: impl FnOnce(&mut RegionState)) {
    change(&mut Arc::make_mut(&mut snapshot.mesh).regions[position]);
}

fn set_condition(snapshot: &mut Snapshot, position: usize, condition: Condition) {
    change_region(snapshot, position, |region| {
        region.peers.iter_mut().for_each(|peer| peer.condition = condition);
    });
}

fn fail_own_pool(snapshot: &mut Snapshot) {
    snapshot.pools = Arc::new(states([Some(Vec::new())]));
}

#[test]
fn a_request_stays_here_if_it_may_and_can() {
    use Verdict::{Chosen, CostsMore, Forbidden};
    let decided = ask(&fleet_with(document("shop", &[&[1, 2, 3]]), 2));
    assert_eq!(decided.decision, LOCAL);
    assert_eq!(verdicts(&decided), [Forbidden, CostsMore, Chosen, CostsMore, Forbidden]);
    assert!(decided.rationale.record_here);
}

#[test]
fn a_request_that_may_not_stay_goes_to_the_nearest_that_may_have_it() {
    let decided = ask(&fleet_with(document("shop", &[&[3, 2]]), 0));
    assert_eq!(decided.decision, relay(2));
    assert!(!decided.rationale.record_here, "and leaves no trace here");
}

#[test]
fn an_edge_of_a_later_tier_may_record_what_an_earlier_one_serves() {
    let decided = ask(&fleet_with(document("shop", &[&[3], &[0]]), 0));
    assert_eq!(decided.decision, relay(3));
    assert!(decided.rationale.record_here, "tiers order who serves, not where data may be");
}

#[test]
fn what_is_to_come_another_way_is_recorded_only_where_it_may_be() {
    let mut tenant = document("shop", &[&[1]]);
    tenant.redirect_http = true;
    for (here, is_recorded) in [(1, true), (0, false)] {
        let snapshot = snapshot(policy(5, vec![tenant.clone(), document("tea", &[&[2]])]), here);
        let redirected = ask(&snapshot);
        assert_eq!(redirected.decision, Decision::Redirect { tenant: TENANT });
        assert_eq!(redirected.rationale.record_here, is_recorded);

        let headers = HeaderMap::new();
        let arrival = Arrival::Secured { server_name: Some("tea.example") };
        let misdirected = decide(&snapshot, &Request { arrival, ..request("shop.example", &headers) });
        assert_eq!(misdirected.decision, Decision::Refuse(Reason::Misdirected));
        assert_eq!(misdirected.rationale.record_here, is_recorded);
    }
}

#[test]
fn a_later_tier_waits_until_every_region_of_the_earlier_ones_is_unable() {
    use Verdict::{Chosen, Draining, Forbidden, Suspect};
    let mut snapshot = fleet_with(document("shop", &[&[3, 4], &[1]]), 0);
    assert_eq!(verdicts(&ask(&snapshot))[1], Verdict::LaterTier);
    set_condition(&mut snapshot, 3, Condition::Suspect);
    assert_eq!(
        ask(&snapshot).decision,
        relay(4),
        "the far one of the first tier before the near one of the second"
    );
    set_condition(&mut snapshot, 4, Condition::Draining);
    let decided = ask(&snapshot);
    assert_eq!(decided.decision, relay(1));
    assert_eq!(verdicts(&decided), [Forbidden, Chosen, Forbidden, Suspect, Draining]);
    assert_eq!(decided.rationale.candidates[1].tier, Some(1));
}

#[test]
fn no_able_region_is_a_refusal_that_names_what_each_lacks() {
    use Verdict::{NoHealthyBackend, NoPool, Tried, Unreachable};
    let mut tenant = document("shop", &[&[0, 1, 2, 3, 4]]);
    tenant.pool_regions = set(&[0, 1, 2, 3]);
    let mut snapshot = fleet_with(tenant, 0);
    fail_own_pool(&mut snapshot);
    change_region(&mut snapshot, 1, |region| region.peers[0].exceptions = exceptions(&["shop"]));
    change_region(&mut snapshot, 2, |region| region.peers.clear());
    let headers = HeaderMap::new();
    let tried = Request { tried: set(&[3]), ..request("shop.example", &headers) };
    let decided = decide(&snapshot, &tried);
    assert_eq!(decided.decision, Decision::Refuse(Reason::NoCompliantRegion));
    assert_eq!(verdicts(&decided), [NoHealthyBackend, NoHealthyBackend, Unreachable, Tried, NoPool]);
}

#[test]
fn one_able_node_makes_a_region_able_and_else_the_best_one_gives_the_reason() {
    use Condition::{Draining, Suspect, Unreachable, Usable};
    let mut snapshot = fleet_with(document("shop", &[&[1]]), 0);
    let mut with = |conditions: &[Condition]| {
        let peers = conditions.iter().zip(0..).map(|(condition, id)| peer(id, *condition)).collect();
        change_region(&mut snapshot, 1, |region| region.peers = peers);
        verdicts(&ask(&snapshot))[1]
    };
    assert_eq!(with(&[Unreachable, Usable, Suspect]), Verdict::Chosen);
    assert_eq!(with(&[Unreachable, Draining, Suspect]), Verdict::Suspect);
    assert_eq!(with(&[Unreachable, Draining]), Verdict::Draining);
    assert_eq!(with(&[Unreachable]), Verdict::Unreachable);
}

#[test]
fn every_attempt_goes_elsewhere_until_nothing_is_left() {
    let snapshot = fleet_with(document("shop", &[&[1, 2], &[3]]), 0);
    let headers = HeaderMap::new();
    let mut request = request("shop.example", &headers);
    let mut went = Vec::new();
    for _ in 0..3 {
        let Decision::Relay { region, .. } = decide(&snapshot, &request).decision else { break };
        went.push(region.position());
        request.tried.insert(region);
    }
    assert_eq!(went, [1, 2, 3]);
    assert_eq!(decide(&snapshot, &request).decision, Decision::Refuse(Reason::NoCompliantRegion));
}

#[test]
fn an_unknown_host_is_refused_without_candidates() {
    let snapshot = fleet_with(document("shop", &[&[0]]), 0);
    let decided = decide(&snapshot, &request("z.example", &HeaderMap::new()));
    assert_eq!(decided.decision, Decision::Refuse(Reason::UnknownTenant));
    assert_eq!(decided.rationale, Rationale::default());
}

#[test]
fn a_node_outside_does_not_receive_for_a_tenant_that_forbids_it() {
    let mut tenant = document("shop", &[&[1], &[2]]);
    tenant.residency.receive = Receive::Allowed;
    let decided = ask(&fleet_with(tenant.clone(), 0));
    assert_eq!(decided.decision, Decision::Refuse(Reason::ReceiveNotAllowed));
    assert!(!decided.rationale.record_here && decided.rationale.candidates.is_empty());
    assert_eq!(ask(&fleet_with(tenant, 2)).decision, relay(1), "a fallback region may receive");
}

#[test]
fn a_tenant_without_any_region_is_refused_as_such_even_where_it_may_not_be_received() {
    let mut tenant = document("shop", &[]);
    tenant.residency.receive = Receive::Allowed;
    assert_eq!(ask(&fleet_with(tenant, 0)).decision, Decision::Refuse(Reason::NotPermitted));
}

#[test]
fn a_client_from_nowhere_is_refused_or_sent_home_only_if_a_rule_asks() {
    let mut tenant = document("shop", &[&[1, 2]]);
    assert_eq!(ask(&fleet_with(tenant.clone(), 0)).rationale.client, ClientCountry::NotAsked);
    tenant.residency.by_client.push(([country("CH")].into_iter().collect(), permission(&[&[3]])));
    let decided = ask(&fleet_with(tenant.clone(), 0));
    assert_eq!(decided.decision, Decision::Refuse(Reason::UnknownLocation));
    assert_eq!(decided.rationale.client, ClientCountry::Unknown);
    assert_eq!(decided.rationale.tenant, Some(TENANT));
    tenant.residency.unknown = UnknownLocation::Home(region(2));
    assert_eq!(ask(&fleet_with(tenant, 0)).decision, relay(2));
}

#[test]
fn a_route_has_rules_of_its_own() {
    let mut tenant = document("shop", &[&[1, 2]]);
    let residency = Residency { permission: permission(&[&[2]]), ..tenant.residency.clone() };
    tenant.routes.push(Route { path_prefix: PathPrefix::new("/health").unwrap(), residency });
    let snapshot = fleet_with(tenant, 0);
    let headers = HeaderMap::new();
    let to = |path| decide(&snapshot, &Request { path, ..request("shop.example", &headers) }).decision;
    assert_eq!(to("/health/blood"), relay(2));
    assert_eq!(to("/healthy"), relay(1));
}

#[test]
fn a_region_lost_to_load_says_so() {
    let mut snapshot = fleet_with(document("shop", &[&[1, 2, 3]]), 0);
    change_region(&mut snapshot, 1, |region| (region.load, region.cost) = (0.97, crate::mesh::Cost(65_000)));
    let decided = ask(&snapshot);
    assert_eq!(decided.decision, relay(2));
    assert_eq!(verdicts(&decided)[1], Verdict::Overloaded);
    assert_eq!(verdicts(&decided)[3], Verdict::CostsMore);
    for other in [2, 3] {
        change_region(&mut snapshot, other, |region| region.load = 1.2);
    }
    assert_eq!(verdicts(&ask(&snapshot))[1], Verdict::CostsMore, "the chosen one is no better");
}

#[test]
fn a_mesh_of_another_fleet_is_nowhere_to_go() {
    let mut snapshot = fleet_with(document("shop", &[&[0, 4]]), 0);
    Arc::make_mut(&mut snapshot.mesh).regions.truncate(2);
    assert_eq!(verdicts(&ask(&snapshot))[4], Verdict::Unreachable);
    fail_own_pool(&mut snapshot);
    assert_eq!(ask(&snapshot).decision, Decision::Refuse(Reason::NoCompliantRegion));
}

fn relayed(tenant: &TenantId, client: ClientCountry) -> Relayed<'_> {
    static NONE: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
    let content = Content { method: &Method::GET, path: "/", query: "", headers: &NONE };
    Relayed { tenant, content, client, chance: 0 }
}

#[test]
fn a_serving_node_asks_its_own_rules_again() {
    let shop = tenant_id("shop");
    let serve_at = |here, tenant| serve(&fleet_with(tenant, here), &relayed(&shop, ClientCountry::NotAsked));
    assert_eq!(
        serve_at(1, document("shop", &[&[2], &[1]])),
        Ok((TENANT, PoolIndex::UNNAMED)),
        "any tier: the edge knows why"
    );
    assert_eq!(serve_at(0, document("shop", &[&[2], &[1]])), Err(Reason::PolicySkew));
    assert_eq!(
        serve_at(1, document("other", &[&[1]])),
        Err(Reason::PolicySkew),
        "a tenant that is not known"
    );
}

#[test]
fn a_serving_node_goes_by_the_country_that_the_edge_carried() {
    let shop = tenant_id("shop");
    let mut tenant = document("shop", &[&[1]]);
    tenant.residency.by_client.push(([country("CH")].into_iter().collect(), permission(&[&[3]])));
    let snapshot = fleet_with(tenant, 1);
    let serve_for = |client| serve(&snapshot, &relayed(&shop, client));
    assert_eq!(serve_for(ClientCountry::Known(country("DE"))), Ok((TENANT, PoolIndex::UNNAMED)));
    assert_eq!(serve_for(ClientCountry::Known(country("CH"))), Err(Reason::PolicySkew));
    assert_eq!(serve_for(ClientCountry::Unknown), Err(Reason::PolicySkew));
    assert_eq!(serve_for(ClientCountry::NotAsked), Err(Reason::PolicySkew));
}

#[test]
fn a_serving_node_without_a_backend_says_so_and_never_relays_on() {
    let shop = tenant_id("shop");
    let mut snapshot = fleet_with(document("shop", &[&[0, 1]]), 1);
    fail_own_pool(&mut snapshot);
    assert_eq!(serve(&snapshot, &relayed(&shop, ClientCountry::NotAsked)), Err(Reason::NoCompliantRegion));
    snapshot.pools = Arc::new(states([None]));
    assert_eq!(serve(&snapshot, &relayed(&shop, ClientCountry::NotAsked)), Err(Reason::NoCompliantRegion));
}

#[test]
fn decisions_have_labels() {
    assert_eq!(LOCAL.label(), "local");
    assert_eq!(relay(1).label(), "relay");
    assert_eq!(Decision::Refuse(Reason::NotPermitted).label(), "refuse");
}

const REGIONS: usize = 6;

fn any_permission() -> impl Strategy<Value = Permission> {
    // For every region its tier, or none.
    proptest::collection::vec(0usize..4, REGIONS).prop_map(|tiers| {
        let tier = |wanted| {
            tiers.iter().enumerate().filter(move |(_, tier)| **tier == wanted).map(|(at, _)| region(at))
        };
        let tiers: Vec<RegionSet> = (0..3).map(|wanted| tier(wanted).collect()).collect();
        Permission { all: tiers.iter().copied().fold(RegionSet::EMPTY, RegionSet::union), tiers }
    })
}

fn any_peer() -> impl Strategy<Value = PeerState> {
    use Condition::{Draining, Suspect, Unreachable, Usable};
    let condition = prop::sample::select(vec![Usable, Usable, Usable, Suspect, Draining, Unreachable]);
    (condition, any::<bool>(), 0u32..100).prop_map(|(condition, excepts, id)| {
        let exceptions = if excepts { exceptions(&["shop"]) } else { exceptions(&["other"]) };
        PeerState { exceptions, ..peer(id, condition) }
    })
}

fn any_region() -> impl Strategy<Value = RegionState> {
    (0u32..300, 0f32..1.3, proptest::collection::vec(any_peer(), 0..3))
        .prop_map(|(cost, load, peers)| region_state(cost, load, peers))
}

prop_compose! {
    fn any_snapshot()(
        permission in any_permission(),
        pools in proptest::collection::vec(any::<bool>(), REGIONS),
        regions in proptest::collection::vec(any_region(), REGIONS),
        here in 0..REGIONS,
        receive in prop::sample::select(vec![Receive::Any, Receive::Allowed]),
        healthy in any::<bool>(),
    ) -> Snapshot {
        let mut tenant = document("shop", &[]);
        tenant.residency.permission = permission;
        tenant.residency.receive = receive;
        tenant.pool_regions = (0..REGIONS).filter(|at| pools[*at]).map(region).collect();
        let has_pool = tenant.pool_regions.contains(region(here));
        let mut snapshot = snapshot(policy(REGIONS, vec![tenant]), here);
        Arc::make_mut(&mut snapshot.mesh).regions = regions;
        let own = has_pool.then(|| if healthy { vec![backend()] } else { Vec::new() });
        snapshot.pools = Arc::new(states([own]));
        snapshot
    }
}

fn rules(snapshot: &Snapshot) -> &Tenant {
    &snapshot.policy.tenants[0]
}

/// Whether a region could serve, said in one breath: what `decide` must agree with.
fn is_able(snapshot: &Snapshot, at: RegionIndex) -> bool {
    let shop = tenant_id("shop");
    let reachable = if at == snapshot.here.region {
        snapshot.pools.ability(TENANT, Split::UNNAMED) == Ability::Able
    } else {
        snapshot.mesh.regions[at.position()].peers.iter().any(|peer| peer.can_serve(&Sought::new(&shop)))
    };
    rules(snapshot).pool_regions.contains(at) && reachable
}

proptest! {
    #[test]
    fn a_request_goes_where_it_may_and_nowhere_else(
        snapshot in any_snapshot(), tried in proptest::collection::vec(0..REGIONS, 0..3), chance: u32
    ) {
        let (headers, tried) = (HeaderMap::new(), set(&tried));
        let decided = decide(&snapshot, &Request { tried, chance, ..request("shop.example", &headers) });
        let permission = &rules(&snapshot).residency.permission;
        let here = snapshot.here.region;
        let could = |at: &RegionIndex| is_able(&snapshot, *at) && !tried.contains(*at);
        let target = match decided.decision {
            Decision::Local { .. } => Some(here),
            Decision::Relay { region, .. } => { prop_assert_ne!(region, here); Some(region) }
            Decision::Redirect { .. } => return Err(TestCaseError::fail("nobody asks for TLS")),
            Decision::Refuse(reason) => {
                let expected = if permission.all.is_empty() {
                    Reason::NotPermitted
                } else if rules(&snapshot).residency.receive == Receive::Allowed && !permission.all.contains(here) {
                    Reason::ReceiveNotAllowed
                } else {
                    prop_assert!(!permission.all.iter().any(|at| could(&at)), "an able region was passed over");
                    Reason::NoCompliantRegion
                };
                prop_assert_eq!(reason, expected);
                None
            }
        };
        prop_assert_eq!(decided.rationale.chosen(), target);
        prop_assert!(!decided.rationale.record_here || permission.all.contains(here));
        if let Some(target) = target {
            prop_assert!(permission.all.contains(target) && could(&target));
            let first = permission.tiers.iter().find(|tier| tier.iter().any(|at| could(&at))).unwrap();
            prop_assert!(first.contains(target), "an earlier tier was passed over");
            let cost = |at: RegionIndex| snapshot.mesh.regions[at.position()].cost;
            prop_assert!(first.iter().filter(could).all(|at| cost(target) <= cost(at)), "a cheaper one was passed over");
        }
    }

    #[test]
    fn every_region_has_one_verdict_and_at_most_one_is_chosen(snapshot in any_snapshot(), chance: u32) {
        let headers = HeaderMap::new();
        let decided = decide(&snapshot, &Request { chance, ..request("shop.example", &headers) });
        let candidates = &decided.rationale.candidates;
        prop_assume!(!candidates.is_empty());
        let permission = &rules(&snapshot).residency.permission;
        prop_assert!(candidates.iter().map(|candidate| candidate.region.position()).eq(0..REGIONS));
        for candidate in candidates {
            let allowed = permission.all.contains(candidate.region);
            prop_assert_eq!(candidate.verdict == Verdict::Forbidden, !allowed);
            prop_assert_eq!(candidate.tier.is_some(), allowed);
        }
        let chosen = candidates.iter().filter(|candidate| candidate.verdict == Verdict::Chosen).count();
        prop_assert_eq!(chosen, usize::from(!matches!(decided.decision, Decision::Refuse(_))));
    }

    #[test]
    fn the_region_that_the_edge_chose_agrees_by_the_same_documents(snapshot in any_snapshot()) {
        let headers = HeaderMap::new();
        let decided = decide(&snapshot, &request("shop.example", &headers));
        let Decision::Relay { region, .. } = decided.decision else { return Ok(()) };
        let mut there = snapshot;
        there.here.region = region;
        there.pools = Arc::new(states([Some(vec![backend()])]));
        let shop = tenant_id("shop");
        prop_assert_eq!(serve(&there, &relayed(&shop, decided.rationale.client)), Ok((TENANT, PoolIndex::UNNAMED)));
    }
}

mod content {
    use super::*;
    use crate::Moment;
    use crate::policy::{ContentRule, NamedPools, PathPrefix, Pool, PoolShare, TenantIndex};
    use crate::pool::{CheckFailure, CheckTarget, Names, Pools};

    const API: PoolIndex = PoolIndex(1);

    /// A tenant in regions 0 and 1 whose `/api` goes to a pool that is in `regions` only.
    fn tenant(regions: &[usize], split: Split) -> Tenant {
        let mut tenant = document("shop", &[&[0, 1]]);
        let check = Some(crate::policy::HealthCheck::http("/", "shop"));
        let pool = Pool { check, ..Pool::of(["10.0.0.9:80".parse().unwrap()]) };
        let named = NamedPools {
            name: "api".parse().unwrap(),
            pools: regions.iter().map(|at| (region(*at), pool.clone())).collect(),
            regions: set(regions),
        };
        let rule = ContentRule {
            path_prefix: PathPrefix::new("/api"),
            methods: Vec::new(),
            header: None,
            query: None,
            split,
        };
        (tenant.named, tenant.content) = (vec![named], vec![rule]);
        tenant
    }

    fn pools_of(snapshot: &Snapshot, api_fails: bool) -> Arc<PoolStates> {
        let mut pools = Pools::default();
        let now = Moment::default();
        pools.adopt(&snapshot.policy, Some(snapshot.here.region), &Names::default(), now);
        if api_fails {
            let check = crate::policy::HealthCheck::http("/", "shop");
            let target = Arc::new(CheckTarget { address: "10.0.0.9:80".parse().unwrap(), check });
            assert!(pools.handle_result(&target, Err(CheckFailure::Broken), now).is_some());
        }
        Arc::new(pools.states())
    }

    fn decision(tenant: Tenant, path: &str, api_fails: bool, chance: u32) -> Decision {
        let mut snapshot = fleet_with(tenant, 0);
        snapshot.pools = pools_of(&snapshot, api_fails);
        let headers = HeaderMap::new();
        decide(&snapshot, &Request { path, chance, ..request("shop.example", &headers) }).decision
    }

    const TENANT: TenantIndex = TenantIndex(0);

    #[test]
    fn a_request_goes_to_the_pool_that_its_rule_names() {
        let local = |pool| Decision::Local { tenant: TENANT, pool };
        let all = || tenant(&[0, 1], Split::all_to(API));
        assert_eq!(decision(all(), "/api/x", false, 0), local(API));
        assert_eq!(decision(all(), "/apis", false, 0), local(PoolIndex::UNNAMED));
    }

    #[test]
    fn a_region_without_that_pool_or_without_its_backends_is_unable() {
        assert_eq!(decision(tenant(&[1], Split::all_to(API)), "/api", false, 0), relay(1));
        assert_eq!(decision(tenant(&[0, 1], Split::all_to(API)), "/api", true, 0), relay(1));
        let only_here = decision(tenant(&[0], Split::all_to(API)), "/api", true, 0);
        assert_eq!(only_here, Decision::Refuse(Reason::NoCompliantRegion));
        assert_eq!(decision(tenant(&[0], Split::all_to(API)), "/", true, 0), LOCAL);
    }

    #[test]
    fn a_split_is_kept_and_what_an_unable_pool_would_get_goes_to_the_others() {
        let share = |pool, weight| PoolShare { pool, weight };
        let split = || Split::new([share(PoolIndex::UNNAMED, 3), share(API, 1)]);
        let to_api = |api_fails| {
            let chances = (0..4_000u32).map(|at| at.wrapping_mul(0x9e37_79b9));
            let is_api = |chance: &u32| {
                let decided = decision(tenant(&[0], split()), "/api", api_fails, *chance);
                decided == Decision::Local { tenant: TENANT, pool: API }
            };
            chances.filter(is_api).count()
        };
        assert!((900..1_100).contains(&to_api(false)), "a quarter of 4,000");
        assert_eq!(to_api(true), 0);
    }

    #[test]
    fn the_serving_node_asks_the_rules_itself() {
        let mut snapshot = fleet_with(tenant(&[0], Split::all_to(API)), 0);
        let shop = tenant_id("shop");
        let serve_with = |snapshot: &Snapshot| {
            let mut relayed = relayed(&shop, ClientCountry::NotAsked);
            relayed.content.path = "/api";
            serve(snapshot, &relayed)
        };
        snapshot.pools = pools_of(&snapshot, false);
        assert_eq!(serve_with(&snapshot), Ok((TENANT, API)));
        snapshot.pools = pools_of(&snapshot, true);
        assert_eq!(serve_with(&snapshot), Err(Reason::NoCompliantRegion));
    }
}
