//! Pools with backends that are slow, fail, flap, refuse, or are not whom they should be; and what clients notice.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use graticule_node_api::{Pool, client};
use graticule_tests::{
    Answer, Ask, Connection, EU_CENTRAL, EU_WEST, Fleet, Load, Mood, Moody, Outcome, Plan, Speaks, Step, ask,
    consecutive_ports, eventually, run, story, tls_server,
};
use http::{Method, StatusCode};
use tokio::time::sleep;

const HOST: &str = "shop.example";

/// A node of one region whose tenant `shop` has these pools; `tables` go into the node's configuration.
async fn node_with(pools: &str, tables: &str) -> Fleet {
    fleet_with(Plan::new([EU_CENTRAL]), pools, tables).await
}

/// A fleet whose tenant `shop` has these pools; `tables` go into the configuration of every node.
async fn fleet_with(plan: Plan, pools: &str, tables: &str) -> Fleet {
    let mut fleet = Fleet::prepare(plan).await;
    let head = "version = 1\nid = \"shop\"\nmatch = [{ host = \"shop.example\" }]\n";
    let document = format!("{head}residency = {{ allow = [\"any\"] }}\n{pools}\n");
    fs::write(fleet.documents().join("tenants/shop.toml"), document).unwrap();
    for node in &mut fleet.nodes {
        node.configure_also(tables);
        node.start();
    }
    fleet.until_connected().await;
    fleet
}

fn listed<'b>(backends: impl IntoIterator<Item = &'b Moody>) -> String {
    let addresses: Vec<_> = backends.into_iter().map(|backend| backend.address.to_string()).collect();
    format!("{addresses:?}")
}

