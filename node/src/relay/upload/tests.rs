//! Whether a body can be taken back whole, by every course it can take.

use std::io;

use http_body_util::BodyExt;

use super::*;
use crate::testing::{collect, fields, frames, run};

#[expect(clippy::unnecessary_wraps, reason = "a frame among those that may fail")]
fn data(bytes: usize) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from(vec![b'x'; bytes])))
}

fn upload(chunks: &[usize], idempotent: bool) -> Upload {
    let chunks = chunks.iter().map(|bytes| data(*bytes)).collect();
    Upload::new(RequestBody::test(frames(chunks)), idempotent)
}

/// Sends on as much as may be sent now, up to `count` frames; how many that were.
async fn send(upload: &Upload, count: usize) -> usize {
    for sent in 0..count {
        let next = tokio::time::timeout(std::time::Duration::from_millis(5), upload.next()).await;
        if !matches!(next, Ok(Some(_))) {
            return sent;
        }
    }
    count
}

async fn again(upload: &Upload) -> Option<usize> {
    let mut body = upload.take_back()?;
    Some(collect(&mut body).await.unwrap().0.len())
}

#[test]
fn no_more_than_the_buffer_is_sent_before_acceptance() {
    run(async {
        let upload = upload(&[REPLAY_BYTES_MAX - 1, 10, 10], true);
        assert_eq!(send(&upload, 3).await, 2, "the chunk that reaches the limit is the last");
        upload.release();
        assert_eq!(send(&upload, 1).await, 1);
    });
}

#[test]
fn without_acceptance_the_body_comes_back_whole() {
    run(async {
        for idempotent in [true, false] {
            let upload = upload(&[REPLAY_BYTES_MAX, 1_000, 1_000], idempotent);
            assert_eq!(send(&upload, 3).await, 1);
            assert!(upload.is_whole());
            assert_eq!(again(&upload).await, Some(REPLAY_BYTES_MAX + 2_000));
        }
    });
}

#[test]
fn after_acceptance_a_body_comes_back_if_it_may_be_repeated_and_fits() {
    run(async {
        for (chunks, idempotent, expected) in [
            (vec![10, 10], true, Some(20)),
            (vec![10, 10], false, None),
            (vec![REPLAY_BYTES_MAX / 2, REPLAY_BYTES_MAX / 2], true, Some(REPLAY_BYTES_MAX)),
            (vec![REPLAY_BYTES_MAX, 1], true, None),
            (vec![REPLAY_BYTES_MAX + 1], true, None),
        ] {
            let upload = upload(&chunks, idempotent);
            send(&upload, 1).await;
            upload.release();
            send(&upload, 9).await;
            assert_eq!(again(&upload).await, expected, "{chunks:?} {idempotent}");
        }
    });
}

#[test]
fn what_was_never_begun_comes_back_even_after_acceptance() {
    run(async {
        let upload = upload(&[10], false);
        upload.release();
        assert_eq!(again(&upload).await, Some(10), "no byte of it has gone");
    });
}

#[test]
fn trailers_come_back_with_the_body() {
    run(async {
        let body = || frames(vec![data(3), Ok(Frame::trailers(fields(&[("x-sum", "9")])))]);
        let upload = Upload::new(RequestBody::test(body()), true);
        assert_eq!(send(&upload, 2).await, 2);
        let mut back = upload.take_back().unwrap();
        assert!(!back.is_end_stream());
        assert_eq!(collect(&mut back).await.unwrap(), (b"xxx".to_vec(), Some(fields(&[("x-sum", "9")]))));

        let alone = frames(vec![Ok(Frame::trailers(fields(&[("x-sum", "9")])))]);
        let upload = Upload::new(RequestBody::test(alone), false);
        send(&upload, 1).await;
        upload.release();
        assert!(upload.take_back().is_none(), "trailers are a part of the body");
    });
}

#[test]
fn a_body_that_failed_is_never_whole_again() {
    run(async {
        let body = frames(vec![data(3), Err(io::ErrorKind::ConnectionReset.into())]);
        let upload = Upload::new(RequestBody::test(body), true);
        assert!(upload.next().await.unwrap().is_ok());
        assert!(upload.next().await.unwrap().is_err());
        assert!(!upload.is_whole());
        assert!(upload.take_back().is_none(), "its rest would look like its end");
    });
}

#[test]
fn a_body_can_come_back_several_times() {
    run(async {
        let mut upload = upload(&[1, 2, 3], false);
        for sent in 0..=3 {
            assert_eq!(send(&upload, sent).await, sent);
            upload = Upload::new(upload.take_back().unwrap(), false);
        }
        assert_eq!(again(&upload).await, Some(6));
    });
}

#[test]
fn length_and_emptiness_are_those_of_what_is_left_to_send() {
    run(async {
        let known = Upload::new(RequestBody::test(http_body_util::Full::new(Bytes::from("four"))), true);
        assert_eq!((known.length(), known.is_empty()), (Some(4), false));
        let back = RequestBody::test(http_body_util::Full::new(Bytes::from("four")));
        let mut taken = Upload::new(back, true).take_back().unwrap();
        let chunk = taken.frame().await.unwrap().unwrap().into_data().unwrap();
        taken.put_back([chunk].into_iter(), None);
        assert_eq!(Upload::new(taken, true).length(), Some(4));
        let empty = Upload::new(RequestBody::default(), true);
        assert_eq!((empty.length(), empty.is_empty()), (Some(0), true));
    });
}

/// Every mix of chunk sizes, acceptance and end: the rules, stated once more without buffers.
#[test]
fn the_replay_rules_hold_for_every_course() {
    let sizes = [0, 1, REPLAY_BYTES_MAX / 2, REPLAY_BYTES_MAX - 1, REPLAY_BYTES_MAX, REPLAY_BYTES_MAX + 1];
    run(async {
        for (first, second) in sizes.into_iter().flat_map(|a| sizes.map(|b| (a, b))) {
            for (before, after, released, idempotent) in courses() {
                let upload = upload(&[first, second], idempotent);
                let mut sent = send(&upload, before).await;
                if released {
                    upload.release();
                    sent += send(&upload, after).await;
                }
                let bytes: usize = [first, second].iter().take(sent).sum();
                let replayable = idempotent && bytes <= REPLAY_BYTES_MAX;
                // A frame without bytes is something, too, but nothing that a backend could tell from none.
                let expected = (!released || replayable || bytes == 0).then_some(first + second);
                let course = (first, second, before, after, released, idempotent);
                let back = again(&upload).await;
                if bytes == 0 && sent > 0 && released && !idempotent {
                    assert!(back.is_none() || back == expected, "{course:?}");
                } else {
                    assert_eq!(back, expected, "{course:?}");
                }
            }
        }
    });
}

fn courses() -> impl Iterator<Item = (usize, usize, bool, bool)> {
    let flags = [(true, true), (true, false), (false, true), (false, false)];
    (0..=2).flat_map(move |before| {
        (0..=2).flat_map(move |after| flags.map(|(released, again)| (before, after, released, again)))
    })
}
