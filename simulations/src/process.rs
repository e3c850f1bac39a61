//! What runs on a host until somebody ends it: a process, whose tasks all end together.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use graticule::task::{self, Task};
use tokio::task::LocalSet;
use tracing::Instrument;

/// A running process. Dropping it ends it like a power cut: every task of it is dropped where it waits, those that it
/// spawned and forgot too.
///
/// What it drops may still say farewell, as QUIC does; take its host down first for silence.
#[derive(Debug)]
pub struct Process {
    gate: Rc<Gate>,
    _task: Task,
}

/// Whether a process stands still.
#[derive(Debug, Default)]
struct Gate {
    /// How many stalls it is in.
    stalls: Cell<u32>,
    waiting: RefCell<Option<Waker>>,
}

impl Process {
    /// Runs `main` and all that it spawns on this thread. Log lines carry `name`.
    pub fn spawn(name: &str, main: impl Future<Output = ()> + 'static) -> Self {
        let tasks = LocalSet::new();
        tasks.spawn_local(main);
        let gate = Rc::new(Gate::default());
        let running = tasks.instrument(tracing::error_span!("process", name));
        Self { gate: Rc::clone(&gate), _task: task::spawn("process", gate.pass(running)) }
    }

    /// Lets the process stand still, as SIGSTOP does, or go on when all stalls are over. Its machine goes on: what it is
    /// sent piles up.
    pub fn stall(&self, stalled: bool) {
        let stalls = self.gate.stalls.get();
        self.gate.stalls.set(if stalled { stalls + 1 } else { stalls.saturating_sub(1) });
        if self.gate.stalls.get() == 0
            && let Some(waker) = self.gate.waiting.take()
        {
            waker.wake();
        }
    }
}

impl Gate {
    /// Polls `running` unless the process stands still.
    async fn pass(self: Rc<Self>, running: impl Future<Output = ()>) {
        let mut running = pin!(running);
        poll_fn(|cx| {
            if self.stalls.get() > 0 {
                self.waiting.replace(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            running.as_mut().poll(cx)
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::Simulation;

    /// A process that counts every 10 ms, and its count.
    fn ticker() -> (Process, Rc<Cell<u32>>) {
        let ticks = Rc::new(Cell::new(0));
        let counted = Rc::clone(&ticks);
        let process = Process::spawn("ticker", async move {
            loop {
                sleep(Duration::from_millis(10)).await;
                counted.set(counted.get() + 1);
            }
        });
        (process, ticks)
    }

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

    #[test]
    fn a_stalled_process_does_nothing_and_then_goes_on() {
        Simulation::run(1, |_| async {
            let (process, ticks) = ticker();
            sleep(Duration::from_millis(105)).await;
            process.stall(true);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(ticks.get(), 10);
            process.stall(false);
            sleep(Duration::from_millis(105)).await;
            assert_eq!(ticks.get(), 10 + 1 + 10, "what was due while it stood still is due at once");
        })
        .unwrap();
    }

    #[test]
    fn a_process_that_is_stalled_twice_goes_on_when_both_are_over() {
        Simulation::run(1, |_| async {
            let (process, ticks) = ticker();
            for stalled in [true, true, false] {
                process.stall(stalled);
                sleep(Duration::from_millis(105)).await;
                assert_eq!(ticks.get(), 0);
            }
            process.stall(false);
            sleep(Duration::from_millis(105)).await;
            assert_eq!(ticks.get(), 10, "it begins when it goes on");
        })
        .unwrap();
    }
}
