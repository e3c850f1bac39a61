//! Which readers of relayed bodies are behind, and who is cut off before what waits for them stops everybody else?
//!
//! What waits for its reader uses a share of its connection's receive window. A window in use to its end would let no
//! frame of any stream arrive, not even `accepted`, so there is to be room in it at all times. All readers of a worker
//! share one bound, no larger than the window of one connection: it bounds the worker's memory, too.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use graticule_node_core::framing::{self, BodyLength};
use quinn::{RecvStream, VarInt};

use super::transport::{CONNECTION_WINDOW_BYTES, REQUEST_STREAMS_MAX, STREAM_WINDOW_BYTES};
use crate::task;

/// What is taken from a stream at a time. One chunk is most often all that has come; only who asks for a second is told
/// in the same call that the stream has ended, and need not ask again.
pub(super) type Chunks = [Bytes; 2];

/// What reading of a stream gave; `None` at its end.
pub(super) type Read = Result<Option<Chunks>, quinn::ReadError>;

/// How many readers a node has cut off since its start.
#[derive(Debug, Default)]
pub struct StreamsCut(AtomicU64);

impl StreamsCut {
    /// How many.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The readers of one worker. Clones are the same; it costs nothing while there are none.
#[derive(Debug, Clone)]
pub struct Backlog(Rc<State>);

#[derive(Debug)]
struct State {
    bytes_max: u64,
    cut: Arc<StreamsCut>,
    readers: RefCell<Vec<Rc<Reader>>>,
    sweeping: Cell<bool>,
}

/// A stream with a reader that may be behind; it is watched until this is dropped.
#[derive(Debug)]
pub(super) struct Watched {
    reader: Rc<Reader>,
    among: Rc<State>,
}

#[derive(Debug)]
struct Reader {
    stream: RefCell<RecvStream>,
    /// Its place among the others.
    at: Cell<usize>,
    /// Whether it is waiting for more, and who is woken then.
    asks: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether it has had all that had come, at some time since the last sweep.
    caught_up: Cell<bool>,
    /// What a sweep has read for a reader that was waiting for it.
    early: RefCell<Option<Read>>,
    standing: Cell<Standing>,
    is_cut: Cell<bool>,
}

/// How a reader keeps up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    /// Sweeps since it last had all that had come.
    sweeps: u32,
    /// What it has taken since then.
    taken: u64,
    /// What it may still have to take.
    left: u64,
}

impl Backlog {
    /// The readers of one worker, none yet; whoever is cut off is counted in `cut`.
    pub fn new(cut: Arc<StreamsCut>) -> Self {
        Self::within(u64::from(CONNECTION_WINDOW_BYTES), cut)
    }

    /// The same with room for so much.
    pub(crate) fn within(bytes_max: u64, cut: Arc<StreamsCut>) -> Self {
        let (readers, sweeping) = (RefCell::default(), Cell::new(false));
        Self(Rc::new(State { bytes_max, cut, readers, sweeping }))
    }

    /// Looks at all readers at once.
    #[cfg(test)]
    pub(crate) fn sweep(&self) {
        self.0.sweep();
    }

    /// Whether a body of this length can do any harm.
    pub(super) fn is_for(length: BodyLength) -> bool {
        match length {
            BodyLength::None => false,
            BodyLength::Known(bytes) => bytes > UNWATCHED_BYTES_MAX,
            BodyLength::Unknown => true,
        }
    }

    /// Watches who reads a body of this length from `stream`.
    pub(super) fn watch(&self, stream: RecvStream, length: BodyLength) -> Watched {
        let left = if let BodyLength::Known(bytes) = length { bytes } else { u64::MAX };
        let among = Rc::clone(&self.0);
        let mut readers = among.readers.borrow_mut();
        let reader = Rc::new(Reader {
            stream: RefCell::new(stream),
            at: Cell::new(readers.len()),
            asks: Cell::new(false),
            waker: RefCell::default(),
            caught_up: Cell::new(true),
            early: RefCell::default(),
            standing: Cell::new(Standing { sweeps: 0, taken: 0, left }),
            is_cut: Cell::new(false),
        });
        readers.push(Rc::clone(&reader));
        drop(readers);
        if !self.0.sweeping.replace(true) {
            task::spawn_detached("backlog", Rc::clone(&self.0).run());
        }
        Watched { reader, among }
    }
}

impl Watched {
    /// Reads on; `None` once the reader was cut off.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Read>> {
        if self.reader.is_cut.get() {
            return Poll::Ready(None);
        }
        match self.reader.early.take() {
            Some(read) => Poll::Ready(Some(read)),
            None => self.reader.poll(cx).map(Some),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut readers = self.among.readers.borrow_mut();
        let at = self.reader.at.get();
        let gone = (at < readers.len()).then(|| readers.swap_remove(at));
        readers.get(at).iter().for_each(|moved| moved.at.set(at));
        drop(readers);
        // Only now: it holds a waker, whose task may hold others.
        drop(gone);
    }
}

