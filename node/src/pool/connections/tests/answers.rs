//! Heads of answers: what is passed on, and what is refused.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A backend that answers every request on a connection with these bytes.
fn saying(net: &MemoryNet, answer: impl AsRef<[u8]> + Clone + 'static) -> (SocketAddr, task::Task) {
    let (address, mut incoming) = net.listen_in_memory();
    let serving = task::spawn("backend", async move {
        while let Some(mut stream) = incoming.recv().await {
            let answer = answer.clone();
            task::spawn_detached("served", async move {
                let mut room = [0; 4_096];
                while let Ok(1..) = stream.read(&mut room).await {
                    stream.write_all(answer.as_ref()).await.unwrap();
                }
            });
        }
    });
    (address, serving)
}

async fn asked(answer: impl AsRef<[u8]> + Clone + 'static) -> Result<Response<PooledBody>, Reason> {
    let net = Arc::new(MemoryNet::default());
    let (address, _serving) = saying(&net, answer);
    let connections = Connections::new(&net.world(), links());
    let response = send(&connections, &[address], &pool(), 0, post(full("?"))).await;
    response.map_err(|failure| failure.reason)
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_whose_body_can_be_read_in_two_ways_is_refused() {
    for framing in [
        "content-length: 2\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
        "content-length: 0\r\ntransfer-encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        assert_eq!(asked(answer).await.unwrap_err(), Reason::BackendFailed, "{framing}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_with_one_framing_is_passed_on() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let response = asked(answer).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abc", "{answer}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_may_have_a_hundred_headers() {
    for (headers, passes) in [(100, true), (101, false)] {
        let lines = (1..headers).map(|at| format!("x-{at}: 1\r\n")).collect::<Vec<_>>().concat();
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n");
        match asked(answer).await {
            Ok(response) => assert_eq!((response.headers().len(), passes), (headers, true)),
            Err(reason) => assert_eq!((reason, passes), (Reason::BackendFailed, false)),
        }
    }
}
