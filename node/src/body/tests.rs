//! What a request's body is after some of it was put back.

use super::*;
use crate::testing::{collect, fields, frames, run};

#[test]
fn what_was_put_back_comes_first_and_trailers_last() {
    run(async {
        let mut body = RequestBody::test(frames(vec![Ok(Frame::data(Bytes::from("c")))]));
        body.put_back(["a", "b"].map(Bytes::from).into_iter(), None);
        assert_eq!(body.size_hint().lower(), 2);
        assert_eq!(body.size_hint().exact(), None, "the source does not say");
        assert_eq!(collect(&mut body).await.unwrap(), (b"abc".to_vec(), None));

        let mut body = RequestBody::default();
        assert!(body.is_end_stream());
        body.put_back([Bytes::from("a")].into_iter(), Some(fields(&[("x-t", "1")])));
        assert!(!body.is_end_stream());
        assert_eq!(collect(&mut body).await.unwrap(), (b"a".to_vec(), Some(fields(&[("x-t", "1")]))));
        assert!(body.is_end_stream());
    });
}

#[test]
fn an_own_answer_knows_its_length() {
    let body = ResponseBody::own(Bytes::from("four"));
    assert_eq!(body.size_hint().exact(), Some(4));
    assert!(!body.is_end_stream());
    assert!(ResponseBody::own(Bytes::new()).is_end_stream());
}

#[test]
fn a_request_is_in_flight_until_its_answers_body_is_dropped() {
    let gauges = graticule_node_core::shared::InFlightGauges::new(1);
    let mut body = ResponseBody::own(Bytes::from("four"));
    body.hold(gauges.worker(0).unwrap().try_enter(1).unwrap());
    assert_eq!(gauges.total(), 1);
    drop(body);
    assert_eq!(gauges.total(), 0);
}
