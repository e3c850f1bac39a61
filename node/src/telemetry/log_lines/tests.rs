//! Log lines and a reader that stalls.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use super::*;

/// What a reader has got; it takes a line whenever it is told to.
#[derive(Debug, Clone)]
struct Reader {
    got: Arc<Mutex<Vec<u8>>>,
    turns: Arc<Mutex<Receiver<()>>>,
}

impl Write for Reader {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let turn = self.turns.lock().unwrap().recv();
        turn.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.got.lock().unwrap().extend(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's turns are few")]
fn reader() -> (Reader, Sender<()>) {
    let (turn, turns) = std::sync::mpsc::channel();
    (Reader { got: Arc::default(), turns: Arc::new(Mutex::new(turns)) }, turn)
}

#[test]
fn a_reader_that_stalls_stops_nobody_and_what_it_misses_is_counted() {
    static LOST: AtomicU64 = AtomicU64::new(0);
    let (reader, turn) = reader();
    let mut lines = LogLines::start(reader.clone(), &LOST).unwrap();
    let all = LINES_MAX as u64 + 100;
    for line in 0..all {
        lines.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    let lost = LOST.load(Ordering::Relaxed);
    // One more than fit may be on its way.
    assert!((99..=100).contains(&lost), "{lost}");
    (0..all).for_each(|_| turn.send(()).unwrap());
    lines.finish();
    let got = String::from_utf8(reader.got.lock().unwrap().clone()).unwrap();
    let expected: Vec<_> = (0..all - lost).map(|line| line.to_string()).collect();
    assert!(got.lines().eq(&expected), "those that found room, in order: {got}");
}

#[test]
fn the_last_lines_are_waited_for_but_not_for_ever() {
    static LOST: AtomicU64 = AtomicU64::new(0);
    let (reader, turn) = reader();
    let mut lines = LogLines::start(reader.clone(), &LOST).unwrap();
    turn.send(()).unwrap();
    writeln!(lines, "one").unwrap();
    lines.finish();
    assert_eq!(*reader.got.lock().unwrap(), b"one\n");
    writeln!(lines, "two").unwrap();
    lines.finish();
    assert_eq!(*reader.got.lock().unwrap(), b"one\n", "nobody reads it");
    drop(turn);
    lines.finish();
    assert_eq!(LOST.load(Ordering::Relaxed), 1, "now nobody will");
}
