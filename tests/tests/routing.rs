//! Who is served where: a table of tenants, edges, clients and healthy regions against a running fleet.
//!
//! Every case is checked three times: by the answer that the client gets, at the backends that did or did not receive
//! the request, and by `graticule why` at the same edge.

use std::cell::Cell;
use std::net::IpAddr;
use std::time::Duration;

use graticule_node_api::Why;
use graticule_tests::{
    AP_SOUTHEAST, Ask, Connection, EU_CENTRAL, EU_WEST, Fleet, Plan, UK, US_EAST, Withheld, ask, eventually,
    story,
};
use http::Method;
use tokio::time::timeout;

#[test]
fn every_request_is_served_in_the_nearest_region_that_its_tenants_rules_allow() {
    story(Duration::from_mins(4), async {
        let mut fleet = fleet().await;
        check(&fleet, "all regions healthy", &all_healthy()).await;

        set_backends(&mut fleet, "eu-west", false).await;
        check(&fleet, "no backend in eu-west", &without_eu_west()).await;

        set_backends(&mut fleet, "eu-central", false).await;
        check(&fleet, "no backend in the European Union", &without_the_union()).await;

        set_backends(&mut fleet, "uk", false).await;
        check(&fleet, "no backend in Europe", &without_europe()).await;

        for region in ["eu-west", "eu-central", "uk"] {
            set_backends(&mut fleet, region, true).await;
        }
        check(&fleet, "all regions healthy again", &all_healthy()).await;

        set_node(&mut fleet, "eu-west", false).await;
        check(&fleet, "no node in eu-west", &without_node_in_eu_west()).await;

        set_node(&mut fleet, "eu-central", false).await;
        check(&fleet, "no node in the European Union", &without_node_in_the_union()).await;

        set_node(&mut fleet, "eu-west", true).await;
        set_node(&mut fleet, "eu-central", true).await;
        fleet.until_settled().await;
        check(&fleet, "all nodes back", &all_healthy()).await;
    });
}

#[test]
fn an_edge_that_may_not_receive_a_request_answers_before_its_body() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        for edge in ["us-east", "uk"] {
            let upload = Ask::with(Method::POST, "sealed.example", "/upload", "").named("withheld");
            let mut connection = Connection::open(fleet.edge(edge)).await.unwrap();
            let request = upload.request_with(Withheld { length: 10 << 20 });
            let answered = timeout(Duration::from_secs(5), connection.start(request)).await;
            let answer = answered.expect("an answer without a byte of the body").unwrap();
            assert_eq!(answer.status(), 421, "{edge}");
        }
        assert!(fleet.seen("withheld").is_empty());
    });
}

#[test]
fn what_is_on_the_way_is_said_in_both_directions_and_what_is_of_one_hop_stays_there() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        let asked = Ask::get("eu-only.example", "/way")
            .from(US.parse().unwrap())
            .header("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-01"))
            .header("x-request-id", "asked-by-the-client")
            .header("connection", "x-of-one-hop")
            .header("x-of-one-hop", "1")
            .named("way");
        let answer = eventually("the nearest region answers", Duration::from_secs(10), async || {
            let answer = ask(fleet.edge("us-east"), &asked).await;
            if answer.region() == Some("eu-west") { Ok(answer) } else { Err(answer) }
        })
        .await;
        assert_eq!(answer.status, 200);
        let proxies = answer.header("proxy-status").unwrap();
        assert!(proxies.contains("us-east-1"), "{proxies}");

        let (_, received) = fleet.seen("way").pop().unwrap();
        let received = |name: &str| {
            let values = received.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
            values.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(received("via"), "1.1 us-east-1, 1.1 eu-west-1");
        assert!(received("x-forwarded-for").contains(US), "{}", received("x-forwarded-for"));
        assert!(received("traceparent").starts_with(&format!("00-{TRACE}-")), "{}", received("traceparent"));
        assert_eq!(received("x-request-id"), "asked-by-the-client");
        assert_eq!((received("host").as_str(), received("x-of-one-hop").as_str()), ("eu-only.example", ""));
    });
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// One row of the table.
struct Case {
    tenant: Tenant,
    edge: &'static str,
    client: &'static str,
    path: &'static str,
    expected: Expected,
}

