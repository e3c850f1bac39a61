//! A request's body on its way into a tunnel, kept as far as it may have to be sent again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use graticule_node_core::Reason;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::Notify;

use crate::body::{self, REPLAY_BYTES_MAX, RequestBody};
use crate::tunnel::{FrameWriter, Reset};

/// A body that can be sent through one tunnel, taken back, and sent through another. One that is empty costs nothing.
#[derive(Debug, Clone)]
pub struct Upload(Option<Rc<State>>);

#[derive(Debug)]
struct State {
    rest: RefCell<RequestBody>,
    kept: RefCell<Vec<Bytes>>,
    kept_trailers: RefCell<Option<HeaderMap>>,
    kept_bytes: Cell<usize>,
    /// Whether something was sent that is not kept, or the body failed: it is never whole again.
    gone: Cell<bool>,
    /// Why the body failed, if it did.
    fault: Cell<Option<Reason>>,
    /// Whether `accepted` has come, so that the body may be longer than what is kept.
    released: Cell<bool>,
    /// Whether bytes are worth keeping after `accepted`.
    idempotent: bool,
    wake: Notify,
}

impl Upload {
    /// The upload of `body` for a request that may or may not be repeated after it was accepted.
    pub fn new(body: RequestBody, idempotent: bool) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        Self(Some(Rc::new(State {
            rest: RefCell::new(body),
            kept: RefCell::default(),
            kept_trailers: RefCell::default(),
            kept_bytes: Cell::new(0),
            gone: Cell::new(false),
            fault: Cell::new(None),
            released: Cell::new(false),
            idempotent,
            wake: Notify::new(),
        })))
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.rest.borrow().is_end_stream())
    }

    /// How long the body is, if that is known.
    pub fn length(&self) -> Option<u64> {
        self.0.as_ref().map_or(Some(0), |state| state.rest.borrow().size_hint().exact())
    }

    /// No more than so many bytes are taken of what has not been read.
    pub fn limit(&self, bytes_max: u64) {
        if let Some(state) = &self.0 {
            state.rest.borrow_mut().limit(bytes_max);
        }
    }

    /// `accepted` has come: the rest may follow.
    pub fn release(&self) {
        let Some(state) = &self.0 else { return };
        state.released.set(true);
        let something = state.kept_bytes.get() > 0 || state.kept_trailers.borrow().is_some();
        if something && !state.wants(0) {
            state.lose();
        }
        state.wake.notify_one();
    }

    /// Whether all that was sent is kept, and the body is in order.
    pub fn is_whole(&self) -> bool {
        self.0.as_ref().is_none_or(|state| !state.gone.get())
    }

    /// What to refuse the request with, if the client broke its body off.
    pub fn fault(&self) -> Option<Reason> {
        self.0.as_ref()?.fault.get()
    }

    /// The whole body again, as if nothing had been sent; `None` if some of it is gone.
    pub fn take_back(&self) -> Option<RequestBody> {
        let Some(state) = &self.0 else { return Some(RequestBody::default()) };
        if state.gone.get() {
            return None;
        }
        let mut body = state.rest.take();
        body.put_back(state.kept.take().into_iter(), state.kept_trailers.take());
        state.kept_bytes.set(0);
        state.released.set(false);
        Some(body)
    }

    /// Sends everything through `writer`, and no more than is kept before [`Upload::release`].
    pub async fn send(self, mut writer: FrameWriter) {
        while let Some(frame) = self.next().await {
            let sent = match frame.map(Frame::into_data) {
                Err(error) => {
                    tracing::debug!(%error, "the client's body ended early");
                    return writer.reset(Reset::Cancelled);
                }
                Ok(Ok(chunk)) => writer.data(chunk).await,
                Ok(Err(frame)) => {
                    frame.into_trailers().iter().for_each(|trailers| writer.trailers(trailers));
                    Ok(())
                }
            };
            // A peer that has its answer ready reads no further; the answer says so.
            if sent.is_err() {
                return;
            }
        }
        // As above: who does not want the end has an answer.
        let _ = writer.finish().await;
    }

    async fn next(&self) -> Option<Result<Frame<Bytes>, body::BodyError>> {
        self.0.as_ref()?.next().await
    }
}

impl State {
    async fn next(&self) -> Option<Result<Frame<Bytes>, body::BodyError>> {
        // The chunk that reaches the limit is kept to its end.
        while !self.released.get() && self.kept_bytes.get() >= REPLAY_BYTES_MAX {
            self.wake.notified().await;
        }
        let frame = poll_fn(|cx| Pin::new(&mut *self.rest.borrow_mut()).poll_frame(cx)).await?;
        match &frame {
            Ok(frame) => self.keep(frame),
            // What comes after a failure looks like an end, and is none.
            Err(error) => {
                self.fault.set(Some(body::fault(&**error)));
                self.lose();
            }
        }
        Some(frame)
    }

    fn keep(&self, frame: &Frame<Bytes>) {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if !self.wants(bytes) {
            return self.lose();
        }
        self.kept_bytes.set(self.kept_bytes.get() + bytes);
        if let Some(chunk) = frame.data_ref() {
            self.kept.borrow_mut().push(Bytes::clone(chunk));
        } else if let Some(trailers) = frame.trailers_ref() {
            self.kept_trailers.replace(Some(HeaderMap::clone(trailers)));
        }
    }

    fn wants(&self, bytes: usize) -> bool {
        let fits = self.kept_bytes.get() + bytes <= REPLAY_BYTES_MAX;
        !self.gone.get() && (!self.released.get() || self.idempotent && fits)
    }

    fn lose(&self) {
        self.gone.set(true);
        self.kept_bytes.set(0);
        self.kept.take();
        self.kept_trailers.take();
    }
}

#[cfg(test)]
mod tests;
