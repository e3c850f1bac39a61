//! Writes the seeds that are made of frames; to be run again when the wire changes:
//! `cargo run --example seeds` in this directory.

use std::io;
use std::path::Path;

use bytes::BytesMut;
use graticule_node_core::Reason;
use graticule_node_core::decide::ClientCountry;
use graticule_node_core::framing::{
    AdminAnswer, AdminCall, BodyLength, Probe, RequestHead, ResponseHead, encode_accepted, encode_data,
    encode_end, encode_exceptions, encode_informational, encode_refused, encode_trailers,
};
use graticule_node_core::mesh::{Exceptions, ExceptionsDigest, Report};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    request("request-get", BodyLength::None, false, |_| Ok(()))?;
    request("request-known", BodyLength::Known(5), false, |out| {
        encode_data(b"hello", out);
        Ok(())
    })?;
    request("request-trailers", BodyLength::Unknown, false, |out| {
        encode_data(b"hello", out);
        Ok(encode_trailers(&headers(&[("x-sum", "1")]), out)?)
    })?;
    request("request-upgrade", BodyLength::None, true, |out| {
        encode_data(b"\x81\x00", out);
        encode_end(out);
        Ok(())
    })?;
    write("response-refused", 1, |out| {
        encode_refused(Reason::PolicySkew, out);
        Ok(())
    })?;
    write("response-ok", 1, |out| {
        encode_accepted(out);
        encode_informational(StatusCode::EARLY_HINTS, &headers(&[("link", "</a.css>")]), out)?;
        let headers = headers(&[("content-type", "text/plain"), ("content-length", "5")]);
        ResponseHead { status: StatusCode::OK, headers, body: BodyLength::Known(5) }.as_ref().encode(out)?;
        encode_data(b"hello", out);
        Ok(())
    })?;
    write("response-upgrade", 2, |out| {
        encode_accepted(out);
        let headers = headers(&[("upgrade", "websocket")]);
        let status = StatusCode::SWITCHING_PROTOCOLS;
        ResponseHead { status, headers, body: BodyLength::None }.as_ref().encode(out)?;
        encode_data(b"\x81\x00", out);
        encode_end(out);
        Ok(())
    })?;
    write("probe", 3, |out| {
        let exceptions = ExceptionsDigest(9);
        let report =
            Report { load: 0.5, draining: false, fleet_version: 3, policy_digest: [7; 32], exceptions };
        let probe = Probe { seq: 7, heard: 6, at_once: true, wanted: false, deaf: false, report };
        out.extend_from_slice(&probe.encode()?);
        Ok(())
    })?;
    write("exceptions", 4, |out| {
        let exceptions = Exceptions { tenants: vec!["acme".parse()?, "beta".parse()?], many: true };
        Ok(encode_exceptions(&exceptions, out)?)
    })?;
    write("admin-call", 5, |out| Ok(AdminCall { path: "/v1/nodes?x=1".into() }.encode(out)?))?;
    write("admin-answer", 6, |out| Ok(AdminAnswer { status: 200, body: "{}".into() }.encode(out)?))?;
    Ok(())
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn request(
    name: &str,
    body: BodyLength,
    upgrade: bool,
    rest: impl FnOnce(&mut BytesMut) -> Outcome,
) -> Outcome {
    let more: &[(&'static str, &'static str)] = match body {
        _ if upgrade => &[("upgrade", "websocket")],
        BodyLength::Known(_) => &[("content-length", "5"), ("content-type", "text/plain")],
        _ => &[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("via", "1.1 a"), ("x-empty", "")],
    };
    let head = RequestHead {
        tenant: "acme".parse()?,
        tenant_version: 4,
        fleet_version: 9,
        client: ClientCountry::Known("DE".parse()?),
        method: Method::POST,
        authority: "shop.example:8443".parse()?,
        target: "/a?b=c".parse()?,
        headers: headers(&[&[("accept", "*/*"), ("x-own", "1")], more].concat()),
        body,
        upgrade,
    };
    write(name, 0, |out| {
        head.as_ref().encode(out)?;
        rest(out)
    })
}

/// One seed: which decoder, pieces of seven bytes, and the stream.
fn write(name: &str, decoder: u8, stream: impl FnOnce(&mut BytesMut) -> Outcome) -> Outcome {
    let mut out = BytesMut::from(&[decoder, 7][..]);
    stream(&mut out)?;
    Ok(store(name, &out)?)
}

fn store(name: &str, seed: &[u8]) -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/framing");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join(name), seed)
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}
