//! How do the connections of one worker learn that their node takes nothing new?

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Whether the worker is closing; clones are the same. A connection that asks while it is not pays for a look at a flag.
#[derive(Debug, Clone, Default)]
pub(super) struct Closing(Rc<State>);

#[derive(Debug, Default)]
struct State {
    begun: Cell<bool>,
    /// By number, so that whoever goes away takes its own out: as many as there are connections.
    waiting: RefCell<BTreeMap<u64, Waker>>,
    numbered: Cell<u64>,
}

/// Ends when the worker begins to close.
#[derive(Debug)]
pub(super) struct Begun {
    closing: Closing,
    number: u64,
    /// The waker that waits in the table.
    waker: Option<Waker>,
}

impl Closing {
    /// The worker closes from now on.
    pub(super) fn begin(&self) {
        self.0.begun.set(true);
        let waiting = self.0.waiting.take();
        waiting.into_values().for_each(Waker::wake);
    }

    /// Whether it does.
    pub(super) fn has_begun(&self) -> bool {
        self.0.begun.get()
    }

    /// Waits for it.
    pub(super) fn begun(&self) -> Begun {
        let number = self.0.numbered.get() + 1;
        self.0.numbered.set(number);
        Begun { closing: self.clone(), number, waker: None }
    }
}

impl Future for Begun {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.has_begun() {
            return Poll::Ready(());
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            self.closing.0.waiting.borrow_mut().insert(self.number, cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.waker.is_some() {
            self.closing.0.waiting.borrow_mut().remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    #[test]
    fn everybody_who_waits_is_told_and_nobody_is_kept() {
        run(async {
            let closing = Closing::default();
            let waiting: Vec<_> = (0..3).map(|_| closing.begun()).collect();
            let gone = async {
                let begun = closing.begun();
                tokio::time::timeout(std::time::Duration::from_millis(1), begun).await
            };
            assert!(gone.await.is_err());
            let all = async {
                for begun in waiting {
                    begun.await;
                }
            };
            let telling = async {
                tokio::task::yield_now().await;
                assert_eq!(closing.0.waiting.borrow().len(), 1, "one waits after the other");
                closing.begin();
            };
            tokio::join!(all, telling);
            closing.begun().await;
            assert!(closing.0.waiting.borrow().is_empty());
        });
    }
}
