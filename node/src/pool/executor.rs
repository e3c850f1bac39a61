//! Where the HTTP/2 library runs what belongs to a connection: on the thread that it is used on.

use std::future::Future;

use crate::task;

/// Runs tasks on this thread's runtime.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        task::spawn_detached("backend stream", future);
    }
}
