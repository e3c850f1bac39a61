//! What runs for one HTTP/2 connection, and what of it sends which body?

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::rc::{Rc, Weak};

use super::patience::Progress;
use crate::task::{self, Task};

/// What runs for one connection, until this is dropped: the library keeps a connection for as long as any task of it waits
/// for its backend.
#[derive(Default)]
pub(super) struct Running {
    tasks: RefCell<Vec<Task>>,
    /// The body that the library has begun to send: unless it has gone at once, the next task sends the rest.
    begun: Cell<Option<Rc<Progress>>>,
}

/// Runs the tasks of one connection on this thread's runtime.
#[derive(Debug, Clone)]
pub(super) struct ConnectionExecutor(Weak<Running>);

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("tasks", &self.tasks.borrow().len()).finish_non_exhaustive()
    }
}

impl Running {
    /// What runs them.
    pub(super) fn executor(self: &Rc<Self>) -> ConnectionExecutor {
        ConnectionExecutor(Rc::downgrade(self))
    }

    /// The library asks for the first of a body.
    pub(super) fn begin(&self, body: Rc<Progress>) {
        self.begun.set(Some(body));
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for ConnectionExecutor {
    fn execute(&self, future: F) {
        let Some(running) = self.0.upgrade() else { return };
        let task = task::spawn("backend stream", future);
        if let Some(body) = running.begun.take().filter(|body| !body.has_ended()) {
            body.set_sender(task.end());
        }
        let tasks = &mut *running.tasks.borrow_mut();
        // When there are twice as many as ran the last time, so that each is looked at about once.
        if tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.has_ended());
            tasks.reserve(tasks.len() + 1);
        }
        tasks.push(task);
    }
}
