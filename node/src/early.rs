//! What a backend says before its answer (1xx), on its way from its connection to whoever passes it on.

use std::future::Future;
use std::pin::pin;

use graticule_node_core::framing::INFORMATIONAL_MAX;
use graticule_node_core::headers;
use http::{HeaderMap, Request, StatusCode};
use tokio::sync::mpsc;

/// One informational response.
#[derive(Debug)]
pub struct Early {
    /// 1xx, but neither 100 nor 101.
    pub status: StatusCode,
    /// Its headers, without those of one connection.
    pub headers: HeaderMap,
}

/// Where one request's informational responses arrive.
#[derive(Debug)]
pub struct Heard {
    listener: Listener,
    heads: Heads,
}

/// Where they are put in.
#[derive(Debug, Clone)]
pub struct Listener(mpsc::Sender<Box<Early>>);

/// Where they come out.
#[derive(Debug)]
pub struct Heads(mpsc::Receiver<Box<Early>>);

impl Default for Heard {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(INFORMATIONAL_MAX);
        Self { listener: Listener(sender), heads: Heads(receiver) }
    }
}

impl Heard {
    /// Both ends.
    pub fn split(self) -> (Heads, Listener) {
        (self.heads, self.listener)
    }
}

impl Listener {
    /// Listens to what a backend says to `request`.
    pub fn listen<B>(&self, request: &mut Request<B>) {
        let listener = self.clone();
        hyper::ext::on_informational(request, move |response| {
            // The edge has said 100 itself, if it was asked to.
            if response.status() != StatusCode::CONTINUE {
                let mut headers = response.headers().clone();
                headers::strip_hop_by_hop(&mut headers, false);
                listener.hear(Early { status: response.status(), headers });
            }
        });
    }

    /// Takes one that has come; whoever cannot keep up does without.
    pub fn hear(&self, early: Early) {
        let _ = self.0.try_send(Box::new(early));
    }
}

impl Heads {
    /// The next one; waits as long as there is none.
    pub async fn next(&mut self) -> Box<Early> {
        match self.0.recv().await {
            Some(early) => early,
            None => std::future::pending().await,
        }
    }

    /// Waits for `answer`, and gives what comes before it to `pass_on`.
    pub async fn until<F: Future>(&mut self, answer: F, pass_on: impl Fn(&Early)) -> F::Output {
        let mut answer = pin!(answer);
        loop {
            tokio::select! {
                biased;
                early = self.next() => pass_on(&early),
                answered = &mut answer => return answered,
            }
        }
    }
}
