//! Floods of HTTP/2 frames: cut off at the limits that have their names, while others are served.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use graticule_tests::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame,
};
use graticule_tests::{Ask, Connection, EU_CENTRAL, Node, Plan, US_EAST, ask, eventually, story};
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What is sent again and again after a beginning.
struct Flood {
    name: &'static str,
    begin: Vec<u8>,
    /// The frames with this number.
    again: fn(u32) -> Vec<u8>,
    /// Which of these cuts it off.
    limits: &'static [&'static str],
    /// How many are enough for that, with the defaults: those of one second, and of the next if it begins meanwhile.
    enough: u32,
}

fn floods() -> [Flood; 5] {
    [
        Flood {
            name: "rapid reset",
            begin: Vec::new(),
            again: |at| {
                let stream = 2 * at + 1;
                [headers(stream, END_HEADERS | END_STREAM), frame(RST_STREAM, 0, stream, &CANCEL)].concat()
            },
            limits: &["resets_per_second_max", "library"],
            enough: 2 * PER_SECOND_MAX,
        },
        Flood {
            name: "CONTINUATION",
            begin: headers(1, 0),
            again: |_| frame(CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b']),
            limits: &["library"],
            enough: 2 * PER_SECOND_MAX,
        },
        Flood {
            name: "PING",
            begin: Vec::new(),
            again: |_| frame(PING, 0, 0, &[7; 8]),
            limits: &["control_frames_per_second_max"],
            enough: 2 * PER_SECOND_MAX,
        },
        Flood {
            name: "SETTINGS",
            begin: Vec::new(),
            again: |_| frame(SETTINGS, 0, 0, &[]),
            limits: &["control_frames_per_second_max"],
            enough: 2 * PER_SECOND_MAX,
        },
        Flood {
            name: "empty DATA",
            begin: headers(1, END_HEADERS),
            again: |_| frame(DATA, 0, 1, &[]),
            limits: &["empty_frames_per_second_max", "library"],
            enough: 2 * PER_SECOND_MAX,
        },
    ]
}

#[test]
fn a_flood_is_cut_off_at_its_limit_and_nobody_else_is() {
    story(Duration::from_mins(2), async {
        let fleet = Plan::new([EU_CENTRAL, US_EAST]).tenant("eu-only", &rules()).start().await;
        let edge = fleet.nodes.iter().find(|node| node.region == "us-east").unwrap();
        let mut bystander = Connection::open_http2(edge.http).await.unwrap();
        for Flood { name, begin, again, limits, enough } in floods() {
            let [before, others] = cut_off(edge, limits).await;
            let flooding = flood(edge.http, &begin, again);
            let serving = async {
                for _ in 0..20 {
                    let answer = bystander.ask(&Ask::get(HOST, "/beside")).await.unwrap();
                    assert_eq!(answer.status, StatusCode::OK, "{name}");
                }
            };
            let (sent, ()) = tokio::join!(flooding, serving);
            assert!(sent <= enough, "{name}: {sent} were taken, {enough} are enough");
            eventually("the limit is told", Duration::from_secs(5), async || {
                let told = cut_off(edge, limits).await;
                if told == [before + 1, others] { Ok(()) } else { Err((name, told)) }
            })
            .await;
        }
    });
}

/// How many connections a node has cut off at these limits, by its metrics, and how many at others.
async fn cut_off(node: &Node, limits: &[&str]) -> [u64; 2] {
    let answer = ask(node.admin, &Ask::get("admin", "/metrics")).await;
    let page = String::from_utf8_lossy(&answer.body).into_owned();
    let counts = page.lines().filter_map(|line| line.strip_prefix("graticule_client_floods_total{limit=\""));
    let counts = counts.filter_map(|line| line.split_once("\"} "));
    counts.fold([0; 2], |mut sums, (limit, count)| {
        sums[usize::from(!limits.contains(&limit))] += count.parse::<u64>().expect("a count");
        sums
    })
}

/// Floods a node until that has closed the connection, and says how many frames it may have read before.
async fn flood(edge: SocketAddr, begin: &[u8], again: fn(u32) -> Vec<u8>) -> u32 {
    let mut stream = TcpStream::connect(edge).await.expect("a connection");
    let preface = [PREFACE, &frame(SETTINGS, 0, 0, &[])[..], begin].concat();
    stream.write_all(&preface).await.expect("the preface is taken");
    for sent in 0..FLOOD_MAX {
        if stream.write_all(&again(sent)).await.is_err() || is_closed(&mut stream) {
            return sent;
        }
        // As fast as a slow machine reads: what waits in the socket was not taken.
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    panic!("{FLOOD_MAX} were taken");
}

/// Whether the other end has closed the connection; what it says meanwhile is thrown away.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4_096];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// `GET http://eu-only.example/`, by the static table but for the host.
fn headers(stream: u32, flags: u8) -> Vec<u8> {
    let host = [&[0x82, 0x86, 0x84, 0x41, HOST.len() as u8], HOST.as_bytes()].concat();
    frame(HEADERS, flags, stream, &host)
}

fn rules() -> String {
    format!("[[match]]\nhost = \"{HOST}\"\n[residency]\nallow = [\"set:EU\"]")
}

const HOST: &str = "eu-only.example";
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// The default of each limit.
const PER_SECOND_MAX: u32 = 200;
const FLOOD_MAX: u32 = 20_000;