async fn get(fleet: &Fleet, path: &str) -> Answer {
    ask(fleet.nodes[0].http, &Ask::get(HOST, path)).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

async fn pools(fleet: &Fleet) -> Vec<Pool> {
    fleet.nodes[0].call(&client::pools()).await.unwrap()
}

/// The condition of one backend of the only pool.
async fn condition(fleet: &Fleet, address: SocketAddr) -> String {
    let pools = pools(fleet).await;
    let backend = pools[0].backends.iter().find(|backend| backend.address == address);
    backend.map_or_else(|| "absent".to_owned(), |backend| backend.condition.clone())
}

/// The number of one series on the node's page of metrics.
async fn metric(fleet: &Fleet, series: &str) -> u64 {
    let page = text(&ask(fleet.nodes[0].admin, &Ask::get("admin", "/metrics")).await);
    let number = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    number.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
}

async fn until(fleet: &Fleet, address: SocketAddr, wanted: &str) {
    eventually(&format!("{address} is {wanted}"), Duration::from_secs(15), async || {
        let condition = condition(fleet, address).await;
        if condition == wanted { Ok(()) } else { Err(condition) }
    })
    .await;
}

#[test]
fn bad_backends_beside_good_ones_cost_few_errors_and_little_time() {
    story(Duration::from_mins(2), async {
        let start = |mood| Moody::start(Speaks::Http1, mood);
        let good: Vec<_> = (0..4).map(|_| start(Mood::Well)).collect();
        let (slow, failing, flapping) = (start(Mood::Slow), start(Mood::Failing), start(Mood::Well));
        let refusing = format!("\"127.0.0.1:{}\"", consecutive_ports(1));
        let working = listed(good.iter().chain([&slow, &failing, &flapping]));
        let backends = format!("{}, {refusing}]", working.trim_end_matches(']'));
        let pool = format!(
            "[pools.eu-central]\nbackends = {backends}\nejection = {{ base = \"3s\", max = \"6s\" }}\nslow_start = \"2s\""
        );
        let fleet = node_with(&pool, "").await;
        let step = Step { host: HOST, method: Method::GET, path: "/", body_bytes: 0 };
        let load = Load::start(&[fleet.nodes[0].http], 32, vec![step], Duration::from_millis(2));
        let [mut told_by_api, mut told_by_metrics] = [false; 2];
        for round in 0..12 {
            flapping.set(if round % 2 == 0 { Mood::Well } else { Mood::Resetting });
            sleep(Duration::from_secs(1)).await;
            told_by_api |= condition(&fleet, failing.address).await == "ejected";
            told_by_metrics |= metric(&fleet, EJECTED_NOW).await > 0;
        }
        assert!(told_by_api && told_by_metrics, "the failing one: {told_by_api}, any: {told_by_metrics}");
        let ejections = metric(&fleet, EJECTIONS).await;
        assert!(ejections >= 3, "of the failing, the flapping and the refusing one: {ejections}");
        failing.set(Mood::Well);
        until(&fleet, failing.address, "usable").await;
        assert!(metric(&fleet, RETURNS).await > 0, "what was ejected and is usable has returned");
        let outcomes = load.stop().await;
        let (errors, p50, p99) = figures(&outcomes);
        let rate = errors as f64 / outcomes.len() as f64;
        println!(
            "{} requests, {errors} errors ({:.3} %), p50 {p50:?}, p99 {p99:?}; slow got {}, failing {}, flapping {}, a good one {}",
            outcomes.len(),
            rate * 100.0,
            slow.requests(),
            failing.requests(),
            flapping.requests(),
            good[0].requests()
        );
        assert!(outcomes.len() > 2_000, "{} requests", outcomes.len());
        assert!(rate < 0.005, "{errors} errors of {}", outcomes.len());
        assert!(p99 < Duration::from_millis(150), "p99 {p99:?}, with one backend of eight that takes 200 ms");
        let served = failing.requests();
        eventually("the backend that is well again is used again", Duration::from_secs(10), async || {
            get(&fleet, "/").await;
            if failing.requests() > served { Ok(()) } else { Err(served) }
        })
        .await;
    });
}

const EJECTED_NOW: &str = r#"graticule_pool_backends{tenant="shop",pool="default",condition="ejected"}"#;
const EJECTIONS: &str = r#"graticule_backend_events_total{event="ejected"}"#;
const RETURNS: &str = r#"graticule_backend_events_total{event="returned"}"#;

/// Errors, and the middle and the 99th percentile of the times.
fn figures(outcomes: &[Outcome]) -> (usize, Duration, Duration) {
    let well =
        |outcome: &&Outcome| outcome.answer.as_ref().is_ok_and(|answer| answer.status == StatusCode::OK);
    let errors = outcomes.len() - outcomes.iter().filter(well).count();
    let mut times: Vec<_> = outcomes.iter().map(|outcome| outcome.ended - outcome.started).collect();
    times.sort_unstable();
    (errors, times[times.len() / 2], times[times.len() * 99 / 100])
}

#[test]
fn a_full_outage_sees_at_most_a_fifth_more_requests_than_clients_sent() {
    story(Duration::from_mins(2), async {
        for mood in [Mood::Failing, Mood::Resetting] {
            let backends: Vec<_> = (0..3).map(|_| Moody::start(Speaks::Http1, mood)).collect();
            let pool = format!(
                "[pools.eu-central]\nbackends = {}\nretry = {{ retries_max = 5 }}",
                listed(&backends)
            );
            let fleet = node_with(&pool, "").await;
            let mut connection = Connection::open(fleet.nodes[0].http).await.unwrap();
            let sent = 1_000u64;
            for _ in 0..sent {
                let answer = connection.ask(&Ask::get(HOST, "/")).await.unwrap();
                assert!(answer.status.is_server_error());
            }
            let seen: u64 = backends.iter().map(Moody::requests).sum();
            println!("{mood:?}: {sent} requests of clients, {seen} at backends");
            assert!(seen * 10 <= sent * 12, "{seen} requests at backends for {sent} of clients");
            assert!(seen >= sent, "{seen} requests at backends for {sent} of clients");
        }
    });
}

#[test]
fn an_outage_of_two_regions_sees_no_more() {
    story(Duration::from_mins(2), async {
        let [here, there] = [(); 2].map(|()| Moody::start(Speaks::Http1, Mood::Resetting));
        let pools = format!(
            "[pools.eu-central]\nbackends = {}\n[pools.eu-west]\nbackends = {}",
            listed([&here]),
            listed([&there])
        );
        let fleet = fleet_with(Plan::new([EU_CENTRAL, EU_WEST]), &pools, "").await;
        let sent = 1_000u64;
        let mut connection = Connection::open(fleet.nodes[0].http).await.unwrap();
        for _ in 0..sent {
            let answer = connection.ask(&Ask::get(HOST, "/")).await.unwrap();
            assert_eq!(
                answer.status,
                StatusCode::BAD_GATEWAY,
                "wherever it is sent, backends fail: {answer:?}"
            );
        }
        let seen = [here.requests(), there.requests()];
        println!("{sent} requests of clients, {seen:?} at backends");
        assert!(seen.iter().sum::<u64>() * 10 <= sent * 12, "{seen:?} at backends for {sent} of clients");
        assert!(seen[1] > 0, "none was ever sent to the other region");
    });
}

#[test]
fn a_region_whose_backends_fail_is_stood_in_for_by_another_for_as_long_as_it_takes() {
    story(Duration::from_mins(2), async {
        let (here, there) =
            (Moody::start(Speaks::Http1, Mood::Resetting), Moody::start(Speaks::Http1, Mood::Well));
        let pools = format!(
            "[pools.eu-central]\nbackends = {}\nretry = {{ retries_max = 0 }}\n[pools.eu-west]\nbackends = {}",
            listed([&here]),
            listed([&there])
        );
        let fleet = fleet_with(Plan::new([EU_CENTRAL, EU_WEST]), &pools, "").await;
        let mut connection = Connection::open(fleet.nodes[0].http).await.unwrap();
        let body = "x".repeat(64 * 1024);
        for ask in [Ask::get(HOST, "/"), Ask::with(Method::PUT, HOST, "/", body)] {
            for _ in 0..50 {
                let answer = connection.ask(&ask).await.unwrap();
                let expected = (StatusCode::OK, Some("eu-west"));
                assert_eq!((answer.status, answer.region()), expected, "{answer:?}");
            }
        }
        assert_eq!(here.requests(), 100, "each is first tried here, and once");
    });
}

#[test]
fn a_request_that_a_backend_drops_is_answered_by_another_if_it_may_be_repeated() {
    story(Duration::from_mins(1), async {
        let (bad, good) =
            (Moody::start(Speaks::Http1, Mood::Resetting), Moody::start(Speaks::Http1, Mood::Well));
        let pool = format!(
            "[pools.eu-central]\nbackends = {}\nbalance = \"round-robin\"\nejection = false",
            listed([&bad, &good])
        );
        let fleet = node_with(&pool, "").await;
        for _ in 0..10 {
            assert_eq!(get(&fleet, "/").await.status, StatusCode::OK);
        }
        assert_eq!((bad.requests(), good.requests()), (5, 10));
        let post = Ask::with(Method::POST, HOST, "/", "once");
        let answers =
            [ask(fleet.nodes[0].http, &post).await.status, ask(fleet.nodes[0].http, &post).await.status];
        assert_eq!(answers, [StatusCode::BAD_GATEWAY, StatusCode::OK]);
        assert_eq!((bad.requests(), good.requests()), (6, 11), "a POST is sent once");
    });
}

#[test]
fn a_pool_takes_no_more_at_once_than_its_limit() {
    story(Duration::from_mins(1), async {
        let slow = Moody::start(Speaks::Http1, Mood::Slow);
        let pool =
            format!("[pools.eu-central]\nbackends = {}\nlimits = {{ requests_max = 2 }}", listed([&slow]));
        let fleet = node_with(&pool, "").await;
        let asked = async || get(&fleet, "/").await.status.as_u16();
        let (a, b, c, d) = tokio::join!(asked(), asked(), asked(), asked());
        let mut statuses = [a, b, c, d];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 503, 503]);
        assert_eq!(get(&fleet, "/").await.status, StatusCode::OK, "what has ended makes room");
        assert_eq!(pools(&fleet).await[0].requests, 0);
    });
}

