//! What do clients do: ask when their time has come, and note what they got.

use std::cell::Cell;
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
use crate::scenario::{Load, MARK};
use crate::words::millis;

/// Sends all requests of one load.
pub(super) async fn play(stage: Rc<Stage>, position: usize) {
    let mut chance = generator(stage.seed, Purpose::Load, &[position as u64]);
    let load = stage.scenario.loads[position].clone();
    for (number, at) in (0u64..).zip(load.moments(&mut chance)) {
        sleep_until(stage.zero + at).await;
        let stage = Rc::clone(&stage);
        stage.sent.borrow_mut()[position].push(stage.now());
        stage.waiting.set(stage.waiting.get() + 1);
        task::spawn_detached("client", async move {
            ask(&stage, position, number).await;
            stage.waiting.set(stage.waiting.get() - 1);
        });
    }
}

async fn ask(stage: &Stage, position: usize, number: u64) {
    let load = &stage.scenario.loads[position];
    let who = format!("{}/{number}", load.name);
    let edges = edges(stage, load, number, &who);
    let (sent, began) = (stage.now(), Instant::now());
    let (trying, since) = (Cell::new(0), Cell::new(began));
    let visit = Visit { stage, load: position, number, who, edges, trying, since };
    let answered = visit.answer().await;
    let took = began.elapsed();
    let (at_edge, fate, why) = match answered {
        Ok(answer) => (answer.took, fate(&answer), String::new()),
        Err(why) => (visit.since.get().elapsed(), Fate::NoAnswer, format!(": {why}")),
    };
    let (edge, last_edge) = (visit.edges[0].to_owned(), visit.edge().to_owned());
    let sample = Sample { load: position, number, edge, last_edge, sent, took, at_edge, fate };
    stage.chronicle.note("answer", &visit.who, format!("{}{why}", shown(&sample)));
    invariants::answered(stage, &sample);
    stage.samples.borrow_mut().push(sample);
}

fn shown(sample: &Sample) -> String {
    let (took, word) = (millis(sample.took), sample.fate.word());
    match &sample.fate {
        Fate::Answered { status, region } => format!("{status} {word} by {region} after {took}"),
        Fate::Refused { status, .. } => format!("{status} {word} after {took}"),
        Fate::NoAnswer => format!("{word} after {took}"),
    }
}

/// The edges that a client goes to until one gives it a connection. That it sends now is noted.
fn edges<'s>(stage: &'s Stage, load: &'s Load, number: u64, who: &str) -> Vec<&'s str> {
    let first = number as usize % load.edges.len();
    let edges = load.edges.iter().map(String::as_str).cycle().skip(first).take(load.edges.len());
    let mut edges: Vec<_> = edges.collect();
    let own = edges[0];
    if load.tries_others {
        // Those that want none come last: who has nowhere else to go asks them all the same.
        edges.sort_by_key(|edge| stage.driver.is_unready(edge));
    } else {
        edges.truncate(1);
    }
    let instead = if edges[0] == own { String::new() } else { format!(", as {own} wants none") };
    stage.chronicle.note("ask", who, format!("{}{instead}", edges[0]));
    edges
}

/// A client on its way with one request, from edge to edge.
struct Visit<'s> {
    stage: &'s Stage,
    /// The load's position.
    load: usize,
    number: u64,
    who: String,
    edges: Vec<&'s str>,
    /// The position of the edge that it is at.
    trying: Cell<usize>,
    /// When it came there.
    since: Cell<Instant>,
}

impl Visit<'_> {
    fn edge(&self) -> &str {
        self.edges[self.trying.get()]
    }

    /// The answer, or why there is none, once the client gives up at the latest.
    async fn answer(&self) -> Result<Answer, String> {
        let patience = self.stage.scenario.loads[self.load].timeout;
        let given_up = |_| format!("the client gave up waiting for {}", self.edge());
        timeout(patience, self.go()).await.map_err(given_up)?
    }

    async fn go(&self) -> Result<Answer, String> {
        let load = &self.stage.scenario.loads[self.load];
        loop {
            let edge = self.edge();
            let client = self.stage.driver.client(edge, load.country).map_err(|error| error.to_string())?;
            match connect(&client, load).await {
                Ok(stream) => return self.exchange(stream, &client).await.map_err(|error| error.to_string()),
                Err(error) => {
                    let refused = match error.kind() {
                        io::ErrorKind::TimedOut => {
                            format!("{edge} gave no connection within {CONNECT_PATIENCE:?}")
                        }
                        kind => format!("{edge} gave no connection: {kind}"),
                    };
                    let next = self.trying.get() + 1;
                    let Some(other) = self.edges.get(next) else { return Err(refused) };
                    self.stage.chronicle.note("retry", &self.who, format!("{refused}; {other} is next"));
                    self.trying.set(next);
                    self.since.set(Instant::now());
                }
            }
        }
    }

    async fn exchange(&self, stream: Stream, client: &Client) -> io::Result<Answer> {
        ask_over(stream, request(self.stage, self.load, self.number, client)?).await
    }
}

/// A connection. Who can go elsewhere waits less long for it than for the answer.
async fn connect(client: &Client, load: &Load) -> io::Result<Stream> {
    let connecting = client.world.net.connect(client.to);
    if load.tries_others { timeout(CONNECT_PATIENCE, connecting).await? } else { connecting.await }
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

const TRACEPARENT: &str = "traceparent";
/// What the nodes of a live fleet are configured to read clients' addresses from.
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// How long a client that can go elsewhere waits for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
