//! What holds of any frames, however they are cut, and of any bytes.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::mesh::{Exceptions, ExceptionsDigest, Report};
use crate::policy::TenantId;

/// Pieces of data next to each other as one.
fn joined_requests(frames: Vec<RequestFrame>) -> Vec<RequestFrame> {
    let mut joined: Vec<RequestFrame> = Vec::new();
    for frame in frames {
        match (joined.last_mut(), frame) {
            (Some(RequestFrame::Data(before)), RequestFrame::Data(piece)) => {
                *before = [&before[..], &piece[..]].concat().into();
            }
            (_, frame) => joined.push(frame),
        }
    }
    joined
}

fn joined_responses(frames: Vec<ResponseFrame>) -> Vec<ResponseFrame> {
    let mut joined: Vec<ResponseFrame> = Vec::new();
    for frame in frames {
        match (joined.last_mut(), frame) {
            (Some(ResponseFrame::Data(before)), ResponseFrame::Data(piece)) => {
                *before = [&before[..], &piece[..]].concat().into();
            }
            (_, frame) => joined.push(frame),
        }
    }
    joined
}

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![
        "x-[a-z0-9-]{1,20}".prop_map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap()),
        Just(http::header::COOKIE),
        Just(http::header::ACCEPT),
        Just(http::header::AUTHORIZATION),
    ];
    let value =
        prop::collection::vec(prop_oneof![Just(b'\t'), 32u8..127, 128u8..], 0..40).prop_map(|bytes| {
            let value = HeaderValue::from_bytes(&bytes);
            value.unwrap()
        });
    prop::collection::vec((name, value), 0..12).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        headers
    })
}

fn any_client() -> impl Strategy<Value = ClientCountry> {
    prop_oneof![
        Just(ClientCountry::NotAsked),
        Just(ClientCountry::Unknown),
        "[A-Z]{2}".prop_map(|code| ClientCountry::Known(code.parse().unwrap())),
    ]
}

/// A body with a length that is true of it.
fn any_body() -> impl Strategy<Value = (BodyLength, Vec<Vec<u8>>)> {
    let pieces = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..5);
    prop_oneof![
        Just((BodyLength::None, Vec::new())),
        pieces.clone().prop_map(|pieces| {
            (BodyLength::Known(pieces.iter().map(|piece| piece.len() as u64).sum()), pieces)
        }),
        pieces.prop_map(|pieces| (BodyLength::Unknown, pieces)),
    ]
}

fn any_trailers() -> impl Strategy<Value = Option<HeaderMap>> {
    let named = "[a-z]{1,5}".prop_map(|name| {
        let name = HeaderName::from_bytes(format!("x-{name}").as_bytes()).unwrap();
        HeaderMap::from_iter([(name, HeaderValue::from_static("last"))])
    });
    prop::option::of(named)
}

prop_compose! {
    fn any_head()(
        tenant in "[a-z0-9._-]{1,63}",
        versions in any::<(u64, u64)>(),
        client in any_client(),
        method in "[A-Z]{1,20}",
        authority in "[a-z0-9.-]{1,40}(:[0-9]{1,4})?",
        target in "/[a-z0-9/_.~%-]{0,40}([?][a-z0-9&=]{0,20})?",
        headers in any_headers(),
    ) -> RequestHead {
        RequestHead {
            tenant: tenant.parse().unwrap(),
            tenant_version: versions.0,
            fleet_version: versions.1,
            client,
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            authority: Authority::try_from(authority).unwrap(),
            target: PathAndQuery::try_from(target).unwrap(),
            headers,
            body: BodyLength::None,
            upgrade: false,
        }
    }
}

prop_compose! {
    fn any_report()(
        load in 0.0f32..10.0,
        draining in any::<bool>(),
        fleet_version in any::<u64>(),
        policy_digest in any::<[u8; 32]>(),
        exceptions in any::<u64>().prop_map(ExceptionsDigest),
    ) -> Report {
        Report { load, draining, fleet_version, policy_digest, exceptions }
    }
}

