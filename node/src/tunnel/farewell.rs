//! The last word on a tunnel: why a node that ends closes it, and how its peers know.

use std::time::Duration;

use quinn::{Connection, ConnectionError, Endpoint, VarInt};
use tokio::time::timeout;

use crate::task::Task;

/// Why a node closes all its tunnels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// It has finished everything that it had accepted.
    Left,
    /// It stops, whatever is under way.
    Stopped,
}

/// An endpoint that says farewell when it is dropped, as far as that can be done without waiting.
#[derive(Debug)]
pub struct Parting(Endpoint);

impl Farewell {
    /// The farewell with which the peer has closed `connection`, if it has.
    pub fn of(connection: &Connection) -> Option<Self> {
        let Some(ConnectionError::ApplicationClosed(close)) = connection.close_reason() else { return None };
        [Self::Left, Self::Stopped].into_iter().find(|farewell| farewell.code() == close.error_code)
    }

    fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Left => 0x107,
            Self::Stopped => 0x108,
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::Left => "the node has left",
            Self::Stopped => "the node stops",
        }
    }
}

impl Parting {
    /// The end of `endpoint`.
    pub fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }

    /// Closes every tunnel, ends the tasks that used them, and waits until the peers must have heard it.
    pub async fn say(self, farewell: Farewell, tasks: Vec<Task>) {
        self.close(farewell);
        // A tunnel that its last user drops is closed without a word: first, each must have been told this one.
        tokio::time::sleep(CLOSE_TIME).await;
        drop(tasks);
        // Whoever has not heard it by then learns it from the silence, or from the node's next start.
        let _ = timeout(FAREWELL_TIMEOUT, self.0.wait_idle()).await;
    }

    fn close(&self, farewell: Farewell) {
        self.0.close(farewell.code(), farewell.text().as_bytes());
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        // Says nothing where a farewell was said before.
        self.close(Farewell::Stopped);
    }
}

/// The runtime's shortest time: every connection's own task has run then.
const CLOSE_TIME: Duration = Duration::from_millis(1);
/// A lost farewell is said again when the peer asks after it, within three round trips or so.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task;
    use crate::testing::{pair, run};

    #[test]
    fn the_peer_knows_what_was_said_last() {
        run(async {
            for farewell in [Farewell::Left, Farewell::Stopped] {
                let pair = pair().await;
                assert_eq!(Farewell::of(&pair.edge.connection), None, "it stands");
                let last_user = pair.node.connection;
                let using = task::spawn("user", async move { drop(last_user.closed().await) });
                let begun = tokio::time::Instant::now();
                Parting::new(pair.node.endpoint).say(farewell, vec![using]).await;
                assert!(begun.elapsed() < FAREWELL_TIMEOUT * 2, "{:?}", begun.elapsed());
                pair.edge.connection.closed().await;
                assert_eq!(Farewell::of(&pair.edge.connection), Some(farewell));
            }
        });
    }

    #[test]
    fn who_is_dropped_says_that_it_stops() {
        run(async {
            let pair = pair().await;
            drop(Parting::new(pair.node.endpoint));
            pair.edge.connection.closed().await;
            assert_eq!(Farewell::of(&pair.edge.connection), Some(Farewell::Stopped));
        });
    }
}
