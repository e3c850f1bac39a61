//! What runs for one HTTP/2 connection, and which bodies does it send?

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
    /// The bodies that some of them send.
    bodies: RefCell<Vec<Rc<Progress>>>,
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

    /// Whether a body has waited for the backend for so long that others would wait behind it.
    pub(super) fn is_blocked(&self) -> bool {
        let mut bodies = self.bodies.borrow_mut();
        bodies.retain(|body| !body.has_ended());
        bodies.iter().any(|body| body.is_blocked())
    }

    /// A task that sends a body.
    fn send(&self, body: Rc<Progress>, task: &Task) {
        body.set_sender(task.end());
        self.carry(body);
    }

    /// A body that is sent by somebody.
    pub(super) fn carry(&self, body: Rc<Progress>) {
        push(&mut self.bodies.borrow_mut(), body, |body| body.has_ended());
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for ConnectionExecutor {
    fn execute(&self, future: F) {
        let Some(running) = self.0.upgrade() else { return };
        let task = task::spawn("backend stream", future);
        if let Some(body) = running.begun.take().filter(|body| !body.has_ended()) {
            running.send(body, &task);
        }
        push(&mut running.tasks.borrow_mut(), task, Task::has_ended);
    }
}

/// Adds one. Those that have ended go when there are twice as many as there were after the last time, so that each is looked
/// at about once.
fn push<T>(all: &mut Vec<T>, one: T, has_ended: impl Fn(&T) -> bool) {
    if all.len() == all.capacity() {
        all.retain(|one| !has_ended(one));
        all.reserve(all.len() + 1);
    }
    all.push(one);
}
