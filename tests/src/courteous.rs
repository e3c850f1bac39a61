//! Clients as a good load balancer makes them: they ask who is ready, and go when they are told to.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use graticule_node_api::client;
use tokio::task::JoinHandle;

use crate::{Answer, Ask, Broken, Connection, Node, Outcome, Step, now};

mod shared;

use shared::Shared;

/// Clients at work, until they are stopped.
#[derive(Debug)]
pub struct Courteous {
    state: Rc<State>,
    tasks: Vec<JoinHandle<()>>,
    watchers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    edges: Vec<Edge>,
    outcomes: RefCell<Vec<Outcome>>,
    ids: Cell<u64>,
    /// Requests of HTTP/2 that were sent again because their edge had done nothing with them.
    repeated: Cell<usize>,
    stopped: Cell<bool>,
}

/// How a client connects.
#[derive(Debug)]
enum Client {
    /// With HTTP/1.1: a connection for itself as long as its edge is ready.
    Alone(Option<(usize, Connection)>),
    /// With HTTP/2: one that it shares.
    Together(Rc<Shared>),
}

#[derive(Debug)]
struct Edge {
    http: SocketAddr,
    admin: SocketAddr,
    ready: Cell<bool>,
}

impl Courteous {
    /// Starts `clients` clients of all `nodes`; each goes through `mix` in turn, keeps its connection as long as it may,
    /// and rests for `pause` after every answer. Every second one speaks HTTP/2, and shares its connection with a few others.
    pub fn start(
        nodes: &[Node],
        clients: usize,
        mix: impl IntoIterator<Item = Step>,
        pause: Duration,
    ) -> Self {
        let edge = |node: &Node| Edge { http: node.http, admin: node.admin, ready: Cell::new(true) };
        let state = Rc::new(State {
            edges: nodes.iter().map(edge).collect(),
            outcomes: RefCell::default(),
            ids: Cell::new(0),
            repeated: Cell::new(0),
            stopped: Cell::new(false),
        });
        let watcher = |at: usize| {
            let state = Rc::clone(&state);
            tokio::task::spawn_local(async move { state.edges[at].watch().await })
        };
        let watchers = (0..nodes.len()).map(watcher).collect();
        let mix: Rc<[Rc<Step>]> = mix.into_iter().map(Rc::new).collect();
        let shared: Vec<Rc<Shared>> = (0..clients).step_by(2 * SHARED_BY).map(|_| Rc::default()).collect();
        let client = |first: usize| {
            let (state, mix) = (Rc::clone(&state), Rc::clone(&mix));
            let client = match first % 2 {
                0 => Client::Together(Rc::clone(&shared[first / (2 * SHARED_BY)])),
                _ => Client::Alone(None),
            };
            tokio::task::spawn_local(async move { state.ask_on(client, (&mix, first), pause).await })
        };
        let tasks = (0..clients).map(client).collect();
        Self { state, tasks, watchers }
    }

    /// How many requests have been answered, or have failed.
    pub fn asked(&self) -> usize {
        self.state.outcomes.borrow().len()
    }

    /// How many requests were sent again.
    pub fn repeated(&self) -> usize {
        self.state.repeated.get()
    }

    /// Begins nothing new, waits for every answer that is still to come, and gives them all.
    pub async fn stop(self) -> Vec<Outcome> {
        self.state.stopped.set(true);
        for task in self.tasks {
            task.await.expect("a client that does not panic");
        }
        self.watchers.iter().for_each(JoinHandle::abort);
        self.state.outcomes.take()
    }
}

impl Edge {
    /// Asks whether it is ready, as often as an eager load balancer.
    async fn watch(&self) {
        loop {
            let ask = Ask::get(&self.admin.to_string(), client::ready().path());
            let asked = async { Connection::open(self.admin).await?.ask(&ask).await };
            let answer = tokio::time::timeout(READY_LIMIT, asked).await;
            self.ready.set(answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200)));
            tokio::time::sleep(READY_INTERVAL).await;
        }
    }
}

impl State {
    async fn ask_on(&self, mut client: Client, (mix, first): (&[Rc<Step>], usize), pause: Duration) {
        for at in first.. {
            if self.stopped.get() {
                return;
            }
            let step = Rc::clone(&mix[at % mix.len()]);
            let id = format!("courteous-{}", self.ids.replace(self.ids.get() + 1));
            let (started, ask) = (now(), step.ask(&id));
            let answer = match &mut client {
                Client::Alone(kept) => self.ask_alone(kept, at, &ask).await,
                Client::Together(shared) => shared.ask(self, at, &ask).await,
            };
            let answer = answer.map(without_body).map_err(|Broken(reason)| reason);
            self.outcomes.borrow_mut().push(Outcome { id, step, started, ended: now(), answer });
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks over the connection that is kept if its edge is still ready, else over a new one to an edge that is.
    async fn ask_alone(
        &self,
        kept: &mut Option<(usize, Connection)>,
        at: usize,
        ask: &Ask,
    ) -> Result<Answer, Broken> {
        if kept.as_ref().is_none_or(|(edge, _)| !self.edges[*edge].ready.get()) {
            let edge = self.ready(at)?;
            *kept = Some((edge, Connection::open(self.edges[edge].http).await?));
        }
        let (_, connection) = kept.as_mut().ok_or_else(|| Broken("no connection".to_owned()))?;
        let answer = connection.ask(ask).await;
        if answer.as_ref().map_or(true, |answer| answer.header("connection") == Some("close")) {
            *kept = None;
        }
        answer
    }

    /// One of the edges that are ready.
    fn ready(&self, at: usize) -> Result<usize, Broken> {
        let ready: Vec<_> = (0..self.edges.len()).filter(|edge| self.edges[*edge].ready.get()).collect();
        ready.get(at % ready.len().max(1)).copied().ok_or_else(|| Broken("no edge is ready".to_owned()))
    }
}

/// What was served is not kept: there is a lot of it.
fn without_body(answer: Answer) -> Answer {
    if answer.status == 200 { Answer { body: Bytes::new(), ..answer } } else { answer }
}

/// Clients of HTTP/2 to one connection.
const SHARED_BY: usize = 4;
const READY_INTERVAL: Duration = Duration::from_millis(50);
const READY_LIMIT: Duration = Duration::from_secs(1);
