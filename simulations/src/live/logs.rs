//! What do the nodes of a live fleet log: read as it is written, and heard as the logs of nodes in memory are.

use std::cell::RefCell;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::sleep;
use tracing::Level;

use super::fleet::LiveFleet;
use crate::run::chronicle::{Chronicle, Finding};
use crate::run::log::{Heard, hear};

/// How far each node's log has been read.
#[derive(Debug, Default)]
pub(super) struct Logs(Vec<Reader>);

#[derive(Debug, Default)]
struct Reader {
    lines: WholeLines,
    told_of_end: bool,
}

/// How far a file has been read to which somebody else appends.
#[derive(Debug, Default)]
pub(super) struct WholeLines {
    read_bytes: u64,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

/// A line of a node's log.
#[derive(Debug, Deserialize)]
struct Line {
    level: String,
    fields: Map<String, Value>,
}

/// Reads all logs for as long as the fleet lives, and notes processes that end by themselves.
pub(super) async fn read(logs: Rc<RefCell<Logs>>, fleet: Rc<LiveFleet>, chronicle: Chronicle) {
    logs.borrow_mut().0.resize_with(fleet.nodes.len(), Reader::default);
    loop {
        for (reader, node) in logs.borrow_mut().0.iter_mut().zip(&fleet.nodes) {
            let name = &node.place.name;
            // A log that cannot be read now is read later, from where it was.
            let new = reader.lines.read(&fleet.files.log(name)).unwrap_or_default();
            let lines = new.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.for_each(|line| heard(&chronicle, name, line));
            // One that cannot start says so to whoever starts it.
            let ended = node.ended_by_itself().ok().flatten().filter(|_| node.has_started.get());
            if let Some(how) = ended.as_ref().filter(|_| !reader.told_of_end) {
                let what = format!("the process of {name} ended by itself: {how}");
                chronicle.violation(Finding { invariant: "no-task-died", node: Some(name.clone()), what });
            }
            reader.told_of_end = ended.is_some();
        }
        sleep(LOOK_INTERVAL).await;
    }
}

impl WholeLines {
    /// All lines that are new.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.read_bytes))?;
        self.read_bytes += file.take(READ_BYTES_MAX).read_to_end(&mut self.rest)? as u64;
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let rest = self.rest.split_off(end);
        Ok(std::mem::replace(&mut self.rest, rest))
    }
}

fn heard(chronicle: &Chronicle, node: &str, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    let Ok(Line { level, mut fields }) = serde_json::from_str(&text) else {
        // Nothing but a panic writes there without the logger.
        return hear(chronicle, node, &Heard { level: Level::ERROR, message: &text, fields: "" });
    };
    let level = level.parse().unwrap_or(Level::ERROR);
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let message = fields.remove("message").as_ref().map(shown).unwrap_or_default();
    let mut rest = String::new();
    for (name, value) in &fields {
        // Writing to a string cannot fail.
        let _ = write!(rest, " {name}={}", shown(value));
    }
    hear(chronicle, node, &Heard { level, message: &message, fields: &rest });
}

const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Of one log at one look.
const READ_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_are_read_once_and_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let mut reader = WholeLines::default();
        let mut lines = String::new();
        for piece in ["one\ntw", "o\n", "", "three\nfour\nfi"] {
            file.write_all(piece.as_bytes()).unwrap();
            lines += std::str::from_utf8(&reader.read(&path).unwrap()).unwrap();
            assert!(lines.is_empty() || lines.ends_with('\n'), "{lines}");
        }
        assert_eq!(lines, "one\ntwo\nthree\nfour\n");
    }
}
