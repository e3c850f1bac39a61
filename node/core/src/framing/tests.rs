//! Every frame across arbitrary cuts, every rule of order, and bytes from no friend.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, StatusCode};

use super::decoder::Protocol;
use super::*;
use crate::Reason;
use crate::decide::ClientCountry;

mod properties;

// --- what is sent ---

fn head() -> RequestHead {
    RequestHead {
        tenant: "acme".parse().unwrap(),
        tenant_version: 4,
        fleet_version: 9,
        client: ClientCountry::Known("DE".parse().unwrap()),
        method: Method::GET,
        authority: Authority::from_static("shop.example:8443"),
        target: PathAndQuery::from_static("/a/b?c=d"),
        headers: HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static("*/*"))]),
        body: BodyLength::None,
        upgrade: false,
    }
}

fn response(status: StatusCode, body: BodyLength) -> ResponseHead {
    ResponseHead { status, headers: HeaderMap::new(), body }
}

/// Wire bytes written one frame after the other.
#[derive(Default)]
struct Wire(BytesMut);

impl Wire {
    fn request(mut self, head: &RequestHead) -> Self {
        head.as_ref().encode(&mut self.0).unwrap();
        self
    }

    fn response(mut self, head: &ResponseHead) -> Self {
        head.as_ref().encode(&mut self.0).unwrap();
        self
    }

    fn accepted(mut self) -> Self {
        encode_accepted(&mut self.0);
        self
    }

    fn refused(mut self, reason: Reason) -> Self {
        encode_refused(reason, &mut self.0);
        self
    }

    fn informational(mut self, status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        encode_informational(status, &HeaderMap::new(), &mut self.0).unwrap();
        self
    }

    fn data(mut self, data: &[u8]) -> Self {
        encode_data(data, &mut self.0);
        self
    }

    fn trailers(mut self, trailers: &HeaderMap) -> Self {
        encode_trailers(trailers, &mut self.0).unwrap();
        self
    }

    fn end(mut self) -> Self {
        encode_end(&mut self.0);
        self
    }

    fn bytes(self) -> Bytes {
        self.0.freeze()
    }
}

// --- what arrives ---

/// Everything that comes out if `bytes` go in in pieces of the given sizes, over and over.
fn decode<P: Protocol>(
    mut decoder: Decoder<P>,
    mut bytes: Bytes,
    cuts: &[usize],
) -> Result<Vec<P::Frame>, FramingError> {
    let mut frames = Vec::new();
    let mut cut = cuts.iter().cycle();
    while !bytes.is_empty() {
        let at = cut.next().map_or(bytes.len(), |at| (*at).min(bytes.len()));
        decoder.push(bytes.split_to(at));
        while let Some(frame) = decoder.next()? {
            frames.push(frame);
        }
    }
    decoder.finish()?;
    Ok(frames)
}

fn requests(bytes: Bytes) -> Result<Vec<RequestFrame>, FramingError> {
    decode(RequestDecoder::new(), bytes, &[])
}

fn responses(bytes: Bytes) -> Result<Vec<ResponseFrame>, FramingError> {
    decode(ResponseDecoder::new(false), bytes, &[])
}

// --- stream kinds and gossip ---

#[test]
fn a_preface_says_kind_and_version() {
    for kind in StreamKind::ALL {
        assert_eq!(StreamKind::from_preface(kind.preface()), Ok(kind));
    }
    assert_eq!(StreamKind::from_preface([0, 1]), Err(FramingError::UnknownStreamKind(0)));
    assert_eq!(StreamKind::from_preface([7, 1]), Err(FramingError::UnknownStreamKind(7)));
    assert_eq!(StreamKind::from_preface([1, 2]), Err(FramingError::UnknownVersion(2)));
}

#[test]
fn a_gossip_message_has_one_byte_to_its_limit() {
    for (length, fits) in [(0, false), (1, true), (GOSSIP_BYTES_MAX, true), (GOSSIP_BYTES_MAX + 1, false)] {
        let message = Bytes::from(vec![5; length]);
        let mut out = BytesMut::new();
        assert_eq!(encode_gossip(&message, &mut out).is_ok(), fits, "{length}");
        assert_eq!(out.len(), if fits { PREFACE_BYTES + length } else { 0 });
        assert_eq!(decode_gossip(message.clone()).ok(), fits.then_some(message));
    }
}

