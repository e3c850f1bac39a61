//! What a client sends through an upgraded connection, on its way to whoever answers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::BodyError;

/// The client's end: whoever has taken its connection over puts in here what the client sends.
#[derive(Debug)]
pub struct UpgradeInput(mpsc::Sender<Bytes>);

/// The other end, as a body that begins when the connection has been taken over. An input that is dropped before it is
/// finished breaks it off.
#[derive(Debug)]
pub struct UpgradeBody {
    pieces: mpsc::Receiver<Bytes>,
    ended: bool,
}

/// The client went away without an end.
#[derive(Debug)]
struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client's upgraded connection broke off")
    }
}

impl std::error::Error for BrokenOff {}

/// Both ends.
pub fn upgrade() -> (UpgradeInput, UpgradeBody) {
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    (UpgradeInput(sender), UpgradeBody { pieces, ended: false })
}

impl UpgradeInput {
    /// Passes on what the client has sent, when there is room. Whether somebody still wants it.
    pub async fn pass_on(&self, piece: Bytes) -> bool {
        piece.is_empty() || self.0.send(piece).await.is_ok()
    }

    /// The client sends nothing more.
    pub async fn finish(self) {
        // Nothing is what says so: a sender that is gone says that the client is. Nobody may want to know.
        let _ = self.0.send(Bytes::new()).await;
    }
}

impl Body for UpgradeBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(cx));
        self.ended = piece.as_ref().is_none_or(Bytes::is_empty);
        Poll::Ready(match piece {
            Some(piece) if piece.is_empty() => None,
            Some(piece) => Some(Ok(Frame::data(piece))),
            None => Some(Err(BrokenOff.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

/// Pieces that wait for whoever takes them; each is at most what was read at once.
const PIECES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::testing::run;

    #[test]
    fn an_end_is_said_and_a_sender_that_is_gone_is_none() {
        run(async {
            let (input, mut body) = upgrade();
            assert!(input.pass_on(Bytes::from_static(b"a")).await);
            input.finish().await;
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
            assert!(!body.is_end_stream());
            assert!(body.frame().await.is_none());
            assert!(body.is_end_stream());

            let (input, mut body) = upgrade();
            drop(input);
            assert!(body.frame().await.unwrap().is_err());
            assert!(body.frame().await.is_none());
        });
    }

    #[test]
    fn no_more_is_taken_of_a_client_than_somebody_wants() {
        run(async {
            let (input, body) = upgrade();
            for _ in 0..PIECES_MAX {
                assert!(input.pass_on(Bytes::from_static(b"a")).await);
            }
            let soon = std::time::Duration::from_millis(1);
            assert!(tokio::time::timeout(soon, input.pass_on(Bytes::from_static(b"a"))).await.is_err());
            drop(body);
            assert!(!input.pass_on(Bytes::from_static(b"a")).await);
        });
    }
}
