//! Frames over a real stream: whole, broken off and given up.

use graticule_node_core::framing::{ResponseDecoder, ResponseFrame};
use http::StatusCode;

use super::*;
use crate::testing::{Pair, eventually, fields, pair, run};

/// A writer at the node, and a reader of its answer at the edge.
async fn stream(pair: &Pair) -> (FrameWriter, FrameReader<framing::ResponseProtocol>, RecvStream) {
    let (mut sender, receiver) = pair.edge.connection.open_bi().await.unwrap();
    sender.write_all(b"x").await.unwrap();
    let (back, incoming) = pair.node.connection.accept_bi().await.unwrap();
    let reader = FrameReader::new(receiver, ResponseDecoder::new(false));
    (FrameWriter::new(pair.node.connection.clone(), back, BytesMut::new()), reader, incoming)
}

fn head(body: BodyLength) -> (StatusCode, HeaderMap, BodyLength) {
    (StatusCode::OK, HeaderMap::new(), body)
}

fn begin(writer: &mut FrameWriter, body: BodyLength) {
    let (status, headers, body) = head(body);
    writer.head(ResponseHeadRef { status, headers: &headers, body }).unwrap();
}

/// Every frame to the end, and whether that was in order.
async fn read(
    mut reader: FrameReader<framing::ResponseProtocol>,
) -> (Vec<ResponseFrame>, Result<(), ReadError>) {
    let mut frames = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

fn bytes(frames: &[ResponseFrame]) -> usize {
    let data = |frame: &ResponseFrame| if let ResponseFrame::Data(chunk) = frame { chunk.len() } else { 0 };
    frames.iter().map(data).sum()
}

#[test]
fn an_answer_is_whole_when_it_is_finished() {
    run(async {
        let pair = pair().await;
        for (body, size) in [
            (BodyLength::None, 0),
            (BodyLength::Known(3), 3),
            (BodyLength::Unknown, 3),
            (BodyLength::Known(100_000), 100_000),
            (BodyLength::Unknown, 1_000_000),
        ] {
            let (mut writer, reader, _incoming) = stream(&pair).await;
            let writing = async {
                writer.accepted().await.unwrap();
                begin(&mut writer, body);
                writer.data(Bytes::from(vec![1; size])).await.unwrap();
                writer.finish().await.unwrap();
            };
            let ((frames, end), ()) = tokio::join!(read(reader), writing);
            assert!(end.is_ok(), "{end:?}");
            assert_eq!(frames[0], ResponseFrame::Accepted);
            assert_eq!(bytes(&frames), size);
        }
    });
}

#[test]
fn a_writer_that_is_dropped_half_way_never_looks_complete() {
    run(async {
        let pair = pair().await;
        for body in [BodyLength::Known(3), BodyLength::Known(6), BodyLength::Unknown] {
            let (mut writer, reader, _incoming) = stream(&pair).await;
            writer.accepted().await.unwrap();
            begin(&mut writer, body);
            writer.data(Bytes::from_static(b"abc")).await.unwrap();
            drop(writer);
            let (_, end) = read(reader).await;
            let error = end.expect_err("it is no end");
            assert!(matches!(error, ReadError::Stream(quinn::ReadError::Reset(_))), "{body:?}: {error:?}");
            assert!(error.is_after_accepted());
        }
        let (writer, reader, _incoming) = stream(&pair).await;
        drop(writer);
        assert!(!read(reader).await.1.unwrap_err().is_after_accepted());
    });
}

#[test]
fn an_answer_shorter_or_longer_than_it_said_is_an_error() {
    run(async {
        let pair = pair().await;
        for length in [2, 4] {
            let (mut writer, reader, _incoming) = stream(&pair).await;
            writer.accepted().await.unwrap();
            begin(&mut writer, BodyLength::Known(length));
            writer.data(Bytes::from_static(b"abc")).await.unwrap();
            writer.finish().await.unwrap();
            let (_, end) = read(reader).await;
            assert!(matches!(end, Err(ReadError::Frame(_))), "{length}: {end:?}");
        }
    });
}

#[test]
fn resets_say_why() {
    run(async {
        let pair = pair().await;
        for (reset, expected) in [
            (Reset::Cancelled, framing::reset::CANCELLED),
            (Reset::UpstreamFailed, framing::reset::UPSTREAM_FAILED),
        ] {
            let (writer, reader, _incoming) = stream(&pair).await;
            writer.reset(reset);
            let (_, end) = read(reader).await;
            let Err(ReadError::Stream(quinn::ReadError::Reset(code))) = end else { panic!("{end:?}") };
            assert_eq!(code, VarInt::from_u32(expected));
        }
    });
}

#[test]
fn trailers_end_a_body_and_unfit_ones_are_left_out() {
    run(async {
        let pair = pair().await;
        for (trailers, crosses) in
            [(fields(&[("x-t", "1")]), true), (fields(&[("content-length", "1")]), false)]
        {
            let (mut writer, reader, _incoming) = stream(&pair).await;
            writer.accepted().await.unwrap();
            begin(&mut writer, BodyLength::Unknown);
            writer.data(Bytes::from_static(b"abc")).await.unwrap();
            writer.trailers(&trailers);
            writer.finish().await.unwrap();
            let (frames, end) = read(reader).await;
            assert!(end.is_ok(), "{end:?}");
            assert_eq!(frames.contains(&ResponseFrame::Trailers(trailers)), crosses);
        }
    });
}

#[test]
fn a_writer_learns_that_its_reader_has_gone() {
    run(async {
        let pair = pair().await;
        let (writer, reader, _incoming) = stream(&pair).await;
        let stopped = writer.stopped();
        drop(reader);
        stopped.await;
        let (writer, _reader, _incoming) = stream(&pair).await;
        let stopped = writer.stopped();
        pair.edge.connection.close(VarInt::from_u32(0), b"");
        stopped.await;
        drop(writer);
    });
}

#[test]
fn a_preface_names_the_kind() {
    run(async {
        let pair = pair().await;
        for (opening, expected) in [
            (&StreamKind::Gossip.preface()[..], Some(StreamKind::Gossip)),
            (b"\xff\xff\xff", None),
            (b"", None),
        ] {
            let mut sender = pair.edge.connection.open_uni().await.unwrap();
            sender.write_all(opening).await.unwrap();
            sender.finish().unwrap();
            let mut receiver = pair.node.connection.accept_uni().await.unwrap();
            assert_eq!(kind(&mut receiver).await.ok(), expected);
        }
    });
}

#[test]
fn a_stream_tells_its_kind_and_its_first_frame_in_pieces_of_any_size() {
    run(async {
        let pair = pair().await;
        let mut whole = BytesMut::from(&StreamKind::Request.preface()[..]);
        framing::encode_accepted(&mut whole);
        for cut in 0..=whole.len() {
            let mut sender = pair.edge.connection.open_uni().await.unwrap();
            let (first, second) = whole.split_at(cut);
            let writing = async {
                sender.write_all(first).await.unwrap();
                // Long enough for the first piece to be read alone.
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                sender.write_all(second).await.unwrap();
                sender.finish().unwrap();
            };
            let reading = async {
                let receiver = pair.node.connection.accept_uni().await.unwrap();
                let (kind, mut reader) =
                    FrameReader::begin(receiver, ResponseDecoder::new(false)).await.unwrap();
                (kind, reader.next().await.unwrap())
            };
            let ((kind, frame), ()) = tokio::join!(reading, writing);
            assert_eq!((kind, frame), (StreamKind::Request, Some(ResponseFrame::Accepted)), "cut at {cut}");
        }
        for wrong in [&b""[..], b"\x01", b"\xff\x01"] {
            let mut sender = pair.edge.connection.open_uni().await.unwrap();
            sender.write_all(wrong).await.unwrap();
            sender.finish().unwrap();
            let receiver = pair.node.connection.accept_uni().await.unwrap();
            assert!(FrameReader::begin(receiver, ResponseDecoder::new(false)).await.is_err(), "{wrong:?}");
        }
    });
}

#[test]
fn only_a_reader_that_leaves_before_the_end_tells_the_writer_to_stop() {
    run(async {
        let pair = pair().await;
        let stops = || pair.node.connection.stats().frame_rx.stop_sending;
        for body in [BodyLength::None, BodyLength::Known(3)] {
            let (mut writer, mut reader, _incoming) = stream(&pair).await;
            writer.accepted().await.unwrap();
            begin(&mut writer, body);
            writer.data(Bytes::from(vec![1; usize::from(body != BodyLength::None) * 3])).await.unwrap();
            writer.finish().await.unwrap();
            while !reader.decoder.is_complete() {
                reader.next().await.unwrap();
            }
        }
        let (mut writer, reader, _incoming) = stream(&pair).await;
        writer.accepted().await.unwrap();
        drop(reader);
        // The stream that was left last is heard of last.
        eventually("the writer is told to stop", || stops() > 0).await;
        assert_eq!(stops(), 1);
    });
}

/// Polls once, so that nothing else runs meanwhile and nothing is acknowledged.
fn at_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn what_is_urgent_finds_room_where_long_bodies_wait_for_it() {
    run(async {
        let pair = pair().await;
        let mut streams = Vec::new();
        for _ in 0..40 {
            streams.push(stream(&pair).await);
        }
        let mut urgent = streams.split_off(20);
        let long = Bytes::from(vec![1; 512 * 1024]);
        let blocked = |(writer, ..): &mut (FrameWriter, _, _)| {
            begin(writer, BodyLength::Unknown);
            at_once(writer.data(long.clone())).is_pending()
        };
        assert!(streams.iter_mut().all(blocked));
        for (writer, ..) in &mut streams {
            assert!(at_once(writer.data(long.clone())).is_pending(), "there is no room left");
        }
        for (writer, ..) in &mut urgent {
            assert!(matches!(at_once(writer.accepted()), Poll::Ready(Ok(()))));
            begin(writer, BodyLength::Known(1_000));
            assert!(matches!(at_once(writer.data(Bytes::from(vec![1; 1_000]))), Poll::Ready(Ok(()))));
        }
    });
}

#[test]
fn long_bodies_go_after_what_is_short() {
    run(async {
        let pair = pair().await;
        for (size, priority) in [(10, 0), (URGENT_BYTES_MAX - 1, 0), (URGENT_BYTES_MAX, BULK)] {
            let (mut writer, ..) = stream(&pair).await;
            begin(&mut writer, BodyLength::Unknown);
            writer.data(Bytes::from(vec![1; size])).await.unwrap();
            assert_eq!(writer.stream.priority().unwrap(), priority, "{size}");
        }
    });
}