#[test]
fn content_rules_and_splits_choose_among_pools() {
    story(Duration::from_mins(1), async {
        let [stable, canary, api] = [(); 3].map(|()| Moody::start(Speaks::Http1, Mood::Well));
        let named = |name: &str, backend: &Moody| {
            format!("[named_pools.{name}.eu-central]\nbackends = {}\n", listed([backend]))
        };
        let content = r#"
[[content]]
path_prefix = "/api"
methods = ["GET"]
pool = "api"
[[content]]
header = { name = "x-canary", value = "1" }
pool = "canary"
[[content]]
query = { name = "share", value = "yes" }
split = { default = 1, canary = 1 }
"#;
        let unnamed = format!("[pools.eu-central]\nbackends = {}\n", listed([&stable]));
        let all = format!("{content}{unnamed}{}{}", named("canary", &canary), named("api", &api));
        let fleet = node_with(&all, "").await;
        let edge = fleet.nodes[0].http;
        let seen = || (stable.requests(), canary.requests(), api.requests());
        ask(edge, &Ask::get(HOST, "/api/x")).await;
        assert_eq!(seen(), (0, 0, 1));
        ask(edge, &Ask::with(Method::POST, HOST, "/api/x", "")).await;
        assert_eq!(seen(), (1, 0, 1));
        ask(edge, &Ask::get(HOST, "/").header("x-canary", "1")).await;
        assert_eq!(seen(), (1, 1, 1));
        for _ in 0..100 {
            ask(edge, &Ask::get(HOST, "/?share=yes")).await;
        }
        let (first, second, _) = seen();
        assert_eq!(first + second, 102);
        assert!((25..=77).contains(&second), "half of a hundred, give or take five deviations: {second}");
    });
}

