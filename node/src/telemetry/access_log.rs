//! Who writes the access log: a thread of its own, because a full disk or a reader that stalls must stop nothing else.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::shared::{AccessLane, LogMessage};
use crate::task::{self, Task, Threads};
use crate::world::{Disk, World};

/// The access log of a node.
#[derive(Debug)]
pub struct AccessLog {
    batches: Sender<LogMessage>,
    counts: Arc<LogCounts>,
    ended: oneshot::Receiver<()>,
    /// The writer, if it has no thread.
    _task: Option<Task>,
}

/// How the access log does, for metrics.
#[derive(Debug, Default)]
pub struct LogCounts {
    /// Lines for which there was no room, because the writer was too slow.
    pub dropped: Arc<AtomicU64>,
    /// Lines that were written.
    pub written: AtomicU64,
    /// Lines that could not be written.
    pub failed: AtomicU64,
}

impl LogCounts {
    /// Every result with its count.
    pub fn results(&self) -> [(&'static str, u64); 3] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("written", read(&self.written)), ("dropped", read(&self.dropped)), ("failed", read(&self.failed))]
    }
}

impl AccessLog {
    /// Opens the file and starts its writer: on a thread, or on this one where writing never waits.
    pub fn start(world: &World, path: PathBuf, threads: Threads) -> io::Result<Self> {
        let file = world.disk.append(&path)?;
        let (batches, mut received) = mpsc::channel(BATCHES_MAX);
        let (ending, ended) = oneshot::channel();
        let counts = Arc::<LogCounts>::default();
        let disk = Arc::clone(&world.disk);
        let counted = Arc::clone(&counts);
        let mut writer = Writer { disk, path, file, counts: counted, failing: false, torn: false };
        let task = match threads {
            Threads::Own => {
                std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
                    while let Some(message) = received.blocking_recv() {
                        writer.take(message);
                    }
                    let _ = ending.send(());
                })?;
                None
            }
            Threads::This => Some(task::spawn("access log", async move {
                while let Some(message) = received.recv().await {
                    writer.take(message);
                }
                let _ = ending.send(());
            })),
        };
        Ok(Self { batches, counts, ended, _task: task })
    }

    /// Where one worker puts its lines.
    pub fn lane(&self) -> AccessLane {
        AccessLane::new(self.batches.clone(), Arc::clone(&self.counts.dropped))
    }

    /// How it does.
    pub fn counts(&self) -> Arc<LogCounts> {
        Arc::clone(&self.counts)
    }

    /// Opens the file anew, because somebody has moved it.
    pub fn reopen(&self) {
        if self.batches.try_send(LogMessage::Reopen).is_err() {
            tracing::warn!("the access log is not reopened: its writer is too slow; send SIGHUP again");
        }
    }

    /// Waits until what its lanes have handed over is written, if that does not take too long. The lanes are to be gone.
    pub async fn finish(self) {
        let Self { batches, ended, _task, .. } = self;
        drop(batches);
        if timeout(LAST_LINES_TIMEOUT, ended).await.is_err() {
            tracing::warn!(
                "the last lines of the access log are not written: whoever takes them is too slow"
            );
        }
    }
}

struct Writer {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn Write + Send>,
    counts: Arc<LogCounts>,
    failing: bool,
    /// Whether the file ends within a line.
    torn: bool,
}

impl Writer {
    fn take(&mut self, message: LogMessage) {
        match message {
            LogMessage::Lines { text, count } => self.write(&text, count),
            LogMessage::Reopen => self.reopen(),
        }
    }

    fn write(&mut self, text: &str, count: u32) {
        let mut rest = text.as_bytes();
        let written = self.put(&mut rest);
        // Those whose end has not arrived.
        let failed = rest.split(|byte| *byte == b'\n').skip(1).count() as u64;
        self.counts.written.fetch_add(u64::from(count).saturating_sub(failed), Ordering::Relaxed);
        self.counts.failed.fetch_add(failed, Ordering::Relaxed);
        match written {
            Err(error) if !self.failing => {
                tracing::error!(path = %self.path.display(), %error, "cannot write the access log; lines are lost");
                self.failing = true;
            }
            Ok(()) if self.failing => {
                tracing::info!(path = %self.path.display(), "the access log is written again");
                self.failing = false;
            }
            _ => {}
        }
    }

    /// Writes `rest`, and leaves of it what could not be written.
    fn put(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        self.end_torn_line()?;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    let (done, left) = rest.split_at(bytes);
                    self.torn = !done.ends_with(b"\n");
                    *rest = left;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.file.flush()
    }

    /// Whoever reads loses that line alone.
    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        Ok(())
    }

    fn reopen(&mut self) {
        // If that fails, it is ended before the next line.
        let _ = self.end_torn_line();
        match self.disk.append(&self.path) {
            Ok(file) => {
                self.file = file;
                tracing::info!(path = %self.path.display(), "access log reopened");
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "cannot reopen the access log; the old file stays");
            }
        }
    }
}

/// Batches that wait to be written: 8 MiB.
const BATCHES_MAX: usize = 64;
/// How long a node that ends waits for its last lines.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
