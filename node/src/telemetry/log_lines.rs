//! Who writes log lines to standard error: a thread of its own, because a reader that stalls must stop nothing else.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Where log lines are put. Nothing here waits: what finds no room is dropped and counted.
#[derive(Debug, Clone)]
pub(super) struct LogLines {
    messages: SyncSender<Message>,
    lost: &'static AtomicU64,
}

#[derive(Debug)]
enum Message {
    /// Write this.
    Line(Box<[u8]>),
    /// All before is written: say so.
    Written(SyncSender<()>),
}

impl LogLines {
    /// Starts the thread that writes to `out`; what gets lost is added to `lost`.
    pub(super) fn start(out: impl Write + Send + 'static, lost: &'static AtomicU64) -> io::Result<Self> {
        let (messages, received) = sync_channel(LINES_MAX);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &received, lost))?;
        Ok(Self { messages, lost })
    }

    /// Waits until what has been put here is written, if that does not take too long.
    pub(super) fn finish(&self) {
        let (written, is_written) = sync_channel(1);
        for _ in 0..LAST_LINES_LOOKS {
            match self.messages.try_send(Message::Written(written.clone())) {
                Ok(()) => {
                    let _ = is_written.recv_timeout(LAST_LINES_TIMEOUT);
                    return;
                }
                // There may be room in a moment, if anybody reads.
                Err(TrySendError::Full(_)) => {
                    let _ = is_written.recv_timeout(LAST_LINES_TIMEOUT / LAST_LINES_LOOKS);
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }
}

/// Writes as long as lines may come.
fn write(mut out: impl Write, messages: &Receiver<Message>, lost: &AtomicU64) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => {
                if out.write_all(&line).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Message::Written(written) => {
                let _ = out.flush();
                // Whoever asked may have waited for long enough.
                let _ = written.try_send(());
            }
        }
    }
}

/// The library hands each line over whole.
impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.messages.try_send(Message::Line(line.into())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogLines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Lines that wait to be written.
const LINES_MAX: usize = 4_096;
/// How long a node that ends waits for room for its last lines, and then for them.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it looks for room.
const LAST_LINES_LOOKS: u32 = 100;

#[cfg(test)]
mod tests;
