//! Server-sent events: what changes at this node, told as it changes.
//!
//! One task looks for all subscribers, and what it finds is encoded once. Nothing waits in a queue: who reads too slowly to
//! be told of each look is told what is other than when they were told last.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use graticule_node_api::{Change, Problem};
use http_body::Frame;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::{AdminState, answers, problem};
use crate::task::{self, Task};

/// Those who listen to a node's events.
#[derive(Debug)]
pub struct Subscribers {
    room: Arc<Semaphore>,
    /// While anybody listens. Only who subscribes takes this.
    watching: Mutex<Weak<Watching>>,
}

impl Default for Subscribers {
    /// Nobody.
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(SUBSCRIBERS_MAX)), watching: Mutex::default() }
    }
}

impl Subscribers {
    /// What all of them watch.
    fn watching(&self, state: &AdminState) -> Arc<Watching> {
        // It holds one pointer, which is right whatever happened to who changed it last.
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        watching.upgrade().unwrap_or_else(|| {
            let begun = Arc::new(Watching::begin(state.clone()));
            *watching = Arc::downgrade(&begun);
            begun
        })
    }
}

/// What is looked at, until this is dropped.
#[derive(Debug)]
struct Watching {
    looks: watch::Receiver<Arc<Look>>,
    _task: Task,
}

impl Watching {
    fn begin(state: AdminState) -> Self {
        let first = Look { state: look(&state), number: 0, news: Bytes::new() };
        let (sender, looks) = watch::channel(Arc::new(first));
        Self { looks, _task: task::spawn("admin events", keep_looking(state, sender)) }
    }
}

/// What is watched: by topic and subject, in a word or two.
type State = BTreeMap<(&'static str, String), String>;

/// What one look has found that is other than what the one before it has.
#[derive(Debug)]
struct Look {
    state: State,
    number: u64,
    /// What has changed since the one before, as events.
    news: Bytes,
}

impl Look {
    /// What somebody is to be told who was told `before`.
    fn since(&self, before: &Self) -> Bytes {
        if self.number == before.number + 1 { self.news.clone() } else { events(&before.state, &self.state) }
    }
}

/// Subscribes somebody to what changes from now on.
pub(super) fn subscribe(state: &AdminState) -> Result<Response, Problem> {
    let slot = Arc::clone(&state.subscribers.room).try_acquire_owned().map_err(|_| {
        let detail =
            format!("{SUBSCRIBERS_MAX} have subscribed to this node's events already; end one of them");
        problem(429, "too-many-subscribers", "Too many subscribers", detail)
    })?;
    let (events, stream) = mpsc::channel(1);
    let watching = state.subscribers.watching(state);
    task::spawn_detached("admin subscriber", async move {
        follow(watching.looks.clone(), events).await;
        drop((watching, slot));
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::new(Events(stream))).into_response())
}

/// Looks for as long as somebody listens.
async fn keep_looking(state: AdminState, looks: watch::Sender<Arc<Look>>) {
    loop {
        sleep(LOOK_INTERVAL).await;
        let before = Arc::clone(&looks.borrow());
        let now = look(&state);
        let news = events(&before.state, &now);
        if !news.is_empty() {
            looks.send_replace(Arc::new(Look { state: now, number: before.number + 1, news }));
        }
    }
}

/// Tells what changes until nobody listens any more.
async fn follow(mut looks: watch::Receiver<Arc<Look>>, events: mpsc::Sender<Bytes>) {
    let mut told = Arc::clone(&looks.borrow_and_update());
    // The head of the answer leaves with the first bytes.
    let mut text = Bytes::from_static(b": from now on\n\n");
    loop {
        // What changed and changed back is nothing.
        if !text.is_empty() && events.send(text).await.is_err() {
            return;
        }
        let changed = tokio::select! {
            () = events.closed() => return,
            changed = timeout(KEEP_ALIVE_INTERVAL, looks.changed()) => changed,
        };
        text = match changed {
            Ok(Ok(())) => {
                let now = Arc::clone(&looks.borrow_and_update());
                let text = now.since(&told);
                told = now;
                text
            }
            Ok(Err(_)) => return,
            // A connection that is gone is found only by writing.
            Err(_) => Bytes::from_static(b": still here\n\n"),
        };
    }
}

/// Everything that is watched, as it is.
fn look(state: &AdminState) -> State {
    let snapshot = state.shared.snapshot();
    let mut seen = State::new();
    let ready = answers::ready(state);
    let ready = if ready.ready { "ready".to_owned() } else { ready.reasons.join(",") };
    seen.insert(("ready", state.node.to_string()), ready);
    seen.insert(("documents", state.node.to_string()), snapshot.policy.digest.to_string());
    for (name, member) in &state.view.borrow().members {
        seen.insert(("node", name.to_string()), member.state().label().to_owned());
    }
    for tunnel in answers::tunnels(state) {
        seen.insert(("peer", tunnel.node.to_string()), tunnel.condition);
    }
    for pool in answers::pools(&snapshot, state.clock.now()) {
        let name = pool.name.as_deref().unwrap_or("default");
        for backend in pool.backends {
            let subject = format!("{}/{name}/{}", pool.tenant, backend.address);
            seen.insert(("backend", subject), backend.condition);
        }
    }
    seen
}

fn changes(before: &State, after: &State) -> Vec<Change> {
    let change = |(topic, subject): &(&'static str, String), was: Option<&String>, is: Option<&String>| {
        Change { topic: (*topic).to_owned(), subject: subject.clone(), was: was.cloned(), is: is.cloned() }
    };
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    let gone = gone.map(|(key, was)| change(key, Some(was), None));
    let other = after.iter().filter(|(key, is)| before.get(*key) != Some(*is));
    gone.chain(other.map(|(key, is)| change(key, before.get(key), Some(is)))).collect()
}

/// What is other in `after`, as events.
fn events(before: &State, after: &State) -> Bytes {
    changes(before, after).iter().map(event).collect::<String>().into()
}

fn event(change: &Change) -> String {
    let data = serde_json::to_string(change).unwrap_or_default();
    format!("event: {}\ndata: {data}\n\n", change.topic)
}

/// The body of an answer that goes on.
struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}

