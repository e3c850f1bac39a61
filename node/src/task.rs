//! Tasks of a runtime's own thread: spawned here and nowhere else, so that none dies unseen.

use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::task::JoinHandle;

/// A spawned task; it ends when this is dropped.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `future` on this thread's runtime until it ends by itself.
pub fn spawn_detached(name: &'static str, future: impl Future<Output = ()> + 'static) {
    drop(spawn_watched(name, future));
}

/// Runs `future` on this thread's runtime until it ends or the handle is dropped.
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + 'static) -> Task {
    Task(spawn_watched(name, future))
}

fn spawn_watched(name: &'static str, future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let mut future = pin!(future);
        poll_fn(|cx| {
            // Only while it runs: a task that is dropped because another one panics is not to blame.
            let guard = PanicReport(name);
            let polled = future.as_mut().poll(cx);
            std::mem::forget(guard);
            polled
        })
        .await;
    })
}

/// Reports its task when it is dropped by unwinding.
struct PanicReport(&'static str);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.0, "a task panicked; the node goes on without it");
        }
    }
}

/// A runtime for one thread, on which `spawn` works.
pub fn local_runtime() -> std::io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
}
