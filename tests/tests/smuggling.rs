//! Requests that one server may read differently from another: what reaches the backend, and what never does.
//!
//! The cases are data: see `tests/corpus/smuggling/README.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use graticule_tests::frames::{
    DATA, END_HEADERS, END_STREAM, FRAME_HEAD_BYTES, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame,
};
use graticule_tests::{EU_CENTRAL, Fleet, Plan, Record, Recorder, US_EAST, story};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    expect: Expected,
    body: Option<String>,
    #[serde(default)]
    pipelined: bool,
    sent: Option<String>,
    #[serde(default)]
    fields: Vec<(String, String)>,
    #[serde(default)]
    data: String,
    #[serde(default)]
    trailers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Refused,
    Forwarded,
    Either,
    Broken,
}

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

/// What a client got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    Success,
    /// An error, or an end.
    Refusal,
    Silence,
}

#[test]
fn no_request_is_read_as_another_or_as_two() {
    story(Duration::from_mins(3), async {
        let recorder = Recorder::start().await;
        let fleet = fleet_before(recorder.address).await;
        let cases = corpus();
        assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
        for (round, edge) in ["eu-central", "us-east"].into_iter().enumerate() {
            let address = fleet.edge(edge);
            let numbered: Vec<_> =
                cases.iter().enumerate().map(|(at, case)| (format!("case{round}{at:04}"), case)).collect();
            let asking = stream::iter(&numbered).map(async |(number, case)| ask(address, case, number).await);
            let got: Vec<_> = asking.buffered(AT_ONCE).collect().await;
            // What was begun too many would come now.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let record = recorder.record();
            let faults: Vec<_> = numbered
                .iter()
                .zip(&got)
                .filter_map(|((number, case), got)| judge(case, number, *got, &record).err())
                .collect();
            assert!(faults.is_empty(), "{edge}: {} faults\n{}", faults.len(), faults.join("\n"));
            assert_eq!(record.faults, Vec::<String>::new(), "{edge}");
        }
    });
}

fn judge(case: &Case, number: &str, got: Got, record: &Record) -> Result<(), String> {
    let arrived = |target: String| record.requests.iter().filter(move |seen| seen.target.contains(&target));
    let seen: Vec<_> = arrived(format!("/{number}")).collect();
    let whole: Vec<_> = seen.iter().filter(|seen| seen.is_whole).collect();
    let fault =
        |what: &str| Err(format!("{}: {what}; the client got {got:?}, the backend {seen:?}", case.name));
    if !case.pipelined && arrived(format!("/smuggled-{number}")).next().is_some() {
        return fault("a second request was made of it");
    }
    let expected = match case.expect {
        Expected::Either if got == Got::Success => Expected::Forwarded,
        Expected::Either => Expected::Broken,
        expected => expected,
    };
    match expected {
        Expected::Forwarded => {
            let body = bytes(case.body.as_deref().unwrap_or_default(), number);
            if got != Got::Success || whole.len() != 1 || whole[0].body != body {
                return fault("it was not forwarded as it is");
            }
        }
        Expected::Refused if got != Got::Refusal => return fault("it was not refused"),
        Expected::Refused if !seen.is_empty() => return fault("the backend was asked"),
        Expected::Broken if got == Got::Success || !whole.is_empty() => {
            return fault("it was taken for whole");
        }
        _ => {}
    }
    Ok(())
}

async fn ask(edge: SocketAddr, case: &Case, number: &str) -> Got {
    let mut stream = TcpStream::connect(edge).await.unwrap();
    let (sent, is_http2) = match &case.sent {
        Some(sent) => (bytes(sent, number), false),
        None => (frames(case, number), true),
    };
    // The edge may have closed before all of it has gone.
    let _ = stream.write_all(&sent).await;
    let patience = if case.expect == Expected::Broken { SILENCE } else { ANSWER_LIMIT };
    let answered = async {
        let mut seen = Vec::new();
        loop {
            let told = if is_http2 { told_2(&seen) } else { told_1(&seen) };
            if let Some(got) = told {
                return got;
            }
            if stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                continue;
            }
            return Got::Refusal;
        }
    };
    timeout(patience, answered).await.unwrap_or(Got::Silence)
}

