//! A connection of HTTP/2 that several share, and what its server says of requests that it will not do.

use std::error::Error;
use std::net::SocketAddr;

use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{ANSWER_LIMIT, Answer, Ask, Beside, Broken, Outgoing, connect, with_authority};

/// An open connection; it closes when this is dropped.
#[derive(Debug)]
pub struct Multiplexed {
    sender: http2::SendRequest<Outgoing>,
    driver: JoinHandle<()>,
}

/// Why there was no answer.
#[derive(Debug)]
pub struct Unanswered {
    /// In words.
    pub broken: Broken,
    /// Whether it is certain that the server has done nothing with the request (RFC 9113, 8.7): it never left, or the server
    /// has refused its stream, or has said goodbye before it.
    pub is_unprocessed: bool,
}

impl Multiplexed {
    /// Connects with HTTP/2, which it expects to be understood.
    pub async fn open(edge: SocketAddr) -> Result<Self, Broken> {
        let stream = TokioIo::new(connect(edge).await?);
        let (sender, connection) = http2::handshake(Beside, stream).await.map_err(Broken::of)?;
        let driver = tokio::task::spawn_local(async move {
            // Its end is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Whether another request may be sent: the server has not said goodbye, nor gone.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and waits for its whole answer.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, Unanswered> {
        let mut sender = self.sender.clone();
        let answered = async {
            let sent = sender.try_send_request(with_authority(ask.request())).await;
            let response = sent.map_err(|mut error| {
                let never_left = error.take_message().is_some();
                let error = error.into_error();
                let is_unprocessed = never_left || is_unprocessed(&error);
                Unanswered { broken: Broken::of(error), is_unprocessed }
            })?;
            Answer::read(response).await.map_err(|broken| Unanswered { broken, is_unprocessed: false })
        };
        let late = |late| Unanswered { broken: Broken::of(late), is_unprocessed: false };
        timeout(ANSWER_LIMIT, answered).await.map_err(late)?
    }
}

impl Drop for Multiplexed {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The library gives this error of `GOAWAY` to streams behind the last one that the server names, and to no others.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let Some(error) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) else {
        return false;
    };
    let reason = error.reason();
    error.is_remote()
        && (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
            || error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
}