/// Who may listen at once.
pub(super) const SUBSCRIBERS_MAX: usize = 16;
/// How long what changed and changed back is not told.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long nothing is said.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn state(of: &[(&'static str, &str, &str)]) -> State {
        of.iter().map(|(topic, subject, is)| ((*topic, (*subject).to_owned()), (*is).to_owned())).collect()
    }

    #[test]
    fn what_came_what_went_and_what_is_other_is_told_and_nothing_else() {
        let before = state(&[("peer", "a", "usable"), ("peer", "b", "usable"), ("node", "a", "alive")]);
        let after = state(&[("peer", "a", "suspect"), ("peer", "c", "usable"), ("node", "a", "alive")]);
        let told: Vec<_> = changes(&before, &after)
            .into_iter()
            .map(|change| (change.subject, change.was, change.is))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("b".to_owned(), text("usable"), None),
                ("a".to_owned(), text("usable"), text("suspect")),
                ("c".to_owned(), None, text("usable")),
            ]
        );
        assert!(changes(&after, &after).is_empty());
    }

    #[test]
    fn who_keeps_up_is_told_in_the_same_bytes_and_who_does_not_in_sum() {
        let mut looks =
            vec![Look { state: state(&[("peer", "a", "usable")]), number: 0, news: Bytes::new() }];
        for is in ["suspect", "draining", "usable"] {
            let (before, now) = (looks.last().unwrap(), state(&[("peer", "a", is)]));
            let news = events(&before.state, &now);
            looks.push(Look { state: now, number: before.number + 1, news });
        }
        let shared = [looks[1].since(&looks[0]), looks[1].since(&looks[0])];
        assert!(shared.iter().all(|told| told.as_ptr() == looks[1].news.as_ptr()));
        let in_sum = String::from_utf8(looks[2].since(&looks[0]).to_vec()).unwrap();
        assert_eq!(in_sum.matches("event: ").count(), 1, "{in_sum}");
        assert!(in_sum.contains(r#""was":"usable","is":"draining""#), "{in_sum}");
        assert!(looks[3].since(&looks[0]).is_empty(), "what changed and changed back");
    }

    #[test]
    fn an_event_is_named_by_its_topic_and_one_line_of_data() {
        let change = Change { topic: "peer".into(), subject: "a\nb".into(), was: None, is: Some("x".into()) };
        let event = event(&change);
        assert_eq!(event.lines().count(), 3, "{event}");
        assert!(event.starts_with("event: peer\ndata: {"), "{event}");
    }
}
