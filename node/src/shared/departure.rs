//! How a node is told to leave: by operators, by signals, by other nodes; and what it does then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use graticule_node_core::leaving::{
    Leaving, LeavingInput, LeavingOutput, LeavingSettings, LeavingStage, NoReturn, Occupancy,
};
use tokio::sync::Notify;

use super::Shared;
use crate::world::{Clock, World};

/// Drives [`Leaving`]: takes what the node is told from any task, and gives what is to be done to one.
#[derive(Debug)]
pub struct Departure {
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    leaving: Mutex<Leaving>,
    told: Notify,
}

impl Departure {
    /// Of a node that stays.
    pub fn new(world: &World, shared: Arc<Shared>, settings: LeavingSettings) -> Self {
        let leaving = Mutex::new(Leaving::new(settings));
        Self { clock: Arc::clone(&world.clock), shared, leaving, told: Notify::new() }
    }

    /// Tells the node something; how far it has come then, or why that cannot be done any more.
    pub fn tell(&self, input: LeavingInput) -> Result<LeavingStage, NoReturn> {
        let stage = self.leaving().handle_input(input, self.occupancy(), self.clock.now());
        self.told.notify_one();
        stage
    }

    /// How far it has come.
    pub fn stage(&self) -> LeavingStage {
        self.leaving().stage()
    }

    /// Waits for the next thing to be done. Only one task does.
    pub async fn next(&self) -> LeavingOutput {
        loop {
            let (output, timeout) = {
                let mut leaving = self.leaving();
                (leaving.poll_output(), leaving.poll_timeout())
            };
            if let Some(output) = output {
                return output;
            }
            let passed = async {
                match timeout {
                    Some(timeout) => tokio::time::sleep(timeout.since(self.clock.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.told.notified() => {}
                () = passed => self.leaving().handle_timeout(self.occupancy(), self.clock.now()),
            }
        }
    }

    fn occupancy(&self) -> Occupancy {
        let Shared { connections, in_flight, .. } = &*self.shared;
        Occupancy { connections: connections.total(), requests: in_flight.total() }
    }

    /// Never held over a wait, and never on a request's way.
    fn leaving(&self) -> MutexGuard<'_, Leaving> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