#[test]
fn the_same_key_goes_to_the_same_backend() {
    story(Duration::from_mins(1), async {
        let backends: Vec<_> = (0..4).map(|_| Moody::start(Speaks::Http1, Mood::Well)).collect();
        let pool = format!(
            "[pools.eu-central]\nbackends = {}\nbalance = \"maglev\"\nhash = \"cookie:session\"",
            listed(&backends)
        );
        let fleet = node_with(&pool, "").await;
        for key in 0..20 {
            let before: Vec<_> = backends.iter().map(Moody::requests).collect();
            for _ in 0..5 {
                let asked = Ask::get(HOST, "/").header("cookie", &format!("a=b; session={key}"));
                ask(fleet.nodes[0].http, &asked).await;
            }
            let got = backends.iter().zip(before).map(|(backend, before)| backend.requests() - before);
            assert_eq!(got.filter(|got| *got > 0).collect::<Vec<_>>(), [5]);
        }
        let used = backends.iter().filter(|backend| backend.requests() > 0).count();
        assert!(used > 1, "all keys went to one backend");
    });
}

#[test]
fn http2_backends_share_a_connection_and_are_told_whom_a_request_is_for() {
    story(Duration::from_mins(1), async {
        let backend = Moody::start(Speaks::Http2, Mood::Well);
        let pool = format!(
            "[pools.eu-central]\nbackends = {}\nprotocol = \"http2\"\ncheck = {{ path = \"/healthz\" }}",
            listed([&backend])
        );
        let fleet = node_with(&pool, "").await;
        until(&fleet, backend.address, "usable").await;
        for _ in 0..3 {
            assert_eq!(text(&get(&fleet, "/x?y").await), format!("HTTP/2.0 {HOST}"));
        }
        let sent = ask(fleet.nodes[0].http, &Ask::with(Method::POST, HOST, "/", "body")).await;
        assert_eq!(sent.status, StatusCode::OK);
    });
}

