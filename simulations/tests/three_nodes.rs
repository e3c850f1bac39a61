//! Three of the production nodes in one paused runtime: what they do is told as stories, in virtual time.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::fmt;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use graticule_geo::Coordinates;
use graticule_node_core::mesh::Condition;
use graticule_sim::Simulation;
use graticule_sim::fleet::{Answer, Fleet, FleetPlan, Receipt, RegionPlan, TenantPlan};
use http::{Method, Request};
use http_body_util::Full;
use tokio::time::{Instant, sleep, sleep_until};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

const EU: &str = "eu-central-1";
const US: &str = "us-east-1";
const AP: &str = "ap-southeast-1";
const UK: &str = "uk-south-1";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const MS: Duration = Duration::from_millis(1);

/// Frankfurt to Ashburn, 6,566.4 km, and to Singapore, 10,268.9 km, by Vincenty's formula, at 199,861.6 km/s.
const EU_US_RTT: Duration = Duration::from_micros(65_710);
const EU_AP_RTT: Duration = Duration::from_micros(102_760);
/// Ashburn to Singapore, by the haversine formula on a sphere of 6,371 km: 15,527 km.
const US_AP_RTT: Duration = Duration::from_micros(155_380);

/// Three regions; in the second fleet London stands in for Singapore.
fn plan(third: &str) -> FleetPlan {
    let region = |name: &str, country: &str, latitude, longitude| {
        RegionPlan::new(name, country.parse().unwrap(), Coordinates::new(latitude, longitude).unwrap())
    };
    let tenant = |id: &str, residency: &str, pools: &[&str]| TenantPlan {
        id: id.to_owned(),
        residency: residency.to_owned(),
        pools: pools.iter().map(|&region| region.to_owned()).collect(),
        response_timeout: None,
    };
    let third_region = match third {
        "ap-southeast" => region(third, "SG", 1.29, 103.85),
        _ => region(third, "GB", 51.51, -0.13),
    };
    FleetPlan {
        regions: vec![
            region("eu-central", "DE", 50.11, 8.68),
            region("us-east", "US", 39.04, -77.49),
            third_region,
        ],
        requests_in_flight_max: FleetPlan::REQUESTS_IN_FLIGHT_MAX,
        jitter: Duration::ZERO,
        tenants: vec![
            tenant("berlin", "allow = [\"set:EU\"]", &["eu-central"]),
            tenant(
                "zurich",
                "allow = [\"set:EU\"]\nfallback = [[\"country:CH\", \"country:GB\"]]",
                &["eu-central", "uk-south"],
            ),
            tenant("globe", "allow = [\"any\"]", &["eu-central", "us-east", third]),
            tenant(
                "careful",
                "allow = [\"any\"]\nunknown = \"refuse\"\n\n[[residency.client]]\nwhen = [\"set:EU\"]\nallow = [\"set:EU\"]",
                &["eu-central"],
            ),
        ],
    }
}

/// Runs a story of this fleet, from the moment when all nodes have met.
fn story<T: Send + 'static>(
    (seed, third): (u64, &'static str),
    tell: impl AsyncFnOnce(Simulation, Fleet) -> T + Send + 'static,
) -> T {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_timer(VirtualTime).with_test_writer();
    // Another story may have done so already.
    let _ = log.try_init();
    Simulation::run(seed, move |simulation| async move {
        let fleet = Fleet::start(&simulation, &plan(third)).await.unwrap();
        let met = fleet.until_whole(10 * SECOND).await.unwrap();
        assert!(met < 2 * SECOND, "the nodes met after {met:?}");
        tell(simulation, fleet).await
    })
    .unwrap()
}

struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        // Every simulation begins within a moment of the first line that its thread logs.
        thread_local!(static ORIGIN: tokio::time::Instant = tokio::time::Instant::now());
        write!(w, "{:>10.3}", ORIGIN.with(tokio::time::Instant::elapsed).as_secs_f64())
    }
}

