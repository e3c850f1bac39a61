//! Tasks of a runtime's own thread: spawned here and nowhere else, so that none dies unseen.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::{AbortHandle, JoinHandle};

/// Where a node's workers run, and who writes for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One thread each.
    Own,
    /// All on the thread that starts the node: for simulations.
    This,
}

/// A spawned task; it ends when this is dropped.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Task {
    /// Whether it has ended, by itself or in a panic.
    pub fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// What ends it before.
    pub fn end(&self) -> End {
        End(self.0.abort_handle())
    }
}

/// Ends a task that somebody else holds.
#[derive(Debug)]
pub struct End(AbortHandle);

impl End {
    /// Now, wherever it is; nothing happens if it has ended.
    pub fn now(self) {
        self.0.abort();
    }
}

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
    tokio::task::spawn_local(Watched { name, future })
}

pin_project! {
    /// A future whose panic is reported under its name. Not an async block: that would hold the future twice.
    struct Watched<F> {
        name: &'static str,
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        // Only while it runs: a task that is dropped because another one panics is not to blame.
        let guard = PanicReport(this.name);
        let polled = this.future.poll(cx);
        std::mem::forget(guard);
        polled
    }
}

/// Reports its task when it is dropped by unwinding.
struct PanicReport(&'static str);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            PANICS.fetch_add(1, Ordering::Relaxed);
            tracing::error!(task = self.0, "a task panicked; the node goes on without it");
        }
    }
}

/// How many tasks of this process have panicked.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// A runtime for one thread, on which `spawn` works.
pub fn local_runtime() -> std::io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_EVENTS)
        .build_local(tokio::runtime::LocalOptions::default())
}

/// How many tasks a busy runtime polls before it looks at its sockets again. Twice the library's: what comes of more
/// events leaves together, in fewer and longer writes. One that is not busy looks whenever no task is ready.
const TASKS_BETWEEN_EVENTS: u32 = 128;