/// What an HTTP/1 answer says, once it says it.
fn told_1(seen: &[u8]) -> Option<Got> {
    let status = seen.strip_prefix(b"HTTP/1.1 ").or_else(|| seen.strip_prefix(b"HTTP/1.0 "));
    let status = status?.first_chunk::<3>()?;
    if status == b"100" {
        let end = seen.windows(4).position(|window| window == b"\r\n\r\n")?;
        return told_1(&seen[end + 4..]);
    }
    Some(if status == b"200" { Got::Success } else { Got::Refusal })
}

/// What frames say about the only stream.
fn told_2(mut seen: &[u8]) -> Option<Got> {
    loop {
        let (head, rest) = seen.split_at_checked(FRAME_HEAD_BYTES)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (payload, rest) = rest.split_at_checked(length)?;
        match head[3] {
            HEADERS => {
                // Changes of the table's size may come before the status.
                let first = payload.iter().find(|byte| *byte & 0xe0 != 0x20)?;
                return Some(if *first == STATUS_200 { Got::Success } else { Got::Refusal });
            }
            RST_STREAM | GOAWAY => return Some(Got::Refusal),
            _ => seen = rest,
        }
    }
}

/// A whole HTTP/2 connection of a client with one request.
fn frames(case: &Case, number: &str) -> Vec<u8> {
    let mut all = PREFACE.to_vec();
    all.extend(frame(SETTINGS, 0, 0, &[]));
    all.extend(frame(HEADERS, END_HEADERS, 1, &block(&case.fields, number)));
    let has_trailers = !case.trailers.is_empty();
    let data = bytes(&case.data, number);
    all.extend(frame(DATA, if has_trailers { 0 } else { END_STREAM }, 1, &data));
    if has_trailers {
        all.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&case.trailers, number)));
    }
    all
}

/// HPACK without a table and without Huffman: every byte as it is.
fn block(fields: &[(String, String)], number: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let text = bytes(text, number);
            length(text.len(), &mut block);
            block.extend(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, 5.1).
fn length(mut length: usize, block: &mut Vec<u8>) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push((length % 128 + 128) as u8);
        length /= 128;
    }
    block.push(length as u8);
}

/// The bytes that a text of the corpus stands for.
fn bytes(text: &str, number: &str) -> Vec<u8> {
    let text = text.replace("{n}", number);
    let (mut out, mut letters) = (Vec::new(), text.bytes());
    while let Some(letter) = letters.next() {
        out.push(match (letter, letter == b'\\') {
            (letter, false) => letter,
            _ => match letters.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'\\' => b'\\',
                b'x' => {
                    let digits = [letters.next().unwrap(), letters.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => panic!("no escape: \\{}", other as char),
            },
        });
    }
    out
}

fn corpus() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/smuggling");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ext| ext == "toml")).collect();
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        toml::from_str::<File>(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())).cases
    };
    files.iter().flat_map(read).collect()
}

async fn fleet_before(backend: SocketAddr) -> Fleet {
    let mut fleet = Fleet::prepare(Plan::new([EU_CENTRAL, US_EAST])).await;
    let head =
        "version = 1\nid = \"a\"\nmatch = [{ host = \"a.example\" }]\nresidency = { allow = [\"any\"] }";
    let document = format!("{head}\n[pools.eu-central]\nbackends = [\"{backend}\"]\n");
    fs::write(fleet.documents().join("tenants/a.toml"), document).unwrap();
    fleet.nodes.iter_mut().for_each(graticule_tests::Node::start);
    fleet.until_connected().await;
    fleet
}

const CASES_MIN: usize = 200;
const AT_ONCE: usize = 16;
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long nothing comes when nothing comes.
const SILENCE: Duration = Duration::from_millis(500);

/// In the static table.
const STATUS_200: u8 = 0x88;