/// The reason in a refusal's problem+json, which its `Proxy-Status` must give too.
#[track_caller]
fn reason(answer: &Answer) -> String {
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let reason = problem["reason"].as_str().unwrap().to_owned();
    let status = answer.headers["proxy-status"].to_str().unwrap();
    assert!(status.contains(&reason), "{status}");
    reason
}

#[test]
fn every_request_is_served_at_the_nearest_place_that_its_tenant_allows() {
    story((1, "ap-southeast"), async |_, fleet| {
        // Tenant, edge, the region that serves, and the round trip between edge and region.
        let cases = [
            ("berlin", EU, "eu-central", Duration::ZERO),
            ("berlin", US, "eu-central", EU_US_RTT),
            ("berlin", AP, "eu-central", EU_AP_RTT),
            ("zurich", EU, "eu-central", Duration::ZERO),
            ("zurich", US, "eu-central", EU_US_RTT),
            ("zurich", AP, "eu-central", EU_AP_RTT),
            ("globe", EU, "eu-central", Duration::ZERO),
            ("globe", US, "us-east", Duration::ZERO),
            ("globe", AP, "ap-southeast", Duration::ZERO),
        ];
        for (tenant, edge, region, rtt) in cases {
            let target = format!("/{edge}/{tenant}?x=1");
            let answer = fleet.get(edge, &format!("{tenant}.example"), &target).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.text()), (200, region.to_owned()), "{target}");
            assert_eq!(answer.headers["x-graticule-region"], region, "{target}");
            // At most ten hops within a city, each with a timer's millisecond; the sphere is 0.6 % off the ellipsoid.
            let expected = rtt.mul_f64(0.994)..rtt.mul_f64(1.006) + 10 * MS;
            assert!(expected.contains(&answer.took), "{target} took {:?}, not {expected:?}", answer.took);

            let receipt = fleet.received().pop().unwrap();
            assert_eq!((&*receipt.region, &*receipt.target), (region, &*target));
            let server = format!("{region}-1");
            let relayed = [format!("1.1 {edge}"), format!("1.1 {server}")];
            assert_eq!(receipt.via, relayed[usize::from(edge == server)..], "{target}");

            let why = fleet.why(edge, tenant).await.unwrap();
            let decision = if edge == server { "local" } else { "relay" };
            assert_eq!((&*why.decision, why.region.unwrap().as_str()), (decision, region), "{target}");
            assert_eq!(why.candidates.len(), 3, "{target}");
        }
        assert_eq!(fleet.received().len(), cases.len(), "one backend saw each request, and none saw another");
    });
}

#[test]
fn what_may_not_be_served_is_refused_and_no_backend_sees_it() {
    story((2, "ap-southeast"), async |_, fleet| {
        for edge in [EU, US, AP] {
            // Nobody knows where 10.0.0.0/8 is, and this tenant's rules ask.
            let answer = fleet.get(edge, "careful.example", "/").await.unwrap();
            assert_eq!((answer.status.as_u16(), &*reason(&answer)), (403, "unknown-location"), "{edge}");
            assert!(answer.took < 10 * MS, "{:?}", answer.took);
            let why = fleet.why(edge, "careful").await.unwrap();
            assert_eq!((&*why.decision, why.reason.as_deref()), ("refuse", Some("unknown-location")));
            assert_eq!((why.status, &*why.client_country), (Some(403), "unknown"));

            let answer = fleet.get(edge, "nobody.example", "/").await.unwrap();
            assert_eq!((answer.status.as_u16(), &*reason(&answer)), (404, "unknown-tenant"), "{edge}");
        }
        assert_eq!(fleet.received(), []);
    });
}

/// One request of a stream of them: when it was sent, and what came.
#[derive(Debug, PartialEq)]
struct Asked {
    after: Duration,
    answer: Answer,
}