// --- order ---

#[test]
fn a_request_begins_with_its_only_head() {
    let out_of_order = |what| Err(FramingError::OutOfOrder(what));
    assert_eq!(requests(Wire::default().data(b"x").bytes()), out_of_order("data"));
    assert_eq!(requests(Wire::default().end().bytes()), out_of_order("end"));
    assert_eq!(requests(Wire::default().request(&head()).request(&head()).bytes()), out_of_order("head"));
    assert_eq!(requests(Wire::default().accepted().bytes()), out_of_order("accepted"));
    assert_eq!(requests(Wire::default().request(&head()).accepted().bytes()), out_of_order("accepted"));
}

#[test]
fn a_response_is_refused_or_accepted_first() {
    let ok = response(StatusCode::OK, BodyLength::None);
    let out_of_order = |what| Err(FramingError::OutOfOrder(what));
    assert_eq!(responses(Wire::default().data(b"x").bytes()), out_of_order("data"));
    assert_eq!(responses(Wire::default().response(&ok).bytes()), out_of_order("head"));
    assert_eq!(responses(Wire::default().informational(103).bytes()), out_of_order("informational head"));
    assert_eq!(responses(Wire::default().accepted().accepted().bytes()), out_of_order("accepted"));
    assert_eq!(responses(Wire::default().accepted().data(b"x").bytes()), out_of_order("data"));
    let late = Wire::default().accepted().response(&ok).refused(Reason::Draining);
    assert_eq!(responses(late.bytes()), out_of_order("refused"));
    let answered = Wire::default().accepted().response(&ok);
    assert_eq!(responses(answered.informational(103).bytes()), out_of_order("informational head"));
    let answered = Wire::default().accepted().response(&ok).response(&ok);
    assert_eq!(responses(answered.bytes()), out_of_order("head"));
}

#[test]
fn a_response_may_be_refused_after_it_was_accepted() {
    let refused = Wire::default().accepted().refused(Reason::BackendFailed);
    let expected = vec![ResponseFrame::Accepted, ResponseFrame::Refused(Reason::BackendFailed)];
    assert_eq!(responses(refused.bytes()), Ok(expected));
}

#[test]
fn nothing_follows_a_refusal() {
    for reason in Reason::ALL {
        let frames = responses(Wire::default().refused(reason).bytes());
        assert_eq!(frames, Ok(vec![ResponseFrame::Refused(reason)]));
    }
    let more = Wire::default().refused(Reason::Draining).accepted();
    assert_eq!(responses(more.bytes()), Err(FramingError::OutOfOrder("accepted")));
    let unknown = Bytes::from_static(&[5, 0, 0, 0, 3, b'x', b'y', b'z']);
    assert_eq!(responses(unknown), Err(FramingError::Malformed("refusal's reason")));
}

#[test]
fn so_many_informational_heads_and_no_more() {
    let wire = |count| (0..count).fold(Wire::default().accepted(), |wire, _| wire.informational(103));
    let ok = response(StatusCode::OK, BodyLength::None);
    let frames = responses(wire(INFORMATIONAL_MAX).response(&ok).bytes()).unwrap();
    assert_eq!(frames.len(), INFORMATIONAL_MAX + 2);
    assert_eq!(
        responses(wire(INFORMATIONAL_MAX + 1).bytes()),
        Err(FramingError::TooLarge("number of informational heads"))
    );
}

#[test]
fn statuses_stand_in_heads_of_their_kind() {
    let malformed = Err(FramingError::Malformed("status"));
    let early = response(StatusCode::EARLY_HINTS, BodyLength::None);
    assert_eq!(early.as_ref().encode(&mut BytesMut::new()), malformed);
    for status in [StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS] {
        assert_eq!(encode_informational(status, &HeaderMap::new(), &mut BytesMut::new()), malformed);
    }
}

