//! Do any bytes make a decoder of tunnel streams panic, or give something else when they arrive in other pieces?
#![no_main]

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use graticule_node_core::framing::{
    AdminAnswerDecoder, AdminCallDecoder, ExceptionsDecoder, FramingError, Probe, RequestDecoder, RequestFrame,
    ResponseDecoder, ResponseFrame, decode_gossip, encode_exceptions,
};
use libfuzzer_sys::fuzz_target;

// One byte says which decoder, one how large the pieces are; the rest is what arrives.
fuzz_target!(|input: &[u8]| {
    let [which, piece, stream @ ..] = input else { return };
    let stream = Bytes::copy_from_slice(stream);
    let piece = usize::from(*piece).max(1);
    match which % 8 {
        0 => requests(&stream, piece),
        1 => responses(&stream, piece, false),
        2 => responses(&stream, piece, true),
        3 => probe(stream),
        4 => exceptions(&stream, piece),
        5 => same(&stream, piece, drain!(AdminCallDecoder::new())),
        6 => same(&stream, piece, drain!(AdminAnswerDecoder::new())),
        _ => drop(decode_gossip(stream)),
    }
});

/// A function from pieces to every frame that comes out and how it ended.
macro_rules! drain {
    ($decoder:expr) => {
        |pieces: &mut dyn Iterator<Item = Bytes>| {
            let mut decoder = $decoder;
            let mut frames = Vec::new();
            for piece in pieces {
                decoder.push(piece);
                loop {
                    match decoder.next() {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => break,
                        Err(error) => return (frames, Err(error)),
                    }
                }
            }
            let end = decoder.finish();
            assert!(end.is_err() || decoder.is_complete());
            (frames, end)
        }
    };
}
use drain;

type Drained<F> = (Vec<F>, Result<(), FramingError>);

/// Whole and in pieces the same comes out. What came out of the whole is given back.
fn same_joined<F: Debug + PartialEq>(
    stream: &Bytes,
    piece: usize,
    drain: impl Fn(&mut dyn Iterator<Item = Bytes>) -> Drained<F>,
    join: impl Fn(Vec<F>) -> Vec<F>,
) -> Vec<F> {
    let (whole, end) = drain(&mut std::iter::once(stream.clone()));
    let whole = join(whole);
    let mut rest = stream.clone();
    let mut pieces = std::iter::from_fn(|| (!rest.is_empty()).then(|| rest.split_to(piece.min(rest.len()))));
    let (cut, cut_end) = drain(&mut pieces);
    assert_eq!((&join(cut), cut_end), (&whole, end));
    whole
}

fn same<F: Debug + PartialEq>(
    stream: &Bytes,
    piece: usize,
    drain: impl Fn(&mut dyn Iterator<Item = Bytes>) -> Drained<F>,
) {
    same_joined(stream, piece, drain, |frames| frames);
}

fn requests(stream: &Bytes, piece: usize) {
    let frames = same_joined(stream, piece, drain!(RequestDecoder::new()), |frames| {
        join(
            frames,
            |frame| match frame {
                RequestFrame::Data(data) => Some(data.clone()),
                _ => None,
            },
            RequestFrame::Data,
        )
    });
    if let Some(RequestFrame::Head(head)) = frames.first() {
        let mut out = BytesMut::new();
        assert_eq!(head.as_ref().encode(&mut out), Ok(()));
        let mut again = RequestDecoder::new();
        again.push(out.freeze());
        assert_eq!(again.next().ok().flatten().as_ref(), frames.first());
    }
}

fn responses(stream: &Bytes, piece: usize, upgrade: bool) {
    let frames = same_joined(stream, piece, drain!(ResponseDecoder::new(upgrade)), |frames| {
        join(
            frames,
            |frame| match frame {
                ResponseFrame::Data(data) => Some(data.clone()),
                _ => None,
            },
            ResponseFrame::Data,
        )
    });
    for frame in &frames {
        if let ResponseFrame::Head(head) = frame {
            assert_eq!(head.as_ref().encode(&mut BytesMut::new()), Ok(()));
        }
    }
}

/// A datagram is a probe in one form only.
fn probe(datagram: Bytes) {
    if let Ok(probe) = Probe::decode(datagram.clone()) {
        assert_eq!(probe.encode(), Ok(datagram));
    }
}

fn exceptions(stream: &Bytes, piece: usize) {
    for list in same_joined(stream, piece, drain!(ExceptionsDecoder::new()), |frames| frames) {
        assert_eq!(encode_exceptions(&list, &mut BytesMut::new()), Ok(()));
    }
}

/// Pieces of data next to each other as one.
fn join<F>(frames: Vec<F>, split: impl Fn(&F) -> Option<Bytes>, data: impl Fn(Bytes) -> F) -> Vec<F> {
    let mut joined = Vec::new();
    let mut pending = Vec::new();
    for frame in frames {
        match split(&frame) {
            Some(piece) => pending.extend_from_slice(&piece),
            None => {
                flush(&mut pending, &mut joined, &data);
                joined.push(frame);
            }
        }
    }
    flush(&mut pending, &mut joined, &data);
    joined
}

fn flush<F>(pending: &mut Vec<u8>, joined: &mut Vec<F>, data: &impl Fn(Bytes) -> F) {
    if !pending.is_empty() {
        joined.push(data(std::mem::take(pending).into()));
    }
}