/// How a tenant is asked for.
#[derive(Clone, Copy)]
struct Tenant {
    id: &'static str,
    host: &'static str,
    header: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    In(&'static str),
    Refused(u16, &'static str),
}
use Expected::{In, Refused};

const DE: &str = "134.76.10.46";
const FR: &str = "129.20.128.1";
const CH: &str = "129.132.19.216";
const GB: &str = "131.111.150.25";
const US: &str = "18.9.22.69";
const SG: &str = "137.132.21.27";
const AU: &str = "150.203.22.1";
const DE6: &str = "2001:638:607::1";
const CH6: &str = "2001:620:8::1";
/// No address: whoever sits before the edge was broken, or lies.
const MALFORMED: &str = "18.9.22.69.1";
/// Set aside for documentation, so in no country.
const NOWHERE: &str = "192.0.2.7";

const EU_ONLY: Tenant = by_host("eu-only", "eu-only.example");
const FALLBACK: Tenant = by_host("fallback", "fallback.example");
const ANYWHERE: Tenant = by_host("anywhere", "anywhere.example");
const BY_COUNTRY: Tenant = by_host("by-country", "by-country.example");
const AT_HOME: Tenant = by_host("at-home", "at-home.example");
const SEALED: Tenant = by_host("sealed", "sealed.example");
const ROUTED: Tenant = by_host("routed", "routed.example");
const NOT_US: Tenant = by_host("not-us", "not-us.example");
const SHOPS: Tenant = by_host("shops", "lyon.shops.example");
const SHOPS_SHOUTING: Tenant = by_host("shops", "A.B.Shops.Example:8080");
const BY_PATH: Tenant = by_host("by-path", "shared.example");
const BY_HEADER: Tenant =
    Tenant { id: "by-header", host: "shared.example", header: Some(("x-tenant", "by-header")) };

const fn by_host(id: &'static str, host: &'static str) -> Tenant {
    Tenant { id, host, header: None }
}

async fn fleet() -> Fleet {
    let fleet = Plan::new([EU_CENTRAL, EU_WEST, UK, US_EAST, AP_SOUTHEAST])
        .over_wan()
        .tenant("eu-only", &format!("{}{EU_ALLOWED}", host("eu-only.example")))
        .tenant(
            "fallback",
            &format!(
                "{}{EU_ALLOWED}\nfallback = [[\"country:CH\", \"country:GB\"]]",
                host("fallback.example")
            ),
        )
        .tenant("anywhere", &format!("{}[residency]\nallow = [\"any\"]", host("anywhere.example")))
        .tenant(
            "by-country",
            &format!("{}{EU_ALLOWED}\nunknown = \"refuse\"\n{ABROAD}", host("by-country.example")),
        )
        .tenant(
            "at-home",
            &format!(
                "{}{EU_ALLOWED}\nunknown = \"home\"\nhome = \"eu-west\"\n{ABROAD}",
                host("at-home.example")
            ),
        )
        .tenant("sealed", &format!("{}{EU_ALLOWED}\nreceive = \"allowed\"", host("sealed.example")))
        .tenant("routed", &format!("{}{ROUTES}", host("routed.example")))
        .tenant(
            "not-us",
            &format!("{}[residency]\nallow = [\"any\"]\ndeny = [\"country:US\"]", host("not-us.example")),
        )
        .tenant("shops", &format!("{}{EU_ALLOWED}", host("*.shops.example")))
        .tenant(
            "by-path",
            &format!("[[match]]\nhost = \"shared.example\"\npath_prefix = \"/union\"\n{EU_ALLOWED}"),
        )
        .tenant(
            "by-header",
            "[[match]]\nhost = \"shared.example\"\nheader = { name = \"x-tenant\", value = \"by-header\" }\n\
             [residency]\nallow = [\"country:SG\"]",
        )
        .start()
        .await;
    fleet.until_settled().await;
    fleet
}

fn host(name: &str) -> String {
    format!("[[match]]\nhost = \"{name}\"\n\n")
}

const EU_ALLOWED: &str = "[residency]\nallow = [\"set:EU\"]";
const ABROAD: &str = r#"
[[residency.client]]
when = ["country:US"]
allow = ["country:US"]

[[residency.client]]
when = ["country:SG", "country:AU"]
allow = ["country:SG"]

[[residency.client]]
when = ["country:GB"]
allow = []
"#;
const ROUTES: &str = r#"
[residency]
allow = ["any"]

[[route]]
path_prefix = "/union"
residency = { allow = ["set:EU"] }

[[route]]
path_prefix = "/union/us"
residency = { allow = ["country:US"] }
"#;

const fn case(tenant: Tenant, edge: &'static str, client: &'static str, expected: Expected) -> Case {
    Case { tenant, edge, client, path: "/", expected }
}

const fn on_path(mut case: Case, path: &'static str) -> Case {
    case.path = path;
    case
}

const NO_REGION: Expected = Refused(503, "no-compliant-region");

fn all_healthy() -> Vec<Case> {
    vec![
        // Within its rules a request stays where it comes in, and goes to the nearest region from where it may not.
        case(EU_ONLY, "eu-central", DE, In("eu-central")),
        case(EU_ONLY, "eu-west", FR, In("eu-west")),
        case(EU_ONLY, "us-east", US, In("eu-west")),
        case(EU_ONLY, "ap-southeast", SG, In("eu-central")),
        case(EU_ONLY, "uk", GB, In("eu-west")),
        case(ANYWHERE, "us-east", US, In("us-east")),
        case(ANYWHERE, "ap-southeast", AU, In("ap-southeast")),
        case(ANYWHERE, "uk", DE, In("uk")),
        case(NOT_US, "us-east", US, In("uk")),
        case(NOT_US, "eu-west", FR, In("eu-west")),
        // A fallback is no choice while anything before it is able, however near it is.
        case(FALLBACK, "uk", GB, In("eu-west")),
        case(FALLBACK, "us-east", US, In("eu-west")),
        // The client's country counts where a rule asks for it, not where the client comes in.
        case(BY_COUNTRY, "eu-central", US, In("us-east")),
        case(BY_COUNTRY, "us-east", SG, In("ap-southeast")),
        case(BY_COUNTRY, "us-east", AU, In("ap-southeast")),
        case(BY_COUNTRY, "us-east", DE6, In("eu-west")),
        case(BY_COUNTRY, "eu-central", CH, In("eu-central")),
        case(BY_COUNTRY, "ap-southeast", CH6, In("eu-central")),
        case(BY_COUNTRY, "uk", GB, Refused(403, "not-permitted")),
        case(BY_COUNTRY, "eu-central", NOWHERE, Refused(403, "unknown-location")),
        case(BY_COUNTRY, "us-east", MALFORMED, Refused(403, "unknown-location")),
        case(AT_HOME, "eu-central", NOWHERE, In("eu-west")),
        case(AT_HOME, "us-east", MALFORMED, In("eu-west")),
        case(AT_HOME, "eu-central", US, In("us-east")),
        case(AT_HOME, "eu-central", DE, In("eu-central")),
        // An unknown client is no question for those who do not ask.
        case(EU_ONLY, "us-east", MALFORMED, In("eu-west")),
        // Only edges in allowed regions may receive at all.
        case(SEALED, "eu-central", US, In("eu-central")),
        case(SEALED, "us-east", DE, Refused(421, "receive-not-allowed")),
        case(SEALED, "uk", DE, Refused(421, "receive-not-allowed")),
        // Routes stand for themselves; the longest prefix of whole segments counts.
        case(ROUTED, "us-east", US, In("us-east")),
        on_path(case(ROUTED, "us-east", US, In("eu-west")), "/union"),
        on_path(case(ROUTED, "us-east", US, In("eu-west")), "/union/orders?of=us"),
        on_path(case(ROUTED, "us-east", US, In("us-east")), "/unionize"),
        on_path(case(ROUTED, "eu-central", DE, In("us-east")), "/union/us/orders"),
        // Tenants are known by what they claim.
        case(SHOPS, "us-east", US, In("eu-west")),
        case(SHOPS_SHOUTING, "eu-central", DE, In("eu-central")),
        on_path(case(BY_PATH, "us-east", US, In("eu-west")), "/union/x"),
        case(BY_HEADER, "eu-central", DE, In("ap-southeast")),
    ]
}

fn without_eu_west() -> Vec<Case> {
    vec![
        case(EU_ONLY, "us-east", US, In("eu-central")),
        case(EU_ONLY, "eu-west", FR, In("eu-central")),
        case(EU_ONLY, "uk", GB, In("eu-central")),
        case(FALLBACK, "uk", GB, In("eu-central")),
        case(ANYWHERE, "eu-west", FR, In("uk")),
        case(SEALED, "eu-west", FR, In("eu-central")),
        // Home is a region, not a wish.
        case(AT_HOME, "us-east", NOWHERE, NO_REGION),
    ]
}

fn without_the_union() -> Vec<Case> {
    vec![
        case(EU_ONLY, "us-east", US, NO_REGION),
        case(EU_ONLY, "eu-central", DE, NO_REGION),
        case(FALLBACK, "us-east", US, In("uk")),
        case(FALLBACK, "eu-central", DE, In("uk")),
        case(BY_COUNTRY, "eu-central", DE, NO_REGION),
        case(BY_COUNTRY, "eu-central", US, In("us-east")),
        case(SEALED, "eu-central", DE, NO_REGION),
        case(SEALED, "us-east", US, Refused(421, "receive-not-allowed")),
        case(ANYWHERE, "eu-central", DE, In("uk")),
        on_path(case(ROUTED, "us-east", US, NO_REGION), "/union"),
    ]
}

fn without_europe() -> Vec<Case> {
    vec![
        case(FALLBACK, "uk", GB, NO_REGION),
        case(ANYWHERE, "eu-central", DE, In("us-east")),
        case(NOT_US, "eu-central", DE, In("ap-southeast")),
        case(NOT_US, "us-east", US, In("ap-southeast")),
    ]
}

fn without_node_in_eu_west() -> Vec<Case> {
    vec![
        case(EU_ONLY, "us-east", US, In("eu-central")),
        case(EU_ONLY, "uk", GB, In("eu-central")),
        case(FALLBACK, "uk", GB, In("eu-central")),
    ]
}

fn without_node_in_the_union() -> Vec<Case> {
    vec![
        case(EU_ONLY, "us-east", US, NO_REGION),
        case(EU_ONLY, "uk", GB, NO_REGION),
        case(FALLBACK, "us-east", US, In("uk")),
        case(FALLBACK, "ap-southeast", SG, In("uk")),
        case(BY_COUNTRY, "us-east", DE, NO_REGION),
        case(ANYWHERE, "us-east", US, In("us-east")),
    ]
}

async fn set_backends(fleet: &mut Fleet, region: &str, up: bool) {
    for backend in fleet.backends_in(region) {
        if up { backend.resume() } else { backend.stop() }
    }
    fleet.until_able(region, "anywhere", up).await;
}

async fn set_node(fleet: &mut Fleet, region: &str, up: bool) {
    let node = fleet.node_mut(&format!("{region}-1"));
    if up {
        node.start();
        fleet.until_connected().await;
    } else {
        node.kill();
    }
    fleet.until_able(region, "anywhere", up).await;
}

/// Checks every case and fails with all that are wrong.
async fn check(fleet: &Fleet, state: &str, cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        let Case { tenant, edge, client, path, .. } = case;
        for fault in settled_faults(fleet, case).await {
            wrong.push(format!("{} {path} from {client} at {edge}: {fault}", tenant.id));
        }
    }
    assert!(wrong.is_empty(), "with {state}:\n{}", wrong.join("\n"));
}

/// What is wrong with one case. On a machine that is too busy to answer in time nodes are suspected, rightly: the table
/// is not about that, so such a case is asked again.
async fn settled_faults(fleet: &Fleet, case: &Case) -> Vec<String> {
    let mut found = faults(fleet, case).await;
    for _ in 0..SUSPICIONS_MAX {
        if !found.iter().any(|fault| fault.contains("suspect")) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        found = faults(fleet, case).await;
    }
    found
}

/// What is wrong with one case.
async fn faults(fleet: &Fleet, case: &Case) -> Vec<String> {
    let id = next_id();
    let Case { tenant, edge, client, path, expected } = case;
    let mut asked = Ask::get(tenant.host, path).header("x-forwarded-for", client).named(&id);
    if let Some((name, value)) = tenant.header {
        asked = asked.header(name, value);
    }
    let answer = ask(fleet.edge(edge), &asked).await;
    let seen: Vec<_> = fleet.seen(&id).into_iter().map(|(region, _)| region).collect();
    let refusal = answer.refusal().unwrap_or_default();
    let answered = (answer.status.as_u16(), answer.region(), refusal.as_str(), &seen[..]);
    let as_expected = match *expected {
        In(region) => answered == (200, Some(region), "", &[region.to_owned()][..]),
        Refused(status, reason) => answered == (status, None, reason, &[][..]),
    };
    let mut faults = Vec::new();
    if !as_expected {
        let (status, region, ..) = answered;
        faults.push(format!(
            "expected {expected:?}, answered {status} {refusal} by {region:?}, seen in {seen:?}; {}",
            reasons(fleet, case).await
        ));
    }
    faults.extend(fault_of_why(fleet, case).await);
    faults
}

/// Whether `graticule why` says the same.
async fn fault_of_why(fleet: &Fleet, case: &Case) -> Option<String> {
    let node = format!("{}-1", case.edge);
    let ran = fleet.why_by_command(&node, case.tenant.id, case.client.parse().ok(), case.path).await;
    let why: Why = ran.succeeded().json();
    let as_expected = match case.expected {
        In(region) => {
            let decision = if region == case.edge { "local" } else { "relay" };
            why.decision == decision && why.region.as_ref().is_some_and(|chosen| chosen.as_str() == region)
        }
        Refused(status, reason) => {
            why.decision == "refuse" && why.status == Some(status) && why.reason.as_deref() == Some(reason)
        }
    };
    (!as_expected).then(|| format!("expected {:?}, `why` says {why:?}", case.expected))
}

/// The verdict on every region, for whoever reads a failure.
async fn reasons(fleet: &Fleet, case: &Case) -> String {
    let node = format!("{}-1", case.edge);
    let client: Option<IpAddr> = case.client.parse().ok();
    let why = fleet.why(&node, case.tenant.id, client, case.path).await;
    let candidates = why.candidates.iter();
    let verdicts = candidates.map(|at| format!("{} {} {:.1} ms", at.region, at.verdict, at.cost_ms));
    format!("client {}, {}", why.client_country, verdicts.collect::<Vec<_>>().join(", "))
}

const SUSPICIONS_MAX: usize = 10;

fn next_id() -> String {
    thread_local!(static NEXT: Cell<u32> = const { Cell::new(0) });
    format!("case-{}", NEXT.replace(NEXT.get() + 1))
}