prop_compose! {
    fn any_exceptions()(
        tenants in prop::collection::btree_set("[a-z0-9._-]{1,63}", 0..20),
        many in any::<bool>(),
    ) -> Exceptions {
        // Ids sort as their texts do.
        let tenants = tenants.iter().map(|id| id.parse::<TenantId>().unwrap()).collect();
        Exceptions { tenants, many }
    }
}

fn probe() -> Probe {
    let report = Report {
        load: 0.5,
        draining: false,
        fleet_version: 3,
        policy_digest: [7; 32],
        exceptions: ExceptionsDigest(9),
    };
    Probe { seq: 2, heard: 1, at_once: true, wanted: false, deaf: false, report }
}

fn any_cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(Vec::new()),
        Just(vec![1]),
        prop::collection::vec(1usize..50, 1..20),
        prop::collection::vec(1usize..2_000, 1..5),
    ]
}

/// Bytes that are often frames, with legal lengths, of rubbish.
fn any_hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0u8..12, prop::collection::vec(any::<u8>(), 0..80), any::<bool>()).prop_map(
        |(kind, payload, lie)| {
            let mut frame = vec![kind];
            let length = payload.len() as u32 + if lie { 1 << 20 } else { 0 };
            frame.extend(length.to_be_bytes());
            frame.extend(payload);
            frame
        },
    );
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(frame, 0..6).prop_map(|frames| frames.concat()),
    ]
}

/// A legal exchange with one byte changed.
fn any_damaged(bytes: Bytes) -> impl Strategy<Value = Bytes> {
    (0..bytes.len(), any::<u8>()).prop_map(move |(at, byte)| {
        let mut damaged = bytes.to_vec();
        damaged[at] = byte;
        damaged.into()
    })
}

fn survives<P: Protocol>(decoder: Decoder<P>, bytes: &Bytes, cuts: &[usize])
where
    P::Frame: Debug,
{
    let whole = decode(decoder, bytes.clone(), cuts);
    drop(whole);
}

