//! Where a worker puts what became of its requests: counters at once, lines of the access log in batches.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use graticule_node_core::access_log::{Entry, Timestamps};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// One worker's lines on their way to whoever writes them. Nothing here waits: what finds no room is dropped and counted.
#[derive(Debug)]
pub struct AccessLane {
    batch: RefCell<Batch>,
    batches: Sender<LogMessage>,
    drops: Arc<AtomicU64>,
}

/// What the writer of the access log is told.
#[derive(Debug)]
pub enum LogMessage {
    /// Write these.
    Lines {
        /// Whole lines.
        text: String,
        /// How many.
        count: u32,
    },
    /// Open the file anew: somebody has moved it.
    Reopen,
}

#[derive(Debug, Default)]
struct Batch {
    text: String,
    count: u32,
    timestamps: Timestamps,
}

impl AccessLane {
    /// A lane to the writer behind `batches`; what it drops is added to `drops`.
    pub fn new(batches: Sender<LogMessage>, drops: Arc<AtomicU64>) -> Self {
        Self { batch: RefCell::default(), batches, drops }
    }

    /// Writes a line. It is text at once: that costs what copying all of its parts would, and a request wakes no other
    /// thread.
    pub fn write(&self, entry: &Entry<'_>) {
        let batch = &mut *self.batch.borrow_mut();
        if batch.text.capacity() == 0 {
            batch.text.reserve(BATCH_BYTES + LINE_BYTES_USUAL);
        }
        entry.write(&mut batch.timestamps, &mut batch.text);
        batch.count += 1;
        if batch.text.len() >= BATCH_BYTES {
            self.pass_on(batch);
        }
    }

    /// Hands over what there is, however little.
    pub fn flush(&self) {
        let batch = &mut *self.batch.borrow_mut();
        if batch.count > 0 {
            self.pass_on(batch);
        }
    }

    fn pass_on(&self, batch: &mut Batch) {
        let (text, count) = (std::mem::take(&mut batch.text), std::mem::take(&mut batch.count));
        if let Err(error) = self.batches.try_send(LogMessage::Lines { text, count }) {
            self.drops.fetch_add(count.into(), Ordering::Relaxed);
            // Its memory serves for the next ones.
            if let TrySendError::Full(LogMessage::Lines { text, .. }) = error {
                batch.text = text;
                batch.text.clear();
            }
        }
    }
}

impl Drop for AccessLane {
    fn drop(&mut self) {
        self.flush();
    }
}

/// When a batch is handed over; one line more fits. Handing over wakes the writer, which costs two switches of threads:
/// 300 usual lines share them.
const BATCH_BYTES: usize = 128 * 1024;
const LINE_BYTES_USUAL: usize = 1_024;

#[cfg(test)]
mod tests;
