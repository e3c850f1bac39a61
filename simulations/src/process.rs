//! What runs on a host until somebody ends it: a process, whose tasks all end together.

use std::future::Future;

use graticule::task::{self, Task};
use tokio::task::LocalSet;
use tracing::Instrument;

/// A running process. Dropping it ends it like a power cut: every task of it is dropped where it waits, those that it
/// spawned and forgot too.
///
/// What it drops may still say farewell, as QUIC does; take its host down first for silence.
#[derive(Debug)]
pub struct Process(#[expect(dead_code, reason = "held to keep it running")] Task);

impl Process {
    /// Runs `main` and all that it spawns on this thread. Log lines carry `name`.
    pub fn spawn(name: &str, main: impl Future<Output = ()> + 'static) -> Self {
        let tasks = LocalSet::new();
        tasks.spawn_local(main);
        Self(task::spawn("process", tasks.instrument(tracing::error_span!("process", name))))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::Simulation;

    #[test]
    fn tasks_that_a_process_forgot_end_with_it() {
        Simulation::run(1, |_| async {
            let ticks = Rc::new(Cell::new(0));
            let counted = Rc::clone(&ticks);
            let process = Process::spawn("ticker", async move {
                task::spawn_detached("ticks", async move {
                    loop {
                        sleep(Duration::from_millis(10)).await;
                        counted.set(counted.get() + 1);
                    }
                });
            });
            sleep(Duration::from_millis(105)).await;
            assert_eq!(ticks.get(), 10, "the forgotten task goes on after its process's main future");
            drop(process);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(ticks.get(), 10);
            assert_eq!(Rc::strong_count(&ticks), 1, "the task was dropped");
        })
        .unwrap();
    }
}