/// Sends requests for `span`, every 10 ms for at most two seconds or else every 100 ms, and waits for all answers.
async fn ask_steadily(
    fleet: &Fleet,
    (edge, method, tenant): (&str, &Method, &str),
    span: Duration,
) -> Vec<Asked> {
    let began = Instant::now();
    let host = format!("{tenant}.example");
    let pause = if span > 2 * SECOND { 100 * MS } else { 10 * MS };
    let count = span.as_millis() / pause.as_millis();
    let asked = (0..count as u32).map(|number| {
        let host = &host;
        async move {
            let after = pause * number;
            sleep_until(began + after).await;
            Asked { after, answer: fleet.send(edge, request(method, host)).await.unwrap() }
        }
    });
    join_all(asked).await
}

fn request(method: &Method, host: &str) -> Request<Full<Bytes>> {
    let body = if *method == Method::GET { Bytes::new() } else { Bytes::from_static(b"an order") };
    Request::builder().method(method).uri("/").header("host", host).body(body.into()).unwrap()
}

/// Runs futures side by side, and gives their outputs in order.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        let mut all = true;
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(ready) => *output = Some(ready),
                Poll::Pending => all = false,
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

#[test]
fn a_dead_region_gets_nothing_new_and_its_tenants_are_served_where_they_may_be() {
    story((3, "uk-south"), async |_, fleet| {
        // Preferences have settled, and every round trip is known.
        sleep(3 * SECOND).await;
        fleet.machine(EU).unwrap().crash();
        // 3 x RTT is less for both that live.
        let promised = 250 * MS;
        let (dead_end, spread, posted, global) = tokio::join!(
            ask_steadily(&fleet, (US, &Method::GET, "berlin"), 2 * SECOND),
            ask_steadily(&fleet, (US, &Method::GET, "zurich"), 2 * SECOND),
            ask_steadily(&fleet, (UK, &Method::POST, "zurich"), SECOND),
            ask_steadily(&fleet, (US, &Method::GET, "globe"), 2 * SECOND),
        );
        let us_uk_rtt = 60 * MS;
        for Asked { after, answer } in spread.iter().chain(&posted) {
            assert_eq!((answer.status.as_u16(), &*answer.text()), (200, "uk-south"), "after {after:?}");
            let late = answer.took > us_uk_rtt + 15 * MS;
            assert!(!late || *after < promised, "waited for the dead {after:?} after its death");
            assert!(answer.took < promised + us_uk_rtt, "{:?} after {after:?}", answer.took);
        }
        for Asked { after, answer } in &dead_end {
            assert_eq!((answer.status.as_u16(), &*reason(answer)), (503, "no-compliant-region"), "{after:?}");
            assert!(answer.took < 15 * MS || *after < promised, "{:?} after {after:?}", answer.took);
        }
        for Asked { after, answer } in &global {
            assert_eq!((answer.status.as_u16(), &*answer.text()), (200, "us-east"), "after {after:?}");
        }
        for receipt in fleet.received() {
            assert!(receipt.host != "berlin.example", "{receipt:?}");
        }
        let why = fleet.why(US, "berlin").await.unwrap();
        assert_eq!(why.reason.as_deref(), Some("no-compliant-region"));
        let verdicts: Vec<_> = why.candidates.iter().map(|candidate| &*candidate.verdict).collect();
        // Those that were asked before its death was noticed have waited for its connection to end, 5 s.
        assert!(
            matches!(verdicts[..], ["suspect" | "unreachable", "forbidden", "forbidden"]),
            "{verdicts:?}"
        );
    });
}

