//! A client's bytes: which version of HTTP they begin with, and who reads along.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use graticule_node_core::frame_meter::{FrameLimits, FrameMeter, PREFACE};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::early::EarlyWriter;
use super::parting::Parting;
use super::watching::Watch;
use crate::world::{Stream, Taking};

/// A version of HTTP, as far as its bytes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2, known beforehand by the client.
    Http2,
    /// None: whoever speaks something else could not read an answer.
    Neither,
}

/// What has been read of a stream to tell its version.
#[derive(Debug, Default)]
pub(super) struct Opening {
    bytes: [u8; PREFACE.len()],
    /// Those that have not been read again.
    from: usize,
    to: usize,
}

/// Reads until the version can be told. No deadline: the caller has one.
pub(super) async fn sniff(stream: &mut Stream) -> io::Result<(Version, Opening)> {
    let mut opening = Opening::default();
    loop {
        let read = stream.read(&mut opening.bytes[opening.to..]).await?;
        opening.to += read;
        let seen = &opening.bytes[..opening.to];
        if read == 0 || !PREFACE.starts_with(seen) {
            let version = if is_foreign(seen) { Version::Neither } else { Version::Http1 };
            return Ok((version, opening));
        }
        if seen.len() == PREFACE.len() {
            return Ok((Version::Http2, opening));
        }
    }
}

/// Whether bytes cannot be the beginning of an HTTP/1 request: no method first, or nothing after it that could be a target
/// or is followed by a version.
fn is_foreign(opening: &[u8]) -> bool {
    // Empty lines before a request are allowed.
    let from = opening.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(opening.len());
    let mut words = opening[from..].split(|byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    let is_control = |byte: &u8| !byte.is_ascii() || (byte.is_ascii_control() && !b"\r\n".contains(byte));
    let target = words.next().filter(|target| !target.is_empty());
    // It may be cut off, at any of its letters.
    let foreign_version =
        words.next().is_some_and(|version| !version.iter().zip(HTTP_1).all(|(a, b)| a == b));
    let is_target = |target: &[u8]| target.iter().any(|byte| b"/*:".contains(byte));
    method.iter().any(is_control) || target.is_some_and(|target| foreign_version && !is_target(target))
}

const HTTP_1: &[u8] = b"HTTP/1.";

/// A client's connection from its first byte. Tells the connection's watch what moves.
#[derive(Debug)]
pub(super) struct ClientStream {
    opening: Opening,
    stream: Taking,
    watch: Rc<Watch>,
    meter: Option<FrameMeter>,
    parting: Parting,
}

impl ClientStream {
    /// A stream of which `opening` has been read. With `frames`, those of HTTP/2 are counted.
    pub(super) fn new(
        (opening, stream): (Opening, Taking),
        watch: Rc<Watch>,
        frames: Option<FrameLimits>,
    ) -> Self {
        Self { opening, stream, watch, meter: frames.map(FrameMeter::new), parting: Parting::default() }
    }

    fn poll_early(
        &mut self,
        cx: &mut Context<'_>,
        poll: fn(&EarlyWriter, Pin<&mut Taking>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        poll(self.watch.early(), Pin::new(&mut self.stream), cx)
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Opening { bytes, from, to } = &mut self.opening;
        if from == to {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let again = (*to - *from).min(buffer.remaining());
        buffer.put_slice(&bytes[*from..*from + again]);
        *from += again;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.poll_bytes(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let Self { watch, meter, .. } = &mut *self;
        watch.has_read();
        if let Some(meter) = meter {
            let metered = meter.read(read, watch.second());
            metered.inspect_err(|flood| watch.cut_off(*flood)).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_early(cx, EarlyWriter::poll_rest))?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.watch.has_written();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_early(cx, EarlyWriter::poll_rest))?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, pieces));
        self.watch.has_written();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_early(cx, EarlyWriter::poll_all))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// After a farewell of HTTP/2, lets the client read it: new streams may have crossed it, and the library gives the
    /// connection back to nobody who could read them.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, watch, parting, .. } = &mut *self;
        if !parting.has_begun() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        if watch.has_said_farewell() { parting.poll(stream, cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::testing::run;

    /// The version of a stream that begins with these pieces, and whether anything was lost.
    async fn told(pieces: &[&[u8]]) -> (Version, Vec<u8>) {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server: Stream = Box::new(server);
        let sending = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let (told, ()) = tokio::join!(sniff(&mut server), sending);
        let (version, opening) = told.unwrap();
        let mut all = opening.bytes[..opening.to].to_vec();
        server.read_to_end(&mut all).await.unwrap();
        (version, all)
    }

    #[test]
    fn the_preface_tells_http_2_however_it_is_cut() {
        run(async {
            for at in 1..PREFACE.len() {
                let (first, second) = PREFACE.split_at(at);
                assert_eq!(
                    told(&[first, second, b"x"]).await,
                    (Version::Http2, [PREFACE, &b"x"[..]].concat())
                );
            }
        });
    }

    #[test]
    fn everything_else_is_http_1_and_is_read_from_its_first_byte() {
        run(async {
            let almost = [&PREFACE[..23], b"x"].concat();
            for bytes in [
                &b""[..],
                b"G",
                b"P",
                b"PR",
                b"POST / HTTP/1.1\r\n\r\n and a long body",
                b"PRI * HTTP/1",
                b"OPTIONS * HTTP/1.1\r\n",
                b"\r\n\r\nGET http://a/ HTTP/1.1",
                b"CONNECT a.example:443 HTTP/1.1",
                b"GET  / HTTP/1.1",
                b"GET a.example HTTP/1.1",
                b"GET a-long-name.example HTTP/1.1",
                b"GET /",
                &almost,
            ] {
                let told = told(&[bytes]).await;
                assert_eq!(told, (Version::Http1, bytes.to_vec()), "{}", bytes.escape_ascii());
            }
        });
    }

    #[test]
    fn who_speaks_no_http_is_not_answered_in_it() {
        run(async {
            for bytes in [
                &b"\x16\x03\x01\x02\0\x01\0"[..],
                b"INVALID CONNECTION PREFACE",
                b"\0",
                b"\xff\xff",
                b"USER a b",
            ] {
                assert_eq!(told(&[bytes]).await.0, Version::Neither, "{}", bytes.escape_ascii());
            }
        });
    }
}
