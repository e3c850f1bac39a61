//! Server-sent events: what changes at this node, told as it changes.
//!
//! Nothing waits in a queue: each subscriber compares what is with what it was told last, as fast as it reads.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use graticule_node_api::{Change, Problem};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::sleep;

use super::{AdminState, answers, problem};
use crate::task;

/// What is watched: by topic and subject, in a word or two.
type State = BTreeMap<(&'static str, String), String>;

/// Subscribes somebody to what changes from now on.
pub(super) fn subscribe(state: &AdminState) -> Result<Response, Problem> {
    let slot = Arc::clone(&state.subscribers).try_acquire_owned().map_err(|_| {
        let detail =
            format!("{SUBSCRIBERS_MAX} have subscribed to this node's events already; end one of them");
        problem(429, "too-many-subscribers", "Too many subscribers", detail)
    })?;
    let (events, stream) = mpsc::channel(1);
    let state = state.clone();
    task::spawn_detached("admin events", follow(state, events, slot));
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::new(Events(stream))).into_response())
}

/// Tells what changes until nobody listens any more.
async fn follow(state: AdminState, events: mpsc::Sender<Bytes>, _slot: OwnedSemaphorePermit) {
    let mut told = look(&state);
    // The head of the answer leaves with the first bytes.
    let mut text = ": from now on\n\n".to_owned();
    loop {
        if !text.is_empty() && events.send(Bytes::from(std::mem::take(&mut text))).await.is_err() {
            return;
        }
        for _ in 0..LOOKS_UNTIL_KEEP_ALIVE {
            sleep(LOOK_INTERVAL).await;
            let now = look(&state);
            for change in changes(&told, &now) {
                text.push_str(&event(&change));
            }
            told = now;
            if !text.is_empty() || events.is_closed() {
                break;
            }
        }
        if text.is_empty() {
            // A connection that is gone is found only by writing.
            ": still here\n\n".clone_into(&mut text);
        }
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
        let said = &member.announcement;
        let condition = match (member.alive, said.draining) {
            (false, _) => "dead",
            (true, true) => "draining",
            (true, false) => "alive",
        };
        seen.insert(("node", name.to_string()), condition.to_owned());
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
/// Ten seconds of nothing.
const LOOKS_UNTIL_KEEP_ALIVE: u32 = 40;

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
    fn an_event_is_named_by_its_topic_and_one_line_of_data() {
        let change = Change { topic: "peer".into(), subject: "a\nb".into(), was: None, is: Some("x".into()) };
        let event = event(&change);
        assert_eq!(event.lines().count(), 3, "{event}");
        assert!(event.starts_with("event: peer\ndata: {"), "{event}");
    }
}