proptest! {
    #[test]
    fn requests_cross_however_they_are_cut(
        head in any_head(), body in any_body(), trailers in any_trailers(), cuts in any_cuts(),
    ) {
        let head = RequestHead { body: body.0, ..head };
        let wire = body.1.iter().fold(Wire::default().request(&head), |wire, piece| wire.data(piece));
        let wire = match &trailers { Some(trailers) => wire.trailers(trailers), None => wire.end() };
        let mut sent = vec![RequestFrame::Head(head)];
        if !body.1.is_empty() {
            sent.push(RequestFrame::Data(body.1.concat().into()));
        }
        sent.push(trailers.map_or(RequestFrame::End, RequestFrame::Trailers));
        let came = decode(RequestDecoder::new(), wire.bytes(), &cuts).map(joined_requests);
        prop_assert_eq!(came, Ok(sent));
    }

    #[test]
    fn responses_cross_however_they_are_cut(
        informational in prop::collection::vec((102u16..200, any_headers()), 0..4),
        status in 200u16..1_000, headers in any_headers(), body in any_body(), trailers in any_trailers(),
        cuts in any_cuts(),
    ) {
        let mut wire = Wire::default().accepted();
        let mut sent = vec![ResponseFrame::Accepted];
        for (status, headers) in informational {
            let status = StatusCode::from_u16(status).unwrap();
            encode_informational(status, &headers, &mut wire.0).unwrap();
            sent.push(ResponseFrame::Informational(ResponseHead { status, headers, body: BodyLength::None }));
        }
        let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers, body: body.0 };
        let wire = body.1.iter().fold(wire.response(&head), |wire, piece| wire.data(piece));
        let wire = match &trailers { Some(trailers) => wire.trailers(trailers), None => wire.end() };
        sent.push(ResponseFrame::Head(head));
        if !body.1.is_empty() {
            sent.push(ResponseFrame::Data(body.1.concat().into()));
        }
        sent.push(trailers.map_or(ResponseFrame::End, ResponseFrame::Trailers));
        let came = decode(ResponseDecoder::new(false), wire.bytes(), &cuts).map(joined_responses);
        prop_assert_eq!(came, Ok(sent));
    }

    #[test]
    fn a_request_cut_short_is_never_complete(
        head in any_head(), body in any_body(), at in any::<prop::sample::Index>(), cuts in any_cuts(),
    ) {
        let head = RequestHead { body: body.0, ..head };
        let wire = body.1.iter().fold(Wire::default().request(&head), |wire, piece| wire.data(piece));
        let whole = if body.0 == BodyLength::Unknown { wire.end() } else { wire }.bytes();
        let cut = whole.slice(..at.index(whole.len()));
        prop_assert_eq!(decode(RequestDecoder::new(), cut, &cuts), Err(FramingError::Truncated));
    }

    #[test]
    fn probes_cross(
        (seq, heard, at_once, wanted, deaf) in any::<(u64, u64, bool, bool, bool)>(), report in any_report(),
    ) {
        let probe = Probe { seq, heard, at_once, wanted, deaf, report };
        prop_assert_eq!(Probe::decode(probe.encode().unwrap()), Ok(probe));
    }

    #[test]
    fn a_datagram_is_a_probe_in_one_form_only(bytes in any_damaged(probe().encode().unwrap())) {
        if let Ok(probe) = Probe::decode(bytes.clone()) {
            prop_assert_eq!(probe.encode(), Ok(bytes));
        }
    }

    #[test]
    fn exceptions_cross_however_they_are_cut(
        lists in prop::collection::vec(any_exceptions(), 0..5), cuts in any_cuts(),
    ) {
        let mut out = BytesMut::new();
        for list in &lists {
            encode_exceptions(list, &mut out).unwrap();
        }
        prop_assert_eq!(decode(ExceptionsDecoder::new(), out.freeze(), &cuts), Ok(lists));
    }

    #[test]
    fn admin_calls_and_answers_cross_however_they_are_cut(
        path in "[^\0]{0,100}", token in prop::option::of(".{0,64}"), status in 100u16..1_000,
        body in prop::collection::vec(any::<u8>(), 0..500), cuts in any_cuts(),
    ) {
        let call = AdminCall { path, token };
        let answer = AdminAnswer { status, body: body.into() };
        let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
        call.encode(&mut asked).unwrap();
        answer.encode(&mut answered).unwrap();
        prop_assert_eq!(decode(AdminCallDecoder::new(), asked.freeze(), &cuts), Ok(vec![call]));
        prop_assert_eq!(decode(AdminAnswerDecoder::new(), answered.freeze(), &cuts), Ok(vec![answer]));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in any_hostile_bytes(), cuts in any_cuts(), accepted in any::<bool>()) {
        let begun = if accepted { Wire::default().accepted() } else { Wire::default().request(&head()) };
        let bytes: Bytes = [&begun.bytes()[..], &bytes[..]].concat().into();
        survives(RequestDecoder::new(), &bytes, &cuts);
        survives(ResponseDecoder::new(accepted), &bytes, &cuts);
        survives(ExceptionsDecoder::new(), &bytes, &cuts);
        survives(AdminCallDecoder::new(), &bytes, &cuts);
        survives(AdminAnswerDecoder::new(), &bytes, &cuts);
    }

    #[test]
    fn what_a_decoder_takes_an_encoder_would_have_written(
        bytes in any_damaged(Wire::default().request(&head()).bytes()),
    ) {
        if let Ok(Some(RequestFrame::Head(head))) = { let mut d = RequestDecoder::new(); d.push(bytes.clone()); d.next() } {
            let mut again = BytesMut::new();
            prop_assert_eq!(head.as_ref().encode(&mut again), Ok(()));
            prop_assert_eq!(&again[..], &bytes[..again.len()]);
        }
    }
}