#[test]
fn an_error_is_given_for_ever() {
    let mut decoder = RequestDecoder::new();
    decoder.push(Wire::default().data(b"x").request(&head()).bytes());
    for _ in 0..3 {
        assert_eq!(decoder.next(), Err(FramingError::OutOfOrder("data")));
    }
    assert_eq!(decoder.finish(), Err(FramingError::OutOfOrder("data")));
    assert!(!decoder.is_complete());
}

// --- bodies ---

#[test]
fn a_body_is_as_long_as_announced() {
    let known = RequestHead { body: BodyLength::Known(3), ..head() };
    assert!(requests(Wire::default().request(&known).data(b"abc").bytes()).is_ok());
    assert!(requests(Wire::default().request(&known).data(b"abc").end().bytes()).is_ok());
    let short = Wire::default().request(&known).data(b"ab");
    assert_eq!(requests(short.bytes()), Err(FramingError::Truncated));
    let short = Wire::default().request(&known).data(b"ab").end();
    assert_eq!(requests(short.bytes()), Err(FramingError::LengthMismatch));
    let long = Wire::default().request(&known).data(b"abcd");
    assert_eq!(requests(long.bytes()), Err(FramingError::LengthMismatch));
    let unasked = Wire::default().request(&head()).data(b"a");
    assert_eq!(requests(unasked.bytes()), Err(FramingError::LengthMismatch));
}

#[test]
fn the_end_of_a_stream_does_not_end_a_body_of_unknown_length() {
    let unknown = RequestHead { body: BodyLength::Unknown, ..head() };
    let cut = Wire::default().request(&unknown).data(b"abc");
    assert_eq!(requests(cut.bytes()), Err(FramingError::Truncated));
    assert!(requests(Wire::default().request(&unknown).data(b"abc").end().bytes()).is_ok());
    let cut = Wire::default().accepted().response(&response(StatusCode::OK, BodyLength::Unknown));
    assert_eq!(responses(cut.bytes()), Err(FramingError::Truncated));
}

#[test]
fn completeness_is_not_claimed_before_the_last_byte_came_out() {
    let known = RequestHead { body: BodyLength::Known(3), ..head() };
    let mut bytes = Wire::default().request(&known).data(b"abc").bytes();
    let last = bytes.split_off(bytes.len() - 1);
    let mut decoder = RequestDecoder::new();
    decoder.push(bytes);
    while decoder.next().unwrap().is_some() {}
    assert!(!decoder.is_complete());
    decoder.push(last);
    assert!(!decoder.is_complete());
    assert_eq!(decoder.next(), Ok(Some(RequestFrame::Data(Bytes::from_static(b"c")))));
    assert!(decoder.is_complete());
}

#[test]
fn completeness_waits_for_trailers_that_have_begun() {
    let unknown = RequestHead { body: BodyLength::Unknown, ..head() };
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"))]);
    let mut bytes = Wire::default().request(&unknown).trailers(&trailers).bytes();
    let last = bytes.split_off(bytes.len() - 1);
    let mut decoder = RequestDecoder::new();
    decoder.push(bytes);
    while decoder.next().unwrap().is_some() {}
    assert!(!decoder.is_complete());
    assert_eq!(decoder.finish(), Err(FramingError::Truncated));
    decoder.push(last);
    assert_eq!(decoder.next(), Ok(Some(RequestFrame::Trailers(trailers))));
    assert!(decoder.is_complete());
}

#[test]
fn a_content_length_that_disagrees_is_refused_on_both_ends() {
    let declared = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("5"))]);
    let mut wrong = RequestHead { headers: declared.clone(), body: BodyLength::Known(6), ..head() };
    assert_eq!(wrong.as_ref().encode(&mut BytesMut::new()), Err(FramingError::LengthMismatch));
    wrong.body = BodyLength::Known(5);
    let mut forged = BytesMut::new();
    wrong.as_ref().encode(&mut forged).unwrap();
    // The last byte of the announced length, behind the frame's header and the kind of length.
    forged[FRAME_HEADER_BYTES + 8] = 6;
    assert_eq!(requests(forged.freeze()), Err(FramingError::LengthMismatch));

    let to_head = ResponseHead { headers: declared, ..response(StatusCode::OK, BodyLength::None) };
    let frames = responses(Wire::default().accepted().response(&to_head).bytes()).unwrap();
    assert_eq!(frames[1], ResponseFrame::Head(to_head));
}