#[test]
fn a_node_is_suspect_within_three_round_trips_of_its_death_wherever_it_is_seen_from() {
    for (seed, dead) in [(4, EU), (5, US), (6, AP)] {
        story((seed, "ap-southeast"), async move |_, fleet| {
            sleep(3 * SECOND).await;
            fleet.machine(dead).unwrap().crash();
            let crashed = Instant::now();
            for other in [EU, US, AP].into_iter().filter(|node| *node != dead) {
                // By the geography: 65.7 ms, 102.8 ms and, from Ashburn to Singapore over the Pole, 155.4 ms.
                let rtt = match (other, dead) {
                    (EU | US, EU | US) => EU_US_RTT,
                    (EU | AP, EU | AP) => EU_AP_RTT,
                    _ => US_AP_RTT,
                };
                let promised = (250 * MS).max(3 * rtt);
                sleep_until(crashed + promised).await;
                assert_eq!(
                    fleet.condition(other, dead).unwrap(),
                    Some(Condition::Suspect),
                    "{other} of {dead}"
                );
            }
        });
    }
}

#[test]
fn a_node_that_comes_back_is_used_again_within_seconds() {
    for (seed, down) in [(7, 500 * MS), (8, 3 * SECOND), (9, 20 * SECOND), (10, 90 * SECOND)] {
        story((seed, "ap-southeast"), async move |_, fleet| {
            let machine = fleet.machine(EU).unwrap();
            let generation = async |fleet: &Fleet| {
                let view = fleet.view(US).await.unwrap();
                view.into_iter().find(|node| node.name.as_str() == EU).map(|node| node.generation)
            };
            let before = generation(&fleet).await.unwrap();
            machine.crash();
            sleep(down).await;
            machine.start().await.unwrap();
            let started = Instant::now();
            for edge in [EU, US, AP] {
                loop {
                    let answer = fleet.get(edge, "berlin.example", "/").await.unwrap();
                    if answer.status == 200 {
                        break;
                    }
                    sleep(10 * MS).await;
                }
            }
            // Peers give a connection up 5 s after the last word; only then do they dial whoever is there now.
            let promised = SECOND + (5 * SECOND + SECOND).saturating_sub(down);
            assert!(started.elapsed() < promised, "after {:?}, {down:?} down", started.elapsed());
            sleep(SECOND).await;
            assert_eq!(generation(&fleet).await, Some(before + 1));
            let served = ask_steadily(&fleet, (US, &Method::GET, "berlin"), SECOND).await;
            assert!(served.iter().all(|asked| asked.answer.status == 200));
        });
    }
}

/// Waits until `is_so`, and says for how long.
async fn until(limit: Duration, is_so: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < limit, "not so within {limit:?}");
        sleep(10 * MS).await;
    }
    began.elapsed()
}

/// Whether the gossip of every node holds all three for alive.
async fn all_see_all_alive(fleet: &Fleet) -> bool {
    for node in [EU, US, AP] {
        let view = fleet.view(node).await.unwrap();
        if view.len() != 3 || view.iter().any(|node| !node.alive) {
            return false;
        }
    }
    true
}

/// Cuts or mends the link from one node to another, in this direction only.
fn cut(simulation: &Simulation, fleet: &Fleet, (from, to): (&str, &str), cut: bool) {
    let host = |node| fleet.machine(node).unwrap().host();
    simulation.shape(host(from), host(to), |link| link.cut = cut);
}

/// What the three think of each other: EU of US, US of EU, EU of AP, AP of EU.
fn conditions(fleet: &Fleet) -> [Condition; 4] {
    [(EU, US), (US, EU), (EU, AP), (AP, EU)].map(|(node, peer)| fleet.condition(node, peer).unwrap().unwrap())
}

