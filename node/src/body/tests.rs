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
fn a_witness_sees_what_passes_and_goes_with_the_body() {
    let seen = Rc::new(Cell::new((0, false, false)));
    let mut body = ResponseBody::own(Bytes::from("four"));
    body.watch(Box::new(Seeing(Rc::clone(&seen))));
    drop(body);
    assert_eq!(seen.get(), (0, false, true), "whoever wanted it was gone before its end");
    run(async {
        seen.take();
        let mut body = ResponseBody::own(Bytes::from("four"));
        body.watch(Box::new(Seeing(Rc::clone(&seen))));
        collect(&mut body).await.unwrap();
        assert_eq!(seen.get(), (4, true, false));
        drop(body);
        assert_eq!(seen.get(), (4, true, true));
    });
}

#[test]
fn an_answer_that_breaks_off_has_no_end() {
    run(async {
        let seen = Rc::new(Cell::new((0, false, false)));
        let broken = vec![Ok(Frame::data(Bytes::from("two"))), Err(std::io::Error::other("broken"))];
        let mut body = ResponseBody::test(frames(broken));
        body.watch(Box::new(Seeing(Rc::clone(&seen))));
        collect(&mut body).await.unwrap_err();
        drop(body);
        assert_eq!(seen.get(), (3, false, true));
    });
}

#[test]
fn only_what_comes_from_the_source_is_counted_and_only_once() {
    run(async {
        let body = RequestBody::test(frames(vec![Ok(Frame::data(Bytes::from("abc")))]));
        let (mut body, count) = body.counted();
        let count = count.unwrap();
        body.put_back([Bytes::from("kept")].into_iter(), None);
        collect(&mut body).await.unwrap();
        assert_eq!(count.get(), 3);
        assert!(RequestBody::default().counted().1.is_none(), "no body, no counter");
    });
}

/// Bytes, whether the end was seen, and whether it is gone.
#[derive(Debug)]
struct Seeing(Rc<Cell<(usize, bool, bool)>>);

impl Witness for Seeing {
    fn passed(&mut self, bytes: usize) {
        let (passed, ended, gone) = self.0.get();
        self.0.set((passed + bytes, ended, gone));
    }

    fn ended(&mut self) {
        let (passed, _, gone) = self.0.get();
        self.0.set((passed, true, gone));
    }
}

impl Drop for Seeing {
    fn drop(&mut self) {
        let (passed, ended, _) = self.0.get();
        self.0.set((passed, ended, true));
    }
}