#[test]
fn an_upgrade_turns_both_directions_into_bytes() {
    let upgrade = HeaderMap::from_iter([(http::header::UPGRADE, HeaderValue::from_static("websocket"))]);
    let asked = RequestHead { headers: upgrade.clone(), upgrade: true, ..head() };
    let sent = Wire::default().request(&asked).data(b"\x81\x00");
    assert_eq!(requests(sent.bytes()), Err(FramingError::Truncated));
    let frames = requests(Wire::default().request(&asked).data(b"\x81\x00").end().bytes()).unwrap();
    assert_eq!(frames[1..], [RequestFrame::Data(Bytes::from_static(b"\x81\x00")), RequestFrame::End]);

    let switched =
        ResponseHead { headers: upgrade, ..response(StatusCode::SWITCHING_PROTOCOLS, BodyLength::None) };
    let answer = || Wire::default().accepted().response(&switched).data(b"\x81\x00").end().bytes();
    assert_eq!(decode(ResponseDecoder::new(true), answer(), &[]).map(|frames| frames.len()), Ok(4));
    assert_eq!(responses(answer()), Err(FramingError::OutOfOrder("upgrade")));

    let with_body = RequestHead { body: BodyLength::Known(1), ..asked };
    assert_eq!(with_body.as_ref().encode(&mut BytesMut::new()), Err(FramingError::Malformed("upgrade")));
}

// --- the head's own fields ---

#[test]
fn user_information_and_odd_targets_are_refused() {
    let mut out = BytesMut::new();
    let with_user = RequestHead { authority: Authority::from_static("user@shop.example"), ..head() };
    assert_eq!(with_user.as_ref().encode(&mut out), Err(FramingError::Malformed("authority")));
    let star = RequestHead { target: PathAndQuery::from_static("*"), method: Method::OPTIONS, ..head() };
    assert_eq!(requests(Wire::default().request(&star).bytes()), Ok(vec![RequestFrame::Head(star)]));
    for (from, to, what) in
        [("/a/b", "/a#b", "target"), ("/a/b", "xa/b", "target"), ("shop.", "u@op.", "authority")]
    {
        let mut forged = BytesMut::from(&Wire::default().request(&head()).bytes()[..]);
        let at = forged.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        forged[at..at + to.len()].copy_from_slice(to.as_bytes());
        assert_eq!(requests(forged.freeze()), Err(FramingError::Malformed(what)), "{to}");
    }
}

#[test]
fn a_head_may_be_so_large_and_no_larger() {
    let sized = |bytes: usize| {
        let value = |length: usize| HeaderValue::from_bytes(&vec![b'v'; length]).unwrap();
        let name = HeaderName::from_static("x");
        let mut head = head();
        let mut out = BytesMut::new();
        head.headers.append(&name, value(HEADER_VALUE_BYTES_MAX));
        head.headers.append(&name, value(0));
        head.as_ref().encode(&mut out).unwrap();
        let missing = bytes - (out.len() - FRAME_HEADER_BYTES);
        let mut values = head.headers.get_all(&name).iter().cloned().collect::<Vec<_>>();
        values[1] = value(missing);
        head.headers.remove(&name);
        for value in values {
            head.headers.append(&name, value);
        }
        head
    };
    let largest = sized(HEAD_BYTES_MAX);
    let frames = requests(Wire::default().request(&largest).bytes());
    assert_eq!(frames, Ok(vec![RequestFrame::Head(largest)]));
    let over = sized(HEAD_BYTES_MAX + 1);
    let mut out = BytesMut::from(&b"before"[..]);
    assert_eq!(over.as_ref().encode(&mut out), Err(FramingError::TooLarge("head")));
    assert_eq!(&out[..], b"before");
    let mut announced = BytesMut::from(&[1][..]);
    announced.put_u32(HEAD_BYTES_MAX as u32 + 1);
    assert_eq!(requests(announced.freeze()), Err(FramingError::TooLarge("head")));
}
