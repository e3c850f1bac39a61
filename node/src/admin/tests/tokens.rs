//! Who may ask what, over the socket and through another node.

use aws_lc_rs::digest::{SHA256, digest};
use graticule_node_core::config::{AdminRole, AdminToken};

use super::*;

fn access() -> Arc<Access> {
    let token = |role, token: &str| AdminToken {
        name: token.to_owned(),
        role,
        sha256: digest(&SHA256, token.as_bytes()).as_ref().try_into().unwrap(),
    };
    Arc::new(Access::new(vec![token(AdminRole::Viewer, "see"), token(AdminRole::Operator, "do")]))
}

async fn status(server: &Server, method: &str, path: &str, token: &str) -> u16 {
    let line = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{line}\r\n");
    let answer = raw(server.address, &request).await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn probes_need_no_token_all_else_does_and_changes_need_an_operators() {
    run(async {
        let server = start_with(LIMITS, |state| state.access = access());
        for route in api::Route::ALL {
            let method = if route.is_change() { "POST" } else { "GET" };
            let without = status(&server, method, route.path(), "").await;
            assert_eq!(without == 401, !route.is_open(), "{} {without}", route.path());
        }
        assert_eq!(status(&server, "GET", "/metrics", "see").await, 200);
        assert_eq!(status(&server, "GET", "/v1/nodes", "wrong").await, 401);
        assert_eq!(status(&server, "POST", "/v1/drain", "see").await, 403);
        assert!(!server.state.shared.drain.is_draining());
        assert_eq!(status(&server, "POST", "/v1/drain", "do").await, 200);
        assert_eq!(status(&server, "GET", "/v1/other", "").await, 401, "nor is it told what there is");
    });
}

#[test]
fn the_node_that_is_asked_through_another_judges_the_token_itself() {
    run(async {
        let (mut there, _calls) = state();
        there.access = access();
        let ask = |path: &str, token: Option<&str>| {
            let call = AdminCall { path: path.to_owned(), token: token.map(str::to_owned) };
            answer_remote(&there, &call).status
        };
        assert_eq!(ask("/v1/why?tenant=acme", None), 401);
        assert_eq!(ask("/v1/why?tenant=acme", Some("see")), 200);
        assert_eq!(ask("/v1/drain", Some("see")), 403);
        assert!(!there.shared.drain.is_draining());
        assert_eq!(ask("/v1/drain", Some("do")), 200);
    });
}

#[test]
fn a_token_is_passed_on_with_the_call() {
    run(async {
        let mut server = start();
        let address = server.address;
        let answering = async {
            let RemoteCall { call, answer, .. } = server.calls.recv().await.unwrap();
            assert_eq!(call.token.as_deref(), Some("secret"));
            answer.send(Err("no".to_owned())).unwrap();
        };
        let request = "GET /v1/why?tenant=acme&edge=edge-1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                       authorization: bearer secret\r\n\r\n";
        let (answer, ()) = tokio::join!(raw(address, request), answering);
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    });
}
