//! Large bodies through a tunnel: whole, with bounded memory, and at the pace of whoever is slower.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use graticule_tests::{
    Answer, Ask, Connection, EU_CENTRAL, Fleet, Pattern, Plan, Received, US_EAST, ask, eventually,
    fingerprint_of_pattern, now, story,
};
use http::Method;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

#[test]
fn a_gibibyte_up_and_down_arrives_whole_and_is_not_kept_in_memory() {
    story(Duration::from_mins(5), async {
        let fleet = fleet().await;
        warm_up(&fleet).await;
        let expected = fingerprint_of_pattern(GIBIBYTE);
        let memory = Memory::watch(&fleet);

        let begun = now();
        let answer = upload(&fleet, GIBIBYTE).await;
        assert_eq!((answer.status.as_u16(), answer.region()), (200, Some("eu-central")));
        let up = now() - begun;
        let seen = fleet.seen("upload").remove(0).1.body.expect("the whole body has arrived");
        assert_eq!((seen.bytes, seen.fingerprint), (GIBIBYTE, expected));

        let begun = now();
        let (bytes, fingerprint) = download(&fleet, GIBIBYTE).await;
        assert_eq!((bytes, fingerprint), (GIBIBYTE, expected));
        let down = now() - begun;

        let growth = memory.growth();
        println!(
            "up {:.1} s, down {:.1} s, memory grew by {growth:?} MiB",
            up.as_secs_f64(),
            down.as_secs_f64()
        );
        assert!(growth.iter().all(|(_, mebibytes)| *mebibytes < 64), "{growth:?}");
    });
}

#[test]
fn a_client_that_stops_reading_stops_the_backend() {
    story(Duration::from_mins(2), async {
        let fleet = fleet().await;
        let mut connection = Connection::open(fleet.edge("us-east")).await.unwrap();
        let asked = Ask::get(HOST, &format!("/download?bytes={GIBIBYTE}")).named("unread");
        let mut body = connection.start(asked.request()).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let given = || received(&fleet, "unread").answered_bytes.load(Ordering::Relaxed);
        let stopped_at = stands_still("the backend stops", given).await;
        assert!(stopped_at < 64 * MEBIBYTE, "{} MiB are on the way", stopped_at / MEBIBYTE);

        // Nothing is lost by the pause, and it goes on as soon as somebody reads.
        let mut read = first.len() as u64;
        while read < 2 * stopped_at {
            let frame = timeout(LIMIT, body.frame()).await.expect("it goes on").unwrap().unwrap();
            read += frame.into_data().unwrap().len() as u64;
        }
        assert!(given() > stopped_at);
    });
}

#[test]
fn a_backend_that_stops_reading_stops_the_client() {
    story(Duration::from_mins(2), async {
        let fleet = fleet().await;
        let mut connection = Connection::open(fleet.edge("us-east")).await.unwrap();
        let pattern = Pattern::new(GIBIBYTE);
        let given = pattern.taken();
        let asked = Ask::with(Method::POST, HOST, "/unread?read_ms=10000", "").named("stalled");
        let answer = tokio::task::spawn_local(async move {
            let answered = connection.start(asked.request_with(pattern)).await;
            answered.map(|answer| answer.status())
        });
        let stopped_at = stands_still("the client stops", || given.load(Ordering::Relaxed)).await;
        assert!(stopped_at < 64 * MEBIBYTE, "{} MiB are on the way", stopped_at / MEBIBYTE);
        eventually("it goes on when the backend reads", LIMIT, async || {
            let more = given.load(Ordering::Relaxed);
            if more > 2 * stopped_at { Ok(()) } else { Err(more) }
        })
        .await;
        answer.abort();
    });
}

#[test]
fn a_client_that_goes_away_is_noticed_at_the_backend() {
    story(Duration::from_mins(2), async {
        let fleet = fleet().await;
        for edge in ["us-east", "eu-central"] {
            goes_away_while_it_waits(&fleet, edge).await;
            goes_away_while_it_reads(&fleet, edge).await;
            goes_away_while_it_sends(&fleet, edge).await;
        }
    });
}

/// Waits until a count of bytes stays what it is for a second; where that is.
async fn stands_still(what: &str, count: impl Fn() -> u64) -> u64 {
    eventually(what, Duration::from_secs(8), async || {
        let before = count();
        sleep(Duration::from_secs(1)).await;
        if before > 0 && count() == before { Ok(before) } else { Err(before) }
    })
    .await
}

async fn goes_away_while_it_waits(fleet: &Fleet, edge: &str) {
    let id = format!("waits-{edge}");
    let mut connection = Connection::open(fleet.edge(edge)).await.expect("a connection");
    let asked = Ask::get(HOST, "/slow?wait_ms=60000").named(&id);
    let request = tokio::task::spawn_local(async move { connection.start(asked.request()).await.map(drop) });
    arrived(fleet, &id).await;
    request.abort();
    is_gone_at_the_backend(fleet, &id).await;
}

