//! Where the HTTP/2 library runs what belongs to a connection: on the thread that it is used on.

use std::cell::RefCell;
use std::future::Future;
use std::rc::{Rc, Weak};

use crate::task::{self, Task};

/// Runs tasks on this thread's runtime.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalExecutor;

/// What runs for one connection, until this is dropped: the library keeps a connection for as long as any task of it waits
/// for its backend.
#[derive(Debug, Default)]
pub(super) struct Running(RefCell<Vec<Task>>);

/// Runs the tasks of one connection on this thread's runtime.
#[derive(Debug, Clone)]
pub(super) struct ConnectionExecutor(Weak<Running>);

impl Running {
    /// What runs them.
    pub(super) fn executor(self: &Rc<Self>) -> ConnectionExecutor {
        ConnectionExecutor(Rc::downgrade(self))
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for ConnectionExecutor {
    fn execute(&self, future: F) {
        let Some(running) = self.0.upgrade() else { return };
        let tasks = &mut *running.0.borrow_mut();
        // When there are twice as many as ran the last time, so that each is looked at about once.
        if tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.has_ended());
            tasks.reserve(tasks.len() + 1);
        }
        tasks.push(task::spawn("backend stream", future));
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        task::spawn_detached("backend stream", future);
    }
}
