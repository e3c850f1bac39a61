//! Readers that take little or nothing, beside others that must not notice.

use std::task::{Context, Waker};

use super::*;
use crate::tunnel::StreamsCut;

/// A node whose answers never end, but for those to PUT, which say how long the request's body was.
fn endless() -> (Rc<Script>, Arc<Mutex<usize>>) {
    let polled = Arc::new(Mutex::new(0));
    let polls = Arc::clone(&polled);
    let server = script(move |head, mut body| {
        let endless = Endless(Arc::clone(&polls));
        async move {
            if head.method != Method::PUT {
                return Ok(Response::new(ResponseBody::test(endless)));
            }
            let (data, _) = collect(&mut body).await.map_err(|_| Reason::BackendFailed)?;
            Ok(Response::new(ResponseBody::own(data.len().to_string().into())))
        }
    });
    (server, polled)
}

/// A small exchange works.
async fn passes(edge: &Edge) {
    let mut answer = edge.send(&Method::PUT, &of_bytes(5)).await.unwrap();
    assert_eq!(collect(answer.body_mut()).await.unwrap().0, b"5");
    assert_eq!(edge.suspected.get(), 0, "nor was the peer silent");
}

type Answers = Vec<Response<Box<TunnelBody>>>;

/// So many answers of which nothing is read.
async fn unread(edge: &Edge, count: usize) -> Answers {
    let mut answers = Vec::new();
    for _ in 0..count {
        answers.push(edge.send(&Method::GET, &nothing()).await.unwrap());
    }
    answers
}

/// Reads so many pieces, of 16 KiB at most.
async fn take(answer: &mut Response<Box<TunnelBody>>, pieces: usize) -> Result<(), crate::body::BodyError> {
    for _ in 0..pieces {
        answer.body_mut().frame().await.ok_or("it has ended")??;
    }
    Ok(())
}

/// Which of them are not cut off: they go on.
async fn going_on(answers: &mut Answers) -> Vec<bool> {
    let mut going_on = Vec::new();
    for answer in answers {
        // More than what waits here when one is cut off.
        going_on.push(take(answer, 200).await.is_ok());
    }
    going_on
}

/// Backlogs of edge and node with room for so many full streams, and where their cuts are counted.
fn backlogs(streams: u64) -> ([Backlog; 2], [Arc<StreamsCut>; 2]) {
    let counts: [Arc<StreamsCut>; 2] = Default::default();
    let backlog = |count: &Arc<StreamsCut>| Backlog::within(streams * STREAM_BYTES, Arc::clone(count));
    ([backlog(&counts[0]), backlog(&counts[1])], counts)
}

/// What waits for one reader at most.
const STREAM_BYTES: u64 = 512 * 1024;

#[test]
fn readers_that_take_nothing_stop_nobody_else() {
    run(async {
        let (server, polled) = endless();
        let edge = Edge::of(Some(server)).await;
        let answers = unread(&edge, 64).await;
        let pieces = until_still(&polled).await;
        assert!(pieces > 64 * 16, "every window is full: {pieces}");
        passes(&edge).await;
        drop(answers);
    });
}

