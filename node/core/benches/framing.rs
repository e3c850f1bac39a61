//! What framing costs: heads with ten headers, small responses, bulk data.

use bytes::{Bytes, BytesMut};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use graticule_node_core::decide::ClientCountry;
use graticule_node_core::framing::{
    BodyLength, RequestDecoder, RequestHead, ResponseDecoder, ResponseHead, encode_accepted, encode_data,
};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

fn main() {
    divan::main();
}

#[divan::bench]
fn request_head_encode(bencher: Bencher) {
    let head = request();
    let mut out = BytesMut::with_capacity(4_096);
    bencher.bench_local(|| {
        out.clear();
        black_box(&head).as_ref().encode(&mut out)
    });
}

#[divan::bench]
fn request_head_decode(bencher: Bencher) {
    let mut out = BytesMut::new();
    let encoded = request().as_ref().encode(&mut out);
    assert!(encoded.is_ok());
    let wire = out.freeze();
    bencher.bench_local(|| {
        let mut decoder = RequestDecoder::new();
        decoder.push(black_box(&wire).clone());
        decoder.next()
    });
}

#[divan::bench]
fn response_encode(bencher: Bencher) {
    let head = response();
    let mut out = BytesMut::with_capacity(4_096);
    bencher.bench_local(|| {
        out.clear();
        encode_accepted(&mut out);
        let encoded = black_box(&head).as_ref().encode(&mut out);
        encode_data(&[b'x'; 128], &mut out);
        encoded
    });
}

#[divan::bench]
fn response_decode(bencher: Bencher) {
    let mut out = BytesMut::new();
    encode_accepted(&mut out);
    let encoded = response().as_ref().encode(&mut out);
    assert!(encoded.is_ok());
    encode_data(&[b'x'; 128], &mut out);
    let wire = out.freeze();
    bencher.bench_local(|| {
        let mut decoder = ResponseDecoder::new(false);
        decoder.push(black_box(&wire).clone());
        let frames = std::iter::from_fn(|| decoder.next().ok().flatten()).count();
        (frames, decoder.is_complete())
    });
}

/// 64 KiB in one frame, arriving in pieces of a datagram.
#[divan::bench]
fn data_decode_64_kib(bencher: Bencher) {
    let head = ResponseHead { body: BodyLength::Unknown, ..response() };
    let mut out = BytesMut::new();
    encode_accepted(&mut out);
    let encoded = ResponseHead { headers: HeaderMap::new(), ..head }.as_ref().encode(&mut out);
    assert!(encoded.is_ok());
    encode_data(&vec![b'x'; 65_536], &mut out);
    let wire = out.freeze();
    bencher.counter(BytesCount::new(65_536_usize)).bench_local(|| {
        let mut decoder = ResponseDecoder::new(false);
        let mut rest: Bytes = black_box(&wire).clone();
        let mut bytes = 0;
        while !rest.is_empty() {
            decoder.push(rest.split_to(rest.len().min(1_400)));
            while let Ok(Some(frame)) = decoder.next() {
                bytes += size_of_val(&black_box(frame));
            }
        }
        bytes
    });
}

fn request() -> RequestHead {
    RequestHead {
        tenant: "acme".parse().unwrap_or_else(|error| unreachable!("{error}")),
        tenant_version: 4,
        fleet_version: 9,
        client: ClientCountry::NotAsked,
        method: Method::GET,
        authority: Authority::from_static("shop.example"),
        target: PathAndQuery::from_static("/articles/4711?colour=blue"),
        headers: headers(&[
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", "de,en-US;q=0.7,en;q=0.3"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("cookie", "session=0123456789abcdef0123456789abcdef"),
            ("cache-control", "no-cache"),
            ("x-forwarded-for", "203.0.113.7"),
            ("via", "1.1 eu-central-1"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
        ]),
        body: BodyLength::None,
        upgrade: false,
    }
}

fn response() -> ResponseHead {
    ResponseHead {
        status: StatusCode::OK,
        headers: headers(&[
            ("content-type", "text/plain"),
            ("content-length", "128"),
            ("date", "Mon, 23 Nov 2026 12:00:00 GMT"),
        ]),
        body: BodyLength::Known(128),
    }
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let line = |&(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    lines.iter().map(line).collect()
}
