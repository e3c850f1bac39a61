//! What do clients do: ask when their time has come, and note what they got.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use graticule::task;
use graticule::world::Stream;
use http::{Request, header};
use http_body_util::Full;
use tokio::time::{Instant, sleep_until, timeout};

use super::Stage;
use super::driver::Client;
use super::invariants;
use crate::chance::{Purpose, generator};
use crate::fleet::TenantPlan;
use crate::fleet::client::{Answer, ask_over};
use crate::judge::{Fate, Sample};
use crate::scenario::Load;

/// Sends all requests of one load.
pub(super) async fn play(stage: Rc<Stage>, position: usize) {
    let mut chance = generator(stage.seed, Purpose::Load, &[position as u64]);
    let load = stage.scenario.loads[position].clone();
    for (number, at) in (0u64..).zip(load.moments(&mut chance)) {
        sleep_until(stage.zero + at).await;
        let stage = Rc::clone(&stage);
        stage.waiting.set(stage.waiting.get() + 1);
        task::spawn_detached("client", async move {
            ask(&stage, position, number).await;
            stage.waiting.set(stage.waiting.get() - 1);
        });
    }
}

async fn ask(stage: &Stage, position: usize, number: u64) {
    let load = &stage.scenario.loads[position];
    let edge = &load.edges[number as usize % load.edges.len()];
    let who = format!("{}/{number}", load.name);
    stage.chronicle.note("ask", &who, edge.clone());
    let (sent, began) = (stage.now(), Instant::now());
    let answered = asked(stage, position, number).await;
    let took = began.elapsed();
    let (edge, at_edge, fate) = match answered {
        Ok((edge, answer)) => (edge, answer.took, fate(&answer)),
        Err(_) => (edge.clone(), took, Fate::NoAnswer),
    };
    let sample = Sample { load: position, number, edge, sent, took, at_edge, fate };
    stage.chronicle.note("answer", &who, shown(&sample));
    invariants::answered(stage, &sample);
    stage.samples.borrow_mut().push(sample);
}

fn shown(sample: &Sample) -> String {
    let (took, word) = (sample.took.as_micros(), sample.fate.word());
    match &sample.fate {
        Fate::Answered { status, region } => format!("{status} {word} by {region} after {took} us"),
        Fate::Refused { status, .. } => format!("{status} {word} after {took} us"),
        Fate::NoAnswer => format!("{word} after {took} us"),
    }
}

/// The answer, and the edge that gave it.
async fn asked(stage: &Stage, position: usize, number: u64) -> io::Result<(String, Answer)> {
    let load = &stage.scenario.loads[position];
    let first = number as usize % load.edges.len();
    let mut edges: Vec<_> = load.edges.iter().cycle().skip(first).take(load.edges.len()).collect();
    if load.tries_others {
        // Those that want none come last: who has nowhere else to go asks them all the same.
        edges.sort_by_key(|edge| stage.driver.is_unready(edge));
    } else {
        edges.truncate(1);
    }
    let mut last = io::Error::other("no edge");
    for edge in edges {
        let client = stage.driver.client(edge, load.country)?;
        match connect(&client, load).await {
            Ok(stream) => {
                let answer = ask_over(stream, request(stage, position, number, &client)?).await?;
                return Ok((edge.clone(), answer));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect(client: &Client, load: &Load) -> io::Result<Stream> {
    let patience = if load.tries_others { CONNECT_PATIENCE } else { CONNECT_TIME_MAX };
    timeout(patience, client.world.net.connect(client.to)).await?
}

fn request(stage: &Stage, position: usize, number: u64, client: &Client) -> io::Result<Request<Full<Bytes>>> {
    let load = &stage.scenario.loads[position];
    let host = stage.scenario.fleet.tenant(&load.tenant).map(TenantPlan::host).unwrap_or_default();
    let joint = if load.path.contains('?') { '&' } else { '?' };
    let target = format!("{}{joint}{MARK}{}/{number}", load.path, load.name);
    let body = Bytes::from(vec![b'x'; load.body_bytes as usize]);
    let mut request = Request::builder().method(load.method.clone()).uri(target).header(header::HOST, host);
    request = request.header(TRACEPARENT, trace_of(position, number));
    if let Some(told) = client.told {
        request = request.header(X_FORWARDED_FOR, told.to_string());
    }
    request.body(Full::new(body)).map_err(io::Error::other)
}

/// What an answer says of itself.
pub(crate) fn fate(answer: &Answer) -> Fate {
    let header =
        |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = answer.status.as_u16();
    let proxy_status = header("proxy-status");
    let reason = proxy_status.split_once("details=\"").and_then(|(_, rest)| rest.split_once('"'));
    match reason.filter(|_| proxy_status.contains("error=")) {
        Some((reason, _)) => Fate::Refused { status, reason: reason.to_owned() },
        None => Fate::Answered { status, region: header("x-graticule-region").to_owned() },
    }
}

/// The load and number of a request, from its path.
pub(super) fn marked(target: &str) -> Option<(&str, u64)> {
    let (_, mark) = target.split_once(MARK)?;
    let (load, number) = mark.split_once('/')?;
    Some((load, number.parse().ok()?))
}

/// The trace that a request says it is part of: by it, lines of access logs are known again. Its id is the load's
/// position and the request's number, both from 1, because an id of nothing but zeros is none.
fn trace_of(load: usize, number: u64) -> String {
    format!("00-{:016x}{:016x}-{:016x}-00", load + 1, number + 1, number + 1)
}

/// The load and number of a request, from the id of its trace.
pub(super) fn traced(trace_id: &str) -> Option<(usize, u64)> {
    let part = |digits: Option<&str>| u64::from_str_radix(digits?, 16).ok()?.checked_sub(1);
    Some((usize::try_from(part(trace_id.get(..16))?).ok()?, part(trace_id.get(16..))?))
}

/// What every request has in its query, before its load and number: whoever writes down a path writes this down.
pub(super) const MARK: &str = "rehearsal=";
const TRACEPARENT: &str = "traceparent";
/// What the nodes of a live fleet are configured to read clients' addresses from.
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// How long a client that can go elsewhere waits for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// How long any other client does.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(30);
