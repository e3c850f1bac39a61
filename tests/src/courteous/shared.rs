//! Clients that share a connection of HTTP/2 and keep it until its edge says goodbye.

use std::rc::Rc;

use tokio::sync::Mutex;

use super::State;
use crate::{Answer, Ask, Broken, Multiplexed, Unanswered};

/// The connection of a few clients. Those that still wait for an answer on an earlier one hold that.
#[derive(Debug, Default)]
pub(super) struct Shared {
    current: Mutex<Option<Rc<Multiplexed>>>,
}

impl Shared {
    /// Asks, and asks again only if the edge has certainly done nothing with the request.
    pub(super) async fn ask(&self, state: &State, at: usize, ask: &Ask) -> Result<Answer, Broken> {
        let mut unanswered = None;
        for _ in 0..=REPEATS_MAX {
            let connection = self.connection(state, at).await?;
            match connection.ask(ask).await {
                Ok(answer) => return Ok(answer),
                Err(Unanswered { broken, is_unprocessed: true }) => unanswered = Some(broken),
                Err(Unanswered { broken, .. }) => return Err(broken),
            }
            state.repeated.set(state.repeated.get() + 1);
        }
        Err(unanswered.unwrap_or_else(|| Broken("not asked".to_owned())))
    }

    /// The connection, or a new one to an edge that is ready, if its edge has said goodbye.
    async fn connection(&self, state: &State, at: usize) -> Result<Rc<Multiplexed>, Broken> {
        let mut current = self.current.lock().await;
        match &*current {
            Some(open) if open.is_open() => Ok(Rc::clone(open)),
            _ => {
                let opened = Rc::new(Multiplexed::open(state.edges[state.ready(at)?].http).await?);
                Ok(Rc::clone(current.insert(opened)))
            }
        }
    }
}

/// Sendings of one request after the first. An edge that leaves says goodbye once, and the next is ready.
const REPEATS_MAX: usize = 3;
