//! The access log as a file.

use graticule_node_core::access_log::Entry;
use graticule_node_core::outcome::{Outcome, Protocol, Role};

use super::*;
use crate::testing::run;

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
        crate::testing::eventually("the first line is written", || {
            counts.written.load(Ordering::Relaxed) == 1
        })
        .await;
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
