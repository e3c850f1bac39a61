//! Clients that ask without end, and what became of everything they asked.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::Method;
use tokio::task::JoinHandle;

use crate::{Answer, Ask, Broken, Connection, now};

/// One kind of request in a mix.
#[derive(Debug, Clone)]
pub struct Step {
    /// The tenant's host.
    pub host: &'static str,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: &'static str,
    /// The length of the body.
    pub body_bytes: usize,
}

/// What became of one request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name.
    pub id: String,
    /// What it was.
    pub step: Rc<Step>,
    /// When it was begun.
    pub started: Instant,
    /// When it was answered, or was seen to be broken.
    pub ended: Instant,
    /// The answer, or why there is none.
    pub answer: Result<Answer, String>,
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    state: Rc<State>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    outcomes: RefCell<Vec<Outcome>>,
    ids: Cell<u64>,
    stopped: Cell<bool>,
}

impl Load {
    /// Starts `clients` clients, spread over `edges`; each goes through `mix` in turn, begins somewhere else in it, and
    /// rests for `pause` after every answer.
    pub fn start(
        edges: &[SocketAddr],
        clients: usize,
        mix: impl IntoIterator<Item = Step>,
        pause: Duration,
    ) -> Self {
        let mix: Rc<[Rc<Step>]> = mix.into_iter().map(Rc::new).collect();
        let state = Rc::new(State::default());
        let client = |at: usize| {
            let (edge, mix, state) = (edges[at % edges.len()], Rc::clone(&mix), Rc::clone(&state));
            tokio::task::spawn_local(async move { state.ask_on(edge, &mix, at, pause).await })
        };
        let clients = (0..clients).map(client).collect();
        Self { state, clients }
    }

    /// Begins nothing new, waits for every answer that is still to come, and gives them all in order of their beginning.
    pub async fn stop(self) -> Vec<Outcome> {
        self.state.stopped.set(true);
        for client in self.clients {
            client.await.expect("a client that does not panic");
        }
        let mut outcomes = self.state.outcomes.take();
        outcomes.sort_by_key(|outcome| outcome.started);
        outcomes
    }
}

impl State {
    async fn ask_on(&self, edge: SocketAddr, mix: &[Rc<Step>], first: usize, pause: Duration) {
        let mut connection = None;
        for at in first.. {
            if self.stopped.get() {
                return;
            }
            let step = Rc::clone(&mix[at % mix.len()]);
            let id = format!("load-{}", self.ids.replace(self.ids.get() + 1));
            let started = now();
            let answer = once(edge, &mut connection, &step.ask(&id)).await;
            if answer.is_err() {
                connection = None;
            }
            let answer = answer.map_err(|Broken(reason)| reason);
            self.outcomes.borrow_mut().push(Outcome { id, step, started, ended: now(), answer });
            tokio::time::sleep(pause).await;
        }
    }
}

async fn once(edge: SocketAddr, kept: &mut Option<Connection>, ask: &Ask) -> Result<Answer, Broken> {
    if kept.is_none() {
        *kept = Some(Connection::open(edge).await?);
    }
    let connection = kept.as_mut().ok_or_else(|| Broken("no connection".to_owned()))?;
    connection.ask(ask).await
}

impl Step {
    pub(crate) fn ask(&self, id: &str) -> Ask {
        Ask::with(self.method.clone(), self.host, self.path, vec![b'x'; self.body_bytes]).named(id)
    }
}

impl Outcome {
    /// Whether a backend has answered.
    pub fn is_served(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.status == 200)
    }

    /// The region that has served it.
    pub fn region(&self) -> Option<&str> {
        self.answer.as_ref().ok()?.region()
    }

    /// How long it took.
    pub fn took(&self) -> Duration {
        self.ended - self.started
    }

    /// Status and reason, or what broke, for people.
    pub fn told(&self) -> String {
        match &self.answer {
            Ok(answer) => format!("{} {}", answer.status.as_u16(), answer.refusal().unwrap_or_default()),
            Err(broken) => broken.clone(),
        }
    }
}
