//! Where the HTTP/2 library runs what belongs to a connection: on the thread that it is used on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;

use crate::task;

/// Runs tasks on this thread's runtime.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalExecutor;

/// Runs the tasks of one connection on this thread's runtime, until that is given up: the library keeps a connection for as
/// long as any task of it waits for its backend.
#[derive(Debug, Clone)]
pub(super) struct ConnectionExecutor(watch::Receiver<()>);

impl ConnectionExecutor {
    /// What runs ends when the sender is dropped.
    pub(super) fn new() -> (Self, watch::Sender<()>) {
        let (sender, receiver) = watch::channel(());
        (Self(receiver), sender)
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for ConnectionExecutor {
    fn execute(&self, future: F) {
        let mut given_up = self.0.clone();
        task::spawn_detached("backend stream", async move {
            let (mut future, mut given_up) = (pin!(future), pin!(given_up.changed()));
            // Nothing is ever sent.
            poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Pending => given_up.as_mut().poll(cx).map(drop),
                Poll::Ready(()) => Poll::Ready(()),
            })
            .await;
        });
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        task::spawn_detached("backend stream", future);
    }
}
