//! A backend that remembers: it answers with its region and keeps what it was sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use http::{HeaderMap, Method};
use tokio::sync::oneshot;

mod serve;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// When its head was there.
    pub at: Instant,
    /// The name that the test gave it.
    pub id: Option<String>,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, once it has ended well.
    pub body: Option<BodySeen>,
    /// What followed the body.
    pub trailers: Option<HeaderMap>,
    /// How much of the answer's body has been given to the connection.
    pub answered_bytes: Arc<AtomicU64>,
    /// When the last of the answer was given to the connection.
    pub answered: Option<Instant>,
    /// When whoever asked went away before that.
    pub gone: Option<Instant>,
}

/// A body as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodySeen {
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its contents.
    pub fingerprint: [u8; 32],
}

/// A server of one region, on a thread of its own.
///
/// `/healthz` answers 200 and is not remembered. `?read_ms=N` reads no body before that time, `?wait_ms=N` answers that
/// much later, `?bytes=N` with a pattern of that length instead of `{"region":..,"id":..}`, `?trailers=1` with `x-sum: 7` after it, and
/// `?early=1` before the body has come.
#[derive(Debug)]
pub struct Backend {
    /// Its region.
    pub region: String,
    /// Where it is, also while it is stopped.
    pub address: SocketAddr,
    log: Log,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What has arrived, in the order of arrival.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<Received>>>);

impl Backend {
    /// Starts one on a free port.
    pub fn start(region: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, crate::ports::consecutive(1)));
        let mut backend = Self { region: region.to_owned(), address, log: Log::default(), running: None };
        backend.resume();
        backend
    }

    /// Stops it as a crash would: whoever is connected is cut off, and nobody can connect.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().expect("a backend's thread");
        }
    }

    /// Starts it again at the same address; it remembers what it had.
    pub fn resume(&mut self) {
        if self.running.is_none() {
            let (stop, stopped) = oneshot::channel();
            let (ready, bound) = std::sync::mpsc::sync_channel::<()>(1);
            let (region, address, log) = (self.region.clone(), self.address, self.log.clone());
            let thread = std::thread::spawn(move || {
                let serving = serve::run(address, region, log, move || drop(ready));
                serve::runtime().block_on(async {
                    tokio::select! { () = serving => {}, _ = stopped => {} }
                });
            });
            // Whether it could bind is seen by whoever asks it; here only the wait for it counts.
            let _ = bound.recv();
            self.running = Some((stop, thread));
        }
    }

    /// Everything it was sent.
    pub fn received(&self) -> Vec<Received> {
        self.log.lock().clone()
    }

    /// What it was sent under this name.
    pub fn named(&self, id: &str) -> Vec<Received> {
        self.log.lock().iter().filter(|received| received.id.as_deref() == Some(id)).cloned().collect()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request; the entry can be changed by its number.
    fn enter(&self, received: Received) -> usize {
        let mut log = self.lock();
        log.push(received);
        log.len() - 1
    }

    fn change(&self, entry: usize, change: impl FnOnce(&mut Received)) {
        change(&mut self.lock()[entry]);
    }
}
