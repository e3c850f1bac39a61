//! What happens to requests when every node of the nearest compliant region is killed under load.

use std::time::{Duration, Instant};

use graticule_tests::{
    Ask, EU_CENTRAL, EU_WEST, Fleet, Load, Outcome, Plan, Step, US_EAST, ask, eventually, now, story,
};
use http::Method;
use tokio::time::sleep;

#[test]
fn a_dead_region_gets_no_request_and_the_next_compliant_one_answers() {
    story(Duration::from_mins(3), async {
        let mut fleet = fleet().await;
        let load = Load::start(&edges(&fleet), CLIENTS, mix(), PAUSE);
        sleep(Duration::from_secs(2)).await;
        let first_kill = kill(&mut fleet, "eu-west");
        sleep(Duration::from_secs(9)).await;
        let second_kill = kill(&mut fleet, "eu-central");
        sleep(Duration::from_secs(4)).await;
        let outcomes = load.stop().await;

        let story = Story { fleet: &fleet, outcomes, first_kill, second_kill };
        println!("{}", story.figures());
        story.before_anything_the_nearest_region_serves();
        story.soon_no_request_goes_to_the_dead_region();
        story.everything_that_can_be_repeated_is_answered();
        story.after_a_second_hardly_anything_fails();
        story.nothing_that_must_not_be_repeated_is_done_twice();
        story.without_a_compliant_region_the_refusal_says_so();
        story.who_may_fall_back_does();
        story.nobodys_request_is_seen_where_it_may_not();
    });
}

#[test]
fn a_region_that_comes_back_is_used_again() {
    story(Duration::from_mins(2), async {
        let mut fleet = fleet().await;
        kill(&mut fleet, "eu-west");
        kill(&mut fleet, "eu-central");
        fleet.until_able("eu-west", "eu-only", false).await;
        fleet.until_able("eu-central", "eu-only", false).await;
        let asked = Ask::get("eu-only.example", "/");
        assert_eq!(
            ask(fleet.edge("us-east"), &asked).await.refusal().as_deref(),
            Some("no-compliant-region")
        );

        fleet
            .nodes
            .iter_mut()
            .filter(|node| node.region == "eu-central")
            .for_each(graticule_tests::Node::start);
        eventually("a region that is back serves", Duration::from_secs(20), async || {
            let answer = ask(fleet.edge("us-east"), &asked).await;
            if answer.region() == Some("eu-central") { Ok(()) } else { Err(answer) }
        })
        .await;
    });
}

async fn fleet() -> Fleet {
    let fleet = Plan::new([EU_CENTRAL, EU_WEST, US_EAST])
        .nodes_per_region(2)
        .backends_per_region(2)
        .over_wan()
        .tenant("eu-only", "[[match]]\nhost = \"eu-only.example\"\n[residency]\nallow = [\"set:EU\"]")
        .tenant(
            "fallback",
            "[[match]]\nhost = \"fallback.example\"\n[residency]\nallow = [\"set:EU\"]\nfallback = [[\"country:US\"]]",
        )
        .start()
        .await;
    fleet.until_settled().await;
    fleet
}

fn edges(fleet: &Fleet) -> Vec<std::net::SocketAddr> {
    fleet.nodes_in("us-east").map(|node| node.http).collect()
}

fn kill(fleet: &mut Fleet, region: &str) -> Instant {
    fleet.kill_region(region);
    now()
}

/// Short requests and some that a backend thinks about, so that a kill meets some of every kind half done.
fn mix() -> Vec<Step> {
    let step = |host, method, path, body_bytes| Step { host, method, path, body_bytes };
    vec![
        step("eu-only.example", Method::GET, "/", 0),
        step("eu-only.example", Method::POST, "/orders", 2_000),
        step("fallback.example", Method::GET, "/slow?wait_ms=100", 0),
        step("eu-only.example", Method::PUT, "/basket", 2_000),
        step("fallback.example", Method::POST, "/slow?wait_ms=100", 500),
        step("eu-only.example", Method::GET, "/slow?wait_ms=100", 0),
        step("fallback.example", Method::GET, "/", 0),
        step("eu-only.example", Method::POST, "/slow?wait_ms=100", 500),
    ]
}

/// What was asked, what was done to the fleet meanwhile, and what followed.
struct Story<'f> {
    fleet: &'f Fleet,
    outcomes: Vec<Outcome>,
    first_kill: Instant,
    second_kill: Instant,
}

