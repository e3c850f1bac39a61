//! The access log as a file.

use std::path::Path;
use std::sync::Mutex;

use graticule_node_core::access_log::Entry;
use graticule_node_core::outcome::{Outcome, Protocol, Role};

use super::*;
use crate::testing::{eventually, run};

fn line(lane: &AccessLane, node: &str) {
    let outcome = Outcome::refused(Role::Edge, graticule_node_core::Reason::Draining);
    lane.write(&Entry {
        ended_us: 0,
        node,
        outcome: &outcome,
        protocol: Protocol::Http11,
        tenant: None,
        regions: [None, None],
        decision: "refuse",
        backend: None,
        accepted: None,
        first_byte: None,
        personal: None,
    });
    lane.flush();
}

#[test]
fn a_moved_file_is_followed_until_it_is_reopened_and_nothing_is_lost() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let log = AccessLog::start(&World::system(), path.clone(), Threads::Own).unwrap();
        let (lane, counts) = (log.lane(), log.counts());
        line(&lane, "first");
        eventually("the first line is written", || counts.written.load(Ordering::Relaxed) == 1).await;
        std::fs::rename(&path, &moved).unwrap();
        line(&lane, "second");
        log.reopen();
        line(&lane, "third");
        drop(lane);
        log.finish().await;
        let read = |path| std::fs::read_to_string(path).unwrap();
        let (old, new) = (read(&moved), read(&path));
        assert_eq!((old.lines().count(), new.lines().count()), (2, 1), "{old}{new}");
        assert!(old.contains("first") && old.contains("second") && new.contains("third"));
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_file_that_cannot_be_opened_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing/access.log");
    let error = AccessLog::start(&World::system(), missing, Threads::Own).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

/// A disk with one file, and room for so many bytes in it.
#[derive(Debug, Clone, Default)]
struct Small(Arc<Mutex<(Vec<u8>, usize)>>);

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (contents, room) = &mut *self.0.lock().unwrap();
        let taken = bytes.len().min(*room - contents.len());
        contents.extend(&bytes[..taken]);
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Small {
    fn read(&self, _: &Path, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn replace(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn stamp(&self, _: &Path) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create_directory(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn append(&self, _: &Path) -> io::Result<Box<dyn Write + Send>> {
        Ok(Box::new(self.clone()))
    }
}

#[test]
fn a_line_that_a_full_disk_has_torn_is_the_only_one_lost() {
    run(async {
        let disk = Small::default();
        let room = |bytes| disk.0.lock().unwrap().1 = bytes;
        let world = World { disk: Arc::new(disk.clone()), ..World::system() };
        let log = AccessLog::start(&world, "log".into(), Threads::Own).unwrap();
        let (lane, counts) = (log.lane(), log.counts());
        let results = || counts.results().map(|(_, count)| count);
        room(1_000);
        line(&lane, "first");
        eventually("it is written", || results() == [1, 0, 0]).await;
        let whole = disk.0.lock().unwrap().0.len();
        room(whole + 10);
        line(&lane, "torn");
        eventually("it fails", || results() == [1, 0, 1]).await;
        line(&lane, "lost");
        eventually("this one too", || results() == [1, 0, 2]).await;
        room(10_000);
        line(&lane, "last");
        drop(lane);
        log.finish().await;
        assert_eq!(results(), [2, 0, 2]);
        let text = String::from_utf8(disk.0.lock().unwrap().0.clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (line, node) in [(lines[0], "first"), (lines[2], "last")] {
            assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap()["node"], node);
        }
    });
}
