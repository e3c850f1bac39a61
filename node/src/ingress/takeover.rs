//! A client's connection after its upgrade: bytes both ways, until one side has had enough.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

use crate::body::{Pieces, ResponseBody, UpgradeInput};

/// What an upgraded connection is joined to.
#[derive(Debug)]
pub(super) struct Takeover {
    /// What is sent to the client.
    body: ResponseBody,
    /// Where what the client sends goes.
    input: UpgradeInput,
}

impl Takeover {
    /// Takes over what an answer with status 101 leads to; `None` if nobody has asked for it.
    pub(super) fn of(mut body: ResponseBody) -> Option<Self> {
        let input = body.take_input()?;
        Some(Self { body, input })
    }

    /// Carries bytes between the client's `stream`, of which `opening` has been read already, and the other side.
    ///
    /// The end of what the client sends is passed on, and the answer goes on; the end of the answer ends the connection.
    /// So does rest for `rest_max`.
    pub(super) async fn carry<T>(self, stream: T, opening: Bytes, rest_max: Duration)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let (reader, writer) = tokio::io::split(stream);
        let moved = Cell::new(true);
        let carrying = async {
            let mut receiving = std::pin::pin!(receive(reader, opening, self.input, &moved));
            let mut sending = std::pin::pin!(send(self.body, writer, &moved));
            tokio::select! {
                biased;
                // A connection that is closed with bytes unread is reset, which can overtake what was sent last.
                () = &mut sending => drop(timeout(LINGER, receiving).await),
                ended = &mut receiving => if ended.is_ok() { sending.await },
            }
        };
        tokio::select! {
            biased;
            () = carrying => {}
            () = rest(&moved, rest_max) => tracing::debug!("an upgraded connection was at rest for too long"),
        }
    }
}

/// Passes on what the client sends, to its end; what nobody wants any more is dropped. An error is a client that is gone.
async fn receive<T: AsyncRead>(
    mut reader: ReadHalf<T>,
    opening: Bytes,
    input: UpgradeInput,
    moved: &Cell<bool>,
) -> std::io::Result<()> {
    let mut is_wanted = input.pass_on(opening).await;
    let mut pieces = Pieces::default();
    while reader.read_buf(pieces.room()).await? > 0 {
        moved.set(true);
        let piece = pieces.take();
        is_wanted = is_wanted && input.pass_on(piece).await;
    }
    input.finish().await;
    Ok(())
}

/// Sends the client what comes from the other side. A body that breaks off leaves the client without an orderly end.
async fn send<T: AsyncWrite>(mut body: ResponseBody, mut writer: WriteHalf<T>, moved: &Cell<bool>) {
    let sending = async {
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(std::io::Error::other)?.into_data() else { continue };
            writer.write_all(&piece).await?;
            writer.flush().await?;
            moved.set(true);
        }
        writer.shutdown().await
    };
    if let Err(error) = sending.await {
        tracing::debug!(%error, "an upgraded connection broke off");
    }
}

/// Ends when nothing has moved for `rest_max`, or up to as long again later.
async fn rest(moved: &Cell<bool>, rest_max: Duration) {
    while moved.replace(false) {
        tokio::time::sleep(rest_max).await;
    }
}

/// How long a client may take to close after its last bytes.
const LINGER: Duration = Duration::from_secs(1);