#[test]
fn a_grpc_check_believes_serving_and_nothing_else() {
    story(Duration::from_mins(1), async {
        let backend = Moody::start(Speaks::Http2, Mood::NotServing);
        let check = "{ kind = \"grpc\", service = \"acme.Shop\", interval = \"200ms\", timeout = \"100ms\" }";
        let pool = format!(
            "[pools.eu-central]\nbackends = {}\nprotocol = \"http2\"\ncheck = {check}",
            listed([&backend])
        );
        let fleet = node_with(&pool, "").await;
        until(&fleet, backend.address, "failed").await;
        assert_eq!(get(&fleet, "/").await.refusal().as_deref(), Some("no-compliant-region"));
        backend.set(Mood::Well);
        until(&fleet, backend.address, "usable").await;
        assert_eq!(get(&fleet, "/").await.status, StatusCode::OK);
    });
}

#[test]
fn a_dead_backend_without_a_check_is_found_in_the_refusal_the_log_and_the_api() {
    story(Duration::from_mins(1), async {
        let address = SocketAddr::from(([127, 0, 0, 1], consecutive_ports(1)));
        let fleet = node_with(&format!("[pools.eu-central]\nbackends = [\"{address}\"]"), "").await;
        for _ in 0..3 {
            assert_eq!(get(&fleet, "/").await.refusal().as_deref(), Some("backend-unreachable"));
        }
        let pools = pools(&fleet).await;
        let backend = &pools[0].backends[0];
        assert_eq!(
            (backend.failures > 0, backend.last_failure.as_deref()),
            (true, Some("connection refused"))
        );
        let log = fleet.nodes[0].log();
        let said: Vec<_> = log.lines().filter(|line| line.contains("requests get no answer")).collect();
        let [line] = said[..] else { panic!("it is said once: {said:?}") };
        for part in ["shop", "default", &address.to_string(), "connection refused"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    });
}

#[test]
fn a_tcp_check_needs_a_listener() {
    story(Duration::from_mins(1), async {
        let backend = Moody::start(Speaks::Http1, Mood::Failing);
        let address = backend.address;
        let check = "{ kind = \"tcp\", interval = \"200ms\", timeout = \"100ms\" }";
        let pool = format!("[pools.eu-central]\nbackends = {}\ncheck = {check}", listed([&backend]));
        let fleet = node_with(&pool, "").await;
        until(&fleet, address, "usable").await;
        drop(backend);
        until(&fleet, address, "failed").await;
    });
}

#[test]
fn a_tls_backend_is_believed_by_its_name_and_its_authority_only() {
    story(Duration::from_mins(2), async {
        let (pem, config) = tls_server("backend.internal");
        let backend = Moody::start(Speaks::Tls(config), Mood::Well);
        let pool = |name: &str, ca: &str, protocol: &str| {
            format!(
                "[pools.eu-central]\nbackends = {}\nprotocol = \"{protocol}\"\ntls = {{ name = \"{name}\"{ca} }}",
                listed([&backend])
            )
        };
        let own = ", ca = \"ca/backends.pem\"";
        let cases = [
            (pool("backend.internal", own, "http1"), Some("HTTP/1.1")),
            (pool("backend.internal", own, "http2"), Some("HTTP/2.0")),
            (pool("other.internal", own, "http1"), None),
            // Public authorities have never heard of ours.
            (pool("backend.internal", "", "http1"), None),
        ];
        for (pool, expected) in cases {
            let mut fleet = Fleet::prepare(Plan::new([EU_CENTRAL])).await;
            fs::create_dir(fleet.documents().join("ca")).unwrap();
            fs::write(fleet.documents().join("ca/backends.pem"), &pem).unwrap();
            let head = "version = 1\nid = \"shop\"\nmatch = [{ host = \"shop.example\" }]\n";
            let document = format!("{head}residency = {{ allow = [\"any\"] }}\n{pool}\n");
            fs::write(fleet.documents().join("tenants/shop.toml"), document).unwrap();
            fleet.nodes[0].start();
            fleet.until_connected().await;
            let answer = get(&fleet, "/").await;
            match expected {
                Some(version) => assert_eq!(text(&answer), format!("{version} {HOST}")),
                None => assert_eq!(answer.refusal().as_deref(), Some("backend-unreachable"), "{answer:?}"),
            }
        }
    });
}

#[test]
fn a_file_of_authorities_that_is_missing_is_an_error_with_its_place() {
    story(Duration::from_mins(1), async {
        let fleet = Fleet::prepare(Plan::new([EU_CENTRAL])).await;
        let head = "version = 1\nid = \"shop\"\nmatch = [{ host = \"shop.example\" }]\n";
        let pool = "[pools.eu-central]\nbackends = [\"127.0.0.1:1\"]\ntls = { name = \"a.example\", ca = \"gone.pem\" }";
        let document = format!("{head}residency = {{ allow = [\"any\"] }}\n{pool}\n");
        fs::write(fleet.documents().join("tenants/shop.toml"), document).unwrap();
        let ran = run(["check", fleet.documents().to_str().unwrap()]).await;
        let said = format!("{ran:?}");
        assert!(
            said.contains("shop.toml:5:8: error: the authorities in `gone.pem` cannot be used"),
            "{said}"
        );
    });
}

/// A DNS server that gives `shop.internal` one address of loopback, for a second, or fails.
struct Dns {
    address: SocketAddr,
    last: Arc<AtomicU8>,
}

impl Dns {
    fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, last) = (socket.local_addr().unwrap(), Arc::new(AtomicU8::new(0)));
        let current = Arc::clone(&last);
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, asker)) = socket.recv_from(&mut question) {
                let answer = answer(&question[..length], current.load(Ordering::SeqCst));
                let _ = socket.send_to(&answer, asker);
            }
        });
        Self { address, last }
    }
}