impl Reader {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Read> {
        let mut chunks = Chunks::default();
        let mut stream = self.stream.borrow_mut();
        let polled = pin!(stream.read_chunks(&mut chunks)).poll(cx);
        drop(stream);
        match polled {
            Poll::Ready(read) => {
                self.asks.set(false);
                let bytes = chunks.iter().map(Bytes::len).sum::<usize>() as u64;
                self.standing.set(self.standing.get().after(bytes));
                Poll::Ready(read.map(|read| read.map(|_| chunks)))
            }
            Poll::Pending => {
                self.asks.set(true);
                self.caught_up.set(true);
                let known = self.waker.take().filter(|known| known.will_wake(cx.waker()));
                self.waker.replace(Some(known.unwrap_or_else(|| cx.waker().clone())));
                Poll::Pending
            }
        }
    }

    /// How it stands now, a sweep after the last.
    fn age(&self) -> Standing {
        self.look();
        let mut standing = self.standing.get();
        if self.caught_up.replace(self.asks.get()) {
            (standing.sweeps, standing.taken) = (0, 0);
        } else {
            standing.sweeps = standing.sweeps.saturating_add(1);
        }
        self.standing.set(standing);
        standing
    }

    /// A reader that was told to come again, and something is there, may never do so: it is behind from then on.
    fn look(&self) {
        if !self.asks.get() {
            return;
        }
        let Some(waker) = self.waker.take() else { return };
        if let Poll::Ready(read) = self.poll(&mut Context::from_waker(&waker)) {
            self.early.replace(Some(read));
            waker.wake_by_ref();
        }
        self.waker.replace(Some(waker));
    }

    /// Drops what waits for it, and tells the peer to stop.
    fn cut(&self) {
        self.is_cut.set(true);
        self.early.take();
        // Fails only if it has ended.
        let _ = self.stream.borrow_mut().stop(VarInt::from_u32(framing::reset::LIMIT));
    }
}

impl Standing {
    fn after(self, bytes: u64) -> Self {
        Self { taken: self.taken.saturating_add(bytes), left: self.left.saturating_sub(bytes), ..self }
    }

    /// What may be waiting for it.
    fn waiting(self) -> u64 {
        self.left.min(u64::from(STREAM_WINDOW_BYTES))
    }

    /// What it takes from sweep to sweep.
    fn pace(self) -> u64 {
        self.taken / u64::from(self.sweeps.max(1))
    }
}

impl State {
    /// Sweeps until there are no readers left.
    async fn run(self: Rc<Self>) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            if self.readers.borrow().is_empty() {
                break;
            }
            self.sweep();
        }
        self.sweeping.set(false);
    }

    fn sweep(&self) {
        let readers = self.readers.borrow().clone();
        let standings: Vec<_> = readers
            .iter()
            .map(|reader| reader.age())
            .zip(&readers)
            .map(|(standing, reader)| if reader.is_cut.get() { standing.after(u64::MAX) } else { standing })
            .collect();
        let cut = slowest(&standings, self.bytes_max);
        cut.iter().filter_map(|at| readers.get(*at)).for_each(|reader| reader.cut());
        if !cut.is_empty() {
            self.cut.0.fetch_add(cut.len() as u64, Ordering::Relaxed);
            tracing::warn!(
                streams = cut.len(),
                of = readers.len(),
                "cut off the slowest readers of relayed bodies: what waits for them would have stopped their tunnel"
            );
        }
    }
}

/// Whom to cut off, so that all who are behind leave some of `bytes_max` to others: who takes least, and of those that take the same
/// who has been behind for longest.
fn slowest(standings: &[Standing], bytes_max: u64) -> Vec<usize> {
    let mut cut = Vec::new();
    for (sweeps_min, eighths_max) in [(SWEEPS_BEHIND_MAX, 6), (1, 7)] {
        let is_behind = |at: &usize| {
            let standing = standings[*at];
            standing.sweeps >= sweeps_min && standing.waiting() > 0
        };
        let mut behind: Vec<_> =
            (0..standings.len()).filter(is_behind).filter(|at| !cut.contains(at)).collect();
        let mut waiting: u64 = behind.iter().map(|at| standings[*at].waiting()).sum();
        if waiting <= bytes_max / 8 * eighths_max {
            continue;
        }
        behind.sort_by_key(|at| (standings[*at].pace(), Reverse(standings[*at].sweeps), *at));
        for at in behind {
            if waiting <= bytes_max / 8 * eighths_max {
                break;
            }
            waiting -= standings[at].waiting();
            cut.push(at);
        }
    }
    cut
}

/// Bodies up to here are not watched: all the streams of a tunnel with such bodies fit into the window's last eighth.
const UNWATCHED_BYTES_MAX: u64 = CONNECTION_WINDOW_BYTES as u64 / 8 / REQUEST_STREAMS_MAX as u64;
/// How often readers are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// For so many sweeps a reader may be behind without being held for slow, unless room gets short at once.
const SWEEPS_BEHIND_MAX: u32 = 5;

#[cfg(test)]
mod tests;
