//! Events as a subscriber reads them.

use super::*;

async fn subscribe(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    stream
}

/// Reads until `wanted` has come.
async fn until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while !text.contains(wanted) {
            let mut piece = [0; 1024];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "ended with {text}");
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    };
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("the event");
    text
}

#[test]
fn what_changes_is_told_as_it_changes() {
    run(async {
        let server = start();
        let mut stream = subscribe(&server).await;
        let head = until(&mut stream, ": from now on").await;
        assert!(head.contains("200") && head.contains("text/event-stream"), "{head}");
        server.state.shared.drain.begin();
        let event = until(&mut stream, "\n\n").await;
        assert!(event.contains("event: ready\n"), "{event}");
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let change: api::Change = serde_json::from_str(data).unwrap();
        assert_eq!((change.was.as_deref(), change.is.as_deref()), (Some("ready"), Some("draining")));
        assert_eq!(change.subject, "node-1");
    });
}

#[test]
fn whoever_listens_is_told_the_same_and_who_comes_later_nothing_old() {
    run(async {
        let server = start();
        let (mut one, mut other) = (subscribe(&server).await, subscribe(&server).await);
        for stream in [&mut one, &mut other] {
            until(stream, ": from now on").await;
        }
        server.state.shared.drain.begin();
        let told = (until(&mut one, "\n\n").await, until(&mut other, "\n\n").await);
        assert!(told.0.contains("event: ready\n"), "{}", told.0);
        assert_eq!(told.0, told.1);
        drop((one, other));
        server.state.shared.drain.end();
        // Longer than those who have left are looked for.
        tokio::time::sleep(Duration::from_millis(600)).await;
        let mut late = subscribe(&server).await;
        until(&mut late, ": from now on").await;
        server.state.shared.joining.send_replace(true);
        let event = until(&mut late, "\n\n").await;
        assert!(event.contains(r#""was":"ready","is":"joining""#), "{event}");
        assert_eq!(event.matches("event: ").count(), 1, "{event}");
    });
}

#[test]
fn subscribers_are_limited_and_those_that_leave_make_room() {
    run(async {
        let server = start();
        let mut streams = Vec::new();
        for _ in 0..super::super::events::SUBSCRIBERS_MAX {
            let mut stream = subscribe(&server).await;
            until(&mut stream, ": from now on").await;
            streams.push(stream);
        }
        assert_eq!(server.get("/v1/events").await.0, 429);
        streams.clear();
        let mut tries = 0;
        loop {
            let mut stream = subscribe(&server).await;
            if until(&mut stream, "\r\n").await.contains("200") {
                break;
            }
            tries += 1;
            assert!(tries < 200, "no room");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_planned_leave_is_told_as_that_and_a_death_as_a_death() {
    run(async {
        let (state, _calls) = state();
        let (views, view) = watch::channel(Arc::new(View::clone(&state.view.borrow())));
        let server = start_with(LIMITS, |state| state.view = view);
        let mut stream = subscribe(&server).await;
        until(&mut stream, ": from now on").await;
        let heard = |node: &str, change: fn(&mut Member)| {
            views.send_modify(|view| {
                let mut changed = View::clone(view);
                changed.members.get_mut(&node.parse().unwrap()).into_iter().for_each(change);
                *view = Arc::new(changed);
            });
        };
        heard("edge-1", |member| member.announcement.draining = true);
        until(&mut stream, r#""subject":"edge-1","was":"alive","is":"draining""#).await;
        heard("edge-1", |member| member.alive = false);
        until(&mut stream, r#""subject":"edge-1","was":"draining","is":"left""#).await;
        heard("node-1", |member| member.alive = false);
        until(&mut stream, r#""subject":"node-1","was":"alive","is":"dead""#).await;
    });
}