#[test]
fn a_link_cut_in_one_direction_makes_both_ends_suspect_until_it_is_mended() {
    use Condition::{Suspect, Usable};
    story((11, "ap-southeast"), async |simulation, fleet| {
        sleep(3 * SECOND).await;
        cut(&simulation, &fleet, (EU, US), true);
        let suspected = until(SECOND, async || conditions(&fleet)[..2] == [Suspect; 2]).await;
        assert!(suspected < 300 * MS, "suspected after {suspected:?}");
        // Answers of neither end get through, but Singapore hears both, and gossip knows better.
        sleep(2 * SECOND).await;
        assert_eq!(conditions(&fleet), [Suspect, Suspect, Usable, Usable]);
        assert!(all_see_all_alive(&fleet).await);
        assert_eq!(fleet.get(AP, "berlin.example", "/").await.unwrap().text(), "eu-central");
        let refused = fleet.get(US, "berlin.example", "/").await.unwrap();
        assert_eq!((refused.status.as_u16(), &*reason(&refused)), (503, "no-compliant-region"));

        cut(&simulation, &fleet, (EU, US), false);
        let trusted = until(SECOND, async || conditions(&fleet) == [Usable; 4]).await;
        assert!(trusted < 300 * MS, "trusted after {trusted:?}");
        assert_eq!(fleet.get(US, "berlin.example", "/").await.unwrap().text(), "eu-central");
    });
}

#[test]
fn views_meet_again_after_a_partition() {
    use Condition::{Suspect, Unreachable, Usable};
    story((12, "ap-southeast"), async |simulation, fleet| {
        sleep(3 * SECOND).await;
        let ways = [(EU, US), (US, EU), (EU, AP), (AP, EU)];
        for way in ways {
            cut(&simulation, &fleet, way, true);
        }
        let suspected = until(SECOND, async || conditions(&fleet) == [Suspect; 4]).await;
        assert!(suspected < 350 * MS, "suspected after {suspected:?}");
        sleep(MINUTE).await;
        assert_eq!(conditions(&fleet), [Unreachable; 4], "no connection outlives a minute of silence");
        assert_eq!(fleet.condition(US, AP).unwrap(), Some(Usable));
        let alive =
            |view: Vec<graticule_node_api::Node>| view.iter().map(|node| node.alive).collect::<Vec<_>>();
        assert_eq!(alive(fleet.view(EU).await.unwrap()), [false, true, false]);
        assert_eq!(alive(fleet.view(US).await.unwrap()), [true, false, true]);
        let local = fleet.get(EU, "berlin.example", "/").await.unwrap();
        assert_eq!(local.text(), "eu-central", "its own tenants go on on both sides");

        for way in ways {
            cut(&simulation, &fleet, way, false);
        }
        // Pauses between attempts had grown to 10 s, an attempt takes 3 s, and one that succeeds ends the other end's
        // pause.
        until(14 * SECOND, async || fleet.is_whole().unwrap()).await;
        until(2 * SECOND, async || all_see_all_alive(&fleet).await).await;
    });
}

/// Loses a share of all packets between the three, in both directions.
fn lose(simulation: &Simulation, fleet: &Fleet, share: f64) {
    for (one, other) in [(EU, US), (EU, AP), (US, AP)] {
        let host = |node| fleet.machine(node).unwrap().host();
        simulation.shape_both(host(one), host(other), |link| link.loss = share);
    }
}

/// How many were answered, and the median of how long that took.
fn answered(asked: &[Asked]) -> (usize, Duration) {
    let mut took: Vec<_> =
        asked.iter().filter(|asked| asked.answer.status == 200).map(|asked| asked.answer.took).collect();
    took.sort_unstable();
    (took.len(), took.get(took.len() / 2).copied().unwrap_or_default())
}

