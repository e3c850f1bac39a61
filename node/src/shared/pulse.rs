//! Whether every worker still answers: asked by the control runtime, for whoever supervises the process.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Questions that each worker answers from its own thread, as long as that runs and all its tasks do.
#[derive(Debug)]
pub struct Pulse {
    asked: watch::Sender<u64>,
    /// By worker, the last question that it has answered.
    answered: Box<[AtomicU64]>,
}

impl Pulse {
    /// Of that many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self { asked: watch::Sender::new(0), answered: (0..workers).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Asks all workers, waits for as long as `patience`, and gives the numbers of those that have not answered.
    pub async fn silent(&self, patience: Duration) -> Vec<usize> {
        self.asked.send_modify(|question| *question += 1);
        let question = *self.asked.borrow();
        let silent = || {
            let answers = self.answered.iter().enumerate();
            answers.filter(|(_, answer)| answer.load(Ordering::Acquire) < question).map(|(at, _)| at)
        };
        let everybody = async {
            while silent().next().is_some() {
                tokio::time::sleep(LOOK_INTERVAL.min(patience)).await;
            }
        };
        // Whether it was in time is what the list says.
        let _ = tokio::time::timeout(patience, everybody).await;
        silent().collect()
    }

    /// Answers every question as `worker` while `is_well` says so.
    pub async fn answer(&self, worker: usize, is_well: impl Fn() -> bool) -> Infallible {
        let mut asked = self.asked.subscribe();
        // Whoever asks is in `self`, and lives as long as this.
        while asked.changed().await.is_ok() {
            let question = *asked.borrow_and_update();
            if let Some(answer) = self.answered.get(worker).filter(|_| is_well()) {
                answer.store(question, Ordering::Release);
            }
        }
        std::future::pending().await
    }
}

const LOOK_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::task;
    use crate::testing::run;

    #[test]
    fn who_does_not_answer_or_is_not_well_is_named() {
        run(async {
            let (pulse, well) = (Rc::new(Pulse::new(3)), Rc::new(Cell::new(true)));
            let answering: Vec<_> = [0, 2]
                .map(|worker| {
                    let (pulse, well) = (Rc::clone(&pulse), Rc::clone(&well));
                    task::spawn("worker", async move {
                        let _: Infallible = pulse.answer(worker, || worker == 0 || well.get()).await;
                    })
                })
                .into();
            // Both wait for a question.
            tokio::task::yield_now().await;
            let patience = Duration::from_millis(60);
            assert_eq!(pulse.silent(patience).await, [1]);
            well.set(false);
            assert_eq!(pulse.silent(patience).await, [1, 2]);
            well.set(true);
            assert_eq!(pulse.silent(patience).await, [1]);
            drop(answering);
            assert_eq!(pulse.silent(patience).await, [0, 1, 2]);
        });
    }
}