async fn goes_away_while_it_reads(fleet: &Fleet, edge: &str) {
    let id = format!("reads-{edge}");
    let mut connection = Connection::open(fleet.edge(edge)).await.expect("a connection");
    let asked = Ask::get(HOST, &format!("/download?bytes={GIBIBYTE}")).named(&id);
    let mut answer = connection.start(asked.request()).await.expect("an answer");
    answer.frame().await.expect("a body").expect("its first part");
    drop((answer, connection));
    is_gone_at_the_backend(fleet, &id).await;
}

async fn goes_away_while_it_sends(fleet: &Fleet, edge: &str) {
    let id = format!("sends-{edge}");
    let mut connection = Connection::open(fleet.edge(edge)).await.expect("a connection");
    let pattern = Pattern::new(GIBIBYTE);
    let asked = Ask::with(Method::POST, HOST, "/upload", "").named(&id);
    let request =
        tokio::task::spawn_local(
            async move { connection.start(asked.request_with(pattern)).await.map(drop) },
        );
    arrived(fleet, &id).await;
    request.abort();
    is_gone_at_the_backend(fleet, &id).await;
    assert_eq!(received(fleet, &id).body, None, "half a body is no body");
}

async fn arrived(fleet: &Fleet, id: &str) {
    eventually("the request is at the backend", LIMIT, async || {
        if fleet.seen(id).is_empty() { Err("it is not") } else { Ok(()) }
    })
    .await;
}

async fn is_gone_at_the_backend(fleet: &Fleet, id: &str) {
    let left = now();
    let gone = eventually("the backend notices that the client has gone", LIMIT, async || {
        received(fleet, id).gone.ok_or("it does not")
    })
    .await;
    let noticed = gone.saturating_duration_since(left);
    assert!(noticed < Duration::from_secs(2), "{id}: noticed after {noticed:?}");
}

fn received(fleet: &Fleet, id: &str) -> Received {
    let mut seen = fleet.seen(id);
    assert_eq!(seen.len(), 1, "{id} was seen {} times", seen.len());
    seen.remove(0).1
}

async fn fleet() -> Fleet {
    Plan::new([EU_CENTRAL, US_EAST])
        .tenant("eu-only", &format!("[[match]]\nhost = \"{HOST}\"\n[residency]\nallow = [\"set:EU\"]"))
        .start()
        .await
}

/// Whatever is allocated once, for good, is there after this.
async fn warm_up(fleet: &Fleet) {
    for _ in 0..20 {
        assert_eq!(ask(fleet.edge("us-east"), &Ask::get(HOST, "/download?bytes=100000")).await.status, 200);
    }
}

async fn upload(fleet: &Fleet, bytes: u64) -> Answer {
    let mut connection = Connection::open(fleet.edge("us-east")).await.expect("a connection");
    let asked = Ask::with(Method::POST, HOST, "/upload", "").named("upload");
    let (parts, body) =
        connection.start(asked.request_with(Pattern::new(bytes))).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a whole answer").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn download(fleet: &Fleet, bytes: u64) -> (u64, [u8; 32]) {
    let mut connection = Connection::open(fleet.edge("us-east")).await.expect("a connection");
    let asked = Ask::get(HOST, &format!("/download?bytes={bytes}")).named("download");
    let mut body = connection.start(asked.request()).await.expect("an answer").into_body();
    let (mut read, mut hash) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        let chunk = frame.expect("a body without a break").into_data().expect("no trailers");
        read += chunk.len() as u64;
        hash.update(&chunk);
    }
    (read, hash.finalize().into())
}

/// The most that each node has kept in memory since the watch began.
struct Memory {
    nodes: Vec<(String, u64, Rc<Cell<u64>>)>,
    watching: tokio::task::JoinHandle<()>,
}

impl Memory {
    fn watch(fleet: &Fleet) -> Self {
        let reader = |node: &graticule_tests::Node| {
            let highest = Rc::new(Cell::new(node.resident_bytes()));
            (node.name.clone(), node.pid(), highest)
        };
        let readers: Vec<_> = fleet.nodes.iter().map(reader).collect();
        let nodes = readers
            .iter()
            .map(|(name, _, highest)| (name.clone(), highest.get(), Rc::clone(highest)))
            .collect();
        let watching = tokio::task::spawn_local(async move {
            loop {
                for (_, pid, highest) in &readers {
                    highest.set(highest.get().max(graticule_tests::resident_bytes(*pid)));
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        Self { nodes, watching }
    }

    /// By how many MiB each node has grown at most.
    fn growth(&self) -> Vec<(String, u64)> {
        let grown = |(name, before, highest): &(String, u64, Rc<Cell<u64>>)| {
            (name.clone(), highest.get().saturating_sub(*before) / MEBIBYTE)
        };
        self.nodes.iter().map(grown).collect()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

const HOST: &str = "eu-only.example";
const MEBIBYTE: u64 = 1024 * 1024;
const GIBIBYTE: u64 = 1024 * MEBIBYTE;
const LIMIT: Duration = Duration::from_secs(15);