#[test]
fn a_minute_in_which_every_fifth_packet_is_lost_costs_requests_but_no_member() {
    story((13, "ap-southeast"), async |simulation, fleet| {
        sleep(3 * SECOND).await;
        lose(&simulation, &fleet, 0.2);
        let (us, ap, posted, local) = tokio::join!(
            ask_steadily(&fleet, (US, &Method::GET, "berlin"), MINUTE),
            ask_steadily(&fleet, (AP, &Method::GET, "berlin"), MINUTE),
            ask_steadily(&fleet, (AP, &Method::POST, "berlin"), MINUTE),
            ask_steadily(&fleet, (US, &Method::GET, "globe"), MINUTE),
        );
        println!("of {}: {:?} {:?} {:?}", us.len(), answered(&us), answered(&ap), answered(&posted));
        assert_eq!(answered(&local).0, local.len(), "what needs no link loses nothing");
        for relayed in [&us, &ap, &posted] {
            // A region that is suspect for a moment is no region for a tenant that has no other.
            assert!(
                answered(relayed).0 * 10 > relayed.len() * 6,
                "{:?} of {}",
                answered(relayed),
                relayed.len()
            );
        }
        for node in [EU, US, AP] {
            assert_eq!(fleet.view(node).await.unwrap().len(), 3, "nobody is forgotten");
        }
        lose(&simulation, &fleet, 0.0);
        until(15 * SECOND, async || fleet.is_whole().unwrap() && all_see_all_alive(&fleet).await).await;
        sleep(SECOND).await;
        let after = ask_steadily(&fleet, (AP, &Method::POST, "berlin"), SECOND).await;
        assert_eq!(answered(&after).0, after.len());
    });
}

/// A quarter of a minute with a crash after 2 s, a return after 5 s, and a cut from 10 s to 12 s: what was received and
/// what every client got.
fn eventful(seed: u64) -> (Vec<Receipt>, Vec<Asked>) {
    story((seed, "ap-southeast"), async |simulation, fleet| {
        // When the three have met depends on whom gossip picks.
        sleep(BEGIN.saturating_sub(simulation.elapsed())).await;
        let events = async {
            sleep(2 * SECOND).await;
            fleet.machine(EU).unwrap().crash();
            sleep(3 * SECOND).await;
            fleet.machine(EU).unwrap().start().await.unwrap();
            sleep(5 * SECOND).await;
            cut(&simulation, &fleet, (AP, EU), true);
            sleep(2 * SECOND).await;
            cut(&simulation, &fleet, (AP, EU), false);
        };
        let (mut asked, posted, global, ()) = tokio::join!(
            ask_steadily(&fleet, (US, &Method::GET, "berlin"), 15 * SECOND),
            ask_steadily(&fleet, (AP, &Method::POST, "berlin"), 15 * SECOND),
            ask_steadily(&fleet, (EU, &Method::GET, "globe"), SECOND),
            events,
        );
        asked.extend(posted.into_iter().chain(global));
        (fleet.received(), asked)
    })
}

/// What does not hang on chitchat's own randomness and on hash maps, which the seed does not decide as yet: everything
/// until the crash, to the millisecond, and later who was answered what, but for requests sent while views change.
fn decided_by_seed(
    (received, asked): &(Vec<Receipt>, Vec<Asked>),
) -> (Vec<Receipt>, Vec<(Duration, u16, String)>) {
    let early = received.iter().take_while(|receipt| receipt.at < BEGIN + 2 * SECOND).cloned().collect();
    let settled = [2_500..5_000, 9_000..10_000, 10_500..12_000, 12_500..15_000];
    let is_settled = |asked: &&Asked| settled.iter().any(|span| span.contains(&asked.after.as_millis()));
    let outcome = |Asked { after, answer }: &Asked| {
        let what = if answer.status == 200 { answer.text() } else { reason(answer) };
        (*after, answer.status.as_u16(), what)
    };
    (early, asked.iter().filter(is_settled).map(outcome).collect())
}

const BEGIN: Duration = Duration::from_secs(3);

#[test]
fn the_same_seed_tells_the_same_story_and_another_seed_another() {
    let first = decided_by_seed(&eventful(14));
    let (early, later) = &first;
    assert!(early.len() > 100 && later.len() > 100, "{} and {}", early.len(), later.len());
    assert!(
        later.iter().any(|(_, status, _)| *status == 503)
            && later.iter().any(|(_, status, _)| *status == 200)
    );
    assert_eq!(decided_by_seed(&eventful(14)), first);
    assert_ne!(decided_by_seed(&eventful(15)).0, *early, "request ids at least are drawn anew");
}