/// RFC 1035: the question again, then one A record if it asked for one; a failure while there is no address.
fn answer(question: &[u8], last: u8) -> Vec<u8> {
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let asks_v4 = question[name_end..name_end + 2] == [0, 1];
    let (code, answers) = match (last, asks_v4) {
        (0, _) => (2, 0),
        (_, true) => (0, 1),
        (_, false) => (0, 0),
    };
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(&question[12..name_end + 4]);
    if answers > 0 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, last]);
    }
    answer
}

#[test]
fn a_name_is_followed_by_its_time_to_live_and_outlives_dns() {
    story(Duration::from_mins(1), async {
        let dns = Dns::start();
        let port = consecutive_ports(1);
        let mut pool = String::new();
        write!(pool, "[pools.eu-central]\nbackends = [\"shop.internal:{port}\"]").unwrap();
        let tables = format!("[dns]\nservers = [\"{}\"]", dns.address);
        let fleet = node_with(&pool, &tables).await;
        let addresses = async || {
            let pools = pools(&fleet).await;
            pools[0].backends.iter().map(|backend| backend.address.to_string()).collect::<Vec<_>>()
        };
        assert!(addresses().await.is_empty(), "DNS has failed from the beginning");
        for last in [1, 2] {
            dns.last.store(last, Ordering::SeqCst);
            eventually("the name's address is used", Duration::from_secs(20), async || {
                let addresses = addresses().await;
                if addresses == [format!("127.0.0.{last}:{port}")] { Ok(()) } else { Err(addresses) }
            })
            .await;
        }
        dns.last.store(0, Ordering::SeqCst);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(addresses().await, [format!("127.0.0.2:{port}")], "DNS fails, and the last address stays");
    });
}