impl Story<'_> {
    fn before_anything_the_nearest_region_serves(&self) {
        let before: Vec<_> = self.outcomes.iter().filter(|outcome| outcome.ended < self.first_kill).collect();
        let nearest = before.iter().filter(|outcome| outcome.region() == Some("eu-west")).count();
        assert!(before.len() > 100, "too little load: {}", before.len());
        // A busy machine may have made a node look dead for a moment.
        assert!(nearest * 100 > before.len() * 95, "{nearest} of {} before the kill", before.len());
    }

    /// A request that is sent to a dead node waits for at least 150 ms before it goes elsewhere.
    fn soon_no_request_goes_to_the_dead_region(&self) {
        let alternative = US_EAST.round_trip(EU_CENTRAL);
        let prompt = |outcome: &Outcome| {
            outcome.region() == Some("eu-central")
                && outcome.took() < alternative + waits(outcome) + Duration::from_millis(150)
        };
        let from = self.first_kill + noticed_within(US_EAST.round_trip(EU_WEST));
        expect_all(&self.between(from, self.second_kill), "after the first kill", prompt);
    }

    fn everything_that_can_be_repeated_is_answered(&self) {
        let all = self.between(self.outcomes[0].started, self.second_kill);
        let repeatable: Vec<_> =
            all.into_iter().filter(|outcome| outcome.step.method.is_idempotent()).collect();
        expect_all(&repeatable, "repeatable", Outcome::is_served);
    }

    fn after_a_second_hardly_anything_fails(&self) {
        let after = self.between(self.first_kill + Duration::from_secs(1), self.second_kill);
        let failed = after.iter().filter(|outcome| !outcome.is_served()).count();
        assert!(after.len() > 1_000, "too little load: {}", after.len());
        assert!(failed * 1_000 < after.len(), "{failed} of {} failed", after.len());
    }

    /// A request that was accepted by a node that died may be lost; then it says so, and was done at most once.
    fn nothing_that_must_not_be_repeated_is_done_twice(&self) {
        let once = self.outcomes.iter().filter(|outcome| outcome.step.method == Method::POST);
        for outcome in once.clone() {
            let seen = self.fleet.seen(&outcome.id).len();
            assert!(seen <= 1, "{} was done {seen} times", outcome.id);
            assert!(!outcome.is_served() || seen == 1, "{} was answered and not done", outcome.id);
        }
        let noticed = self.first_kill + noticed_within(US_EAST.round_trip(EU_WEST));
        let lost = once.filter(|outcome| outcome.started < noticed && !outcome.is_served());
        expect_all(&lost.collect::<Vec<_>>(), "accepted by nodes that died", |outcome| {
            ["502 tunnel-lost", "504 tunnel-timeout"].contains(&outcome.told().as_str())
        });
    }

    fn without_a_compliant_region_the_refusal_says_so(&self) {
        let from = self.second_kill + noticed_within(US_EAST.round_trip(EU_CENTRAL));
        let refused: Vec<_> = self.after(from).into_iter().filter(|outcome| is_eu_only(outcome)).collect();
        expect_all(&refused, "without a compliant region", |outcome| {
            let retry = outcome.answer.as_ref().is_ok_and(|answer| answer.header("retry-after").is_some());
            outcome.told() == "503 no-compliant-region"
                && retry
                && outcome.took() < Duration::from_millis(150)
        });
    }

    fn who_may_fall_back_does(&self) {
        let from = self.second_kill + noticed_within(US_EAST.round_trip(EU_CENTRAL));
        let fallen_back: Vec<_> =
            self.after(from).into_iter().filter(|outcome| !is_eu_only(outcome)).collect();
        expect_all(&fallen_back, "falling back", |outcome| outcome.region() == Some("us-east"));
    }

    fn nobodys_request_is_seen_where_it_may_not(&self) {
        let outside = self.fleet.backends.iter().filter(|backend| backend.region == "us-east");
        let received: Vec<_> = outside.flat_map(graticule_tests::Backend::received).collect();
        assert!(!received.is_empty(), "nothing has fallen back");
        let strays = received.iter().filter(|received| received.headers["host"] == "eu-only.example").count();
        assert_eq!(strays, 0, "requests of the EU-only tenant outside of the EU");
    }

    /// What began from one moment on and should have been over by the other.
    fn between(&self, from: Instant, until: Instant) -> Vec<&Outcome> {
        let until = until.checked_sub(Duration::from_secs(1)).expect("a kill after more than a second");
        self.outcomes.iter().filter(|outcome| outcome.started >= from && outcome.started < until).collect()
    }

    fn after(&self, from: Instant) -> Vec<&Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.started >= from).collect()
    }

    /// For whoever reads the output.
    fn figures(&self) -> String {
        let ms = |outcome: &&Outcome| {
            let since = outcome.started.checked_duration_since(self.first_kill);
            since.map_or(-1.0, |since| since.as_secs_f64() * 1_000.0)
        };
        let all = self.between(self.outcomes[0].started, self.second_kill);
        let lost: Vec<_> = all.iter().copied().filter(|outcome| !outcome.is_served()).collect();
        let is_slow = |outcome: &&Outcome| outcome.took() > Duration::from_millis(250) + waits(outcome);
        let slow: Vec<_> =
            all.iter().copied().filter(|outcome| outcome.is_served()).filter(is_slow).collect();
        let latest = |of: &[&Outcome]| of.iter().map(ms).fold(-1.0, f64::max);
        format!(
            "{} requests; {} were slow, the last of them begun {:.0} ms after the kill; {} were lost, the last {:.0} ms after it",
            self.outcomes.len(),
            slow.len(),
            latest(&slow),
            lost.len(),
            latest(&lost),
        )
    }
}

/// Fails with some of those of which it does not hold; also if there are none at all.
fn expect_all(outcomes: &[&Outcome], which: &str, holds: impl Fn(&Outcome) -> bool) {
    assert!(!outcomes.is_empty(), "no requests {which}");
    let odd: Vec<_> = outcomes.iter().filter(|outcome| !holds(outcome)).collect();
    let told = odd.iter().take(20).map(|outcome| {
        let Step { host, method, path, .. } = &*outcome.step;
        format!(
            "{} {method} {host}{path}: {} by {:?} after {:?}",
            outcome.id,
            outcome.told(),
            outcome.region(),
            outcome.took()
        )
    });
    let told: Vec<_> = told.collect();
    assert!(odd.is_empty(), "{} of {} requests {which}:\n{}", odd.len(), outcomes.len(), told.join("\n"));
}

fn is_eu_only(outcome: &Outcome) -> bool {
    outcome.step.host == "eu-only.example"
}

/// How long the backend takes over it.
fn waits(outcome: &Outcome) -> Duration {
    Duration::from_millis(if outcome.step.path.contains("wait_ms=100") { 100 } else { 0 })
}

/// No request is sent to a dead peer later than this after its death.
fn noticed_within(round_trip: Duration) -> Duration {
    Duration::from_millis(250).max(3 * round_trip)
}

const CLIENTS: usize = 48;
const PAUSE: Duration = Duration::from_millis(20);
