//! Who is told to leave, by whom, and what is said then.

use graticule_node_core::leaving::{LeavingOutput, LeavingStage};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::admin::tests::{Server, start, state};
use crate::admin::{RemoteCall, answer_remote};
use crate::testing::{raw, run};

impl Server {
    async fn post(&self, path: &str) -> (u16, Value) {
        self.ask("POST", path).await
    }
}

/// Answers calls to other nodes as those would, until nobody asks any more.
async fn answer_as_others(calls: &mut mpsc::Receiver<RemoteCall>) {
    let (other, _calls) = state();
    while let Some(RemoteCall { call, answer, .. }) = calls.recv().await {
        answer.send(Ok(answer_remote(&other, &call))).unwrap();
    }
}

#[test]
fn the_node_that_answers_drains_and_stays_again() {
    run(async {
        let server = start();
        let drained = json!([{"node": "node-1", "stage": "draining", "error": null}]);
        assert_eq!(server.post("/v1/drain").await, (200, drained));
        assert_eq!(server.state.departure.next().await, LeavingOutput::Announce);
        let stays = json!([{"node": "node-1", "stage": "serving", "error": null}]);
        assert_eq!(server.post("/v1/undrain?node=node-1").await, (200, stays));
        assert_eq!(server.state.departure.next().await, LeavingOutput::Retract);
    });
}

#[test]
fn what_cannot_be_taken_back_says_why() {
    run(async {
        let server = start();
        server.state.departure.tell(LeavingInput::Signal).unwrap();
        let (status, told) = server.post("/v1/undrain").await;
        assert_eq!((status, &told[0]["stage"]), (200, &"draining".into()));
        assert!(told[0]["error"].as_str().unwrap().contains("a signal told the process to end"), "{told}");
    });
}

#[test]
fn another_node_is_told_through_its_tunnel() {
    run(async {
        let mut server = start();
        let (address, here) = (server.address, server.state.departure.clone());
        let asking =
            raw(address, "POST /v1/drain?node=edge-1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = tokio::select! {
            answer = asking => answer,
            () = answer_as_others(&mut server.calls) => unreachable!(),
        };
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"stage\":\"draining\""), "{answer}");
        assert_eq!(here.stage(), LeavingStage::Staying);
    });
}

#[test]
fn of_a_region_every_live_node_is_told() {
    run(async {
        let mut server = start();
        let region = "POST /v1/drain?region=us HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let failing = async {
            let RemoteCall { node, answer, .. } = server.calls.recv().await.unwrap();
            answer.send(Err("there is no tunnel to it".to_owned())).unwrap();
            node
        };
        let (answer, asked) = tokio::join!(raw(server.address, region), failing);
        assert_eq!(asked.as_str(), "edge-1", "old-1 is dead");
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("there is no tunnel to it"),
            "{answer}"
        );
        assert!(server.calls.try_recv().is_err(), "nobody else is told");
    });
}

#[test]
fn what_makes_no_sense_drains_nobody() {
    run(async {
        let server = start();
        for (path, status, kind) in [
            ("/v1/drain?region=mars", 404, "unknown-region"),
            ("/v1/drain?node=mars-1", 404, "unknown-node"),
            ("/v1/undrain?node=mars-1", 404, "unknown-node"),
            ("/v1/drain?node=x&region=us", 400, "bad-query"),
            ("/v1/drain?node=No%20node", 400, "bad-query"),
        ] {
            let (got, problem) = server.post(path).await;
            assert_eq!(
                (got, &problem["type"]),
                (status, &format!("urn:graticule:admin:{kind}").into()),
                "{path}"
            );
        }
        assert_eq!(server.get("/v1/drain").await.0, 405);
        let page =
            "POST /v1/drain HTTP/1.1\r\nhost: a\r\norigin: https://evil.example\r\nconnection: close\r\n\r\n";
        let answer = raw(server.address, page).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert_eq!(server.state.departure.stage(), LeavingStage::Staying);
    });
}