#[test]
fn backends_that_take_nothing_stop_nobody_else() {
    run(async {
        let (server, _) = endless();
        let stuck = script(move |head, body| {
            let server = Rc::clone(&server);
            async move {
                if head.method == Method::POST {
                    std::future::pending::<()>().await;
                }
                (server.forward)(head, body).await
            }
        });
        let edge = Edge::of(Some(stuck)).await;
        let polled = Arc::new(Mutex::new(0));
        let uploads: Vec<_> = (0..64).map(|_| upload(Endless(Arc::clone(&polled)))).collect();
        let mut stalled: Vec<_> =
            uploads.iter().map(|upload| Box::pin(edge.send(&Method::POST, upload))).collect();
        let answered = std::future::poll_fn(|cx| {
            let answered = stalled.iter_mut().any(|sending| sending.as_mut().poll(cx).is_ready());
            if answered { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        let others = async {
            assert!(until_still(&polled).await > 64 * 16, "every window is full");
            passes(&edge).await;
        };
        tokio::select! {
            () = answered => panic!("there is no answer"),
            () = others => {}
        }
    });
}

#[test]
fn of_too_many_readers_behind_the_slowest_are_cut_off_and_nobody_else_is() {
    run(async {
        let (server, polled) = endless();
        let (backlogs, [cut, _]) = backlogs(8);
        let edge = Edge::with(Some(server), backlogs).await;
        let mut answers = unread(&edge, 10).await;
        let backlog = edge.tunnel.enter().backlog().clone();
        until_still(&polled).await;
        for round in 1..=6 {
            // All but the last two trickle: they take something, and never all that has come.
            for answer in &mut answers[..8] {
                take(answer, 2).await.ok();
            }
            until_still(&polled).await;
            backlog.sweep();
            passes(&edge).await;
            assert!(round > 1 || cut.count() == 0, "they may catch up");
        }
        // Three quarters of the window are six streams.
        assert_eq!(cut.count(), 4);
        let going_on = going_on(&mut answers).await;
        assert_eq!(going_on[8..], [false, false], "who takes nothing goes first");
        assert_eq!(going_on.iter().filter(|going_on| **going_on).count(), 6);
    });
}

#[test]
fn a_fast_body_gets_through_whole_while_slow_ones_are_cut_off() {
    run(async {
        let (server, polled) = endless();
        let (backlogs, counts) = backlogs(4);
        let edge = Edge::with(Some(server), backlogs).await;
        let answers = unread(&edge, 8).await;
        let backlog = edge.tunnel.enter().backlog().clone();
        until_still(&polled).await;
        let sweeping = async {
            loop {
                backlog.sweep();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let fast = async {
            let mut answer = edge.send(&Method::PUT, &of_bytes(8_000_000)).await.unwrap();
            assert_eq!(collect(answer.body_mut()).await.unwrap().0, b"8000000");
        };
        tokio::select! {
            () = sweeping => {}
            () = fast => {}
        }
        eventually("slow ones are cut off", || {
            backlog.sweep();
            counts[0].count() == 5
        })
        .await;
        assert_eq!(counts[1].count(), 0);
        drop(answers);
    });
}

#[test]
fn a_reader_that_waits_is_not_behind_until_it_leaves_what_comes() {
    run(async {
        let (senders, bodies): (Vec<_>, Vec<_>) = (0..8).map(|_| channel()).unzip();
        let bodies = RefCell::new(bodies);
        let server = script(move |_, _| {
            let body = bodies.borrow_mut().pop().unwrap();
            async { Ok(Response::new(ResponseBody::test(body))) }
        });
        let (backlogs, [cut, _]) = backlogs(4);
        let edge = Edge::with(Some(server), backlogs).await;
        let mut answers = unread(&edge, 8).await;
        let mut nobody = Context::from_waker(Waker::noop());
        for answer in &mut answers {
            assert!(Pin::new(answer.body_mut()).poll_frame(&mut nobody).is_pending());
        }
        let backlog = edge.tunnel.enter().backlog().clone();
        (0..20).for_each(|_| backlog.sweep());
        assert_eq!(cut.count(), 0);
        for sender in &senders {
            sender.send(chunk(5_000)).await.unwrap();
        }
        eventually("what nobody fetches counts", || {
            backlog.sweep();
            cut.count() == 5
        })
        .await;
    });
}

#[test]
fn a_request_that_is_cut_off_breaks_off_at_a_backend_that_did_not_read_it() {
    run(async {
        let (backlogs, [_, cut]) = backlogs(1);
        let at_node = backlogs[1].clone();
        let server = script(move |_, mut body| {
            let (backlog, cut) = (at_node.clone(), Arc::clone(&cut));
            async move {
                eventually("it is cut off", || {
                    backlog.sweep();
                    cut.count() == 1
                })
                .await;
                let error = collect(&mut body).await.unwrap_err();
                Err(crate::body::fault(&*error))
            }
        });
        let edge = Edge::with(Some(server), backlogs).await;
        let upload = upload(Endless(Arc::default()));
        let failure = edge.send(&Method::POST, &upload).await.unwrap_err();
        assert_eq!(failure, Failure::Sent(Reason::BackendTimeout));
    });
}
