//! A request's body on its way into a tunnel, kept as far as it may have to be sent again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::Notify;

use crate::body::RequestBody;
use crate::tunnel::{FrameWriter, Reset};

/// A body that can be sent through one tunnel, taken back, and sent through another.
#[derive(Debug, Clone)]
pub struct Upload(Rc<State>);

#[derive(Debug)]
struct State {
    rest: RefCell<RequestBody>,
    kept: RefCell<Vec<Bytes>>,
    kept_bytes: Cell<usize>,
    /// Whether something was sent that is not kept.
    gone: Cell<bool>,
    /// Whether `accepted` has come, so that the body may be longer than what is kept.
    released: Cell<bool>,
    /// Whether bytes are worth keeping after `accepted`.
    idempotent: bool,
    wake: Notify,
}

impl Upload {
    /// The upload of `body` for a request that may or may not be repeated after it was accepted.
    pub fn new(body: RequestBody, idempotent: bool) -> Self {
        Self(Rc::new(State {
            rest: RefCell::new(body),
            kept: RefCell::default(),
            kept_bytes: Cell::new(0),
            gone: Cell::new(false),
            released: Cell::new(false),
            idempotent,
            wake: Notify::new(),
        }))
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.rest.borrow().is_end_stream()
    }

    /// How long the body is, if that is known.
    pub fn length(&self) -> Option<u64> {
        self.0.rest.borrow().size_hint().exact()
    }

    /// `accepted` has come: the rest may follow.
    pub fn release(&self) {
        self.0.released.set(true);
        if !self.0.idempotent {
            self.0.forget();
        }
        self.0.wake.notify_one();
    }

    /// Whether all that was sent is kept.
    pub fn is_whole(&self) -> bool {
        !self.0.gone.get()
    }

    /// The whole body again, as if nothing had been sent; `None` if some of it is gone.
    pub fn take_back(&self) -> Option<RequestBody> {
        if self.0.gone.get() {
            return None;
        }
        let mut body = self.0.rest.take();
        body.put_back(self.0.kept.take().into_iter());
        self.0.kept_bytes.set(0);
        self.0.released.set(false);
        Some(body)
    }

    /// Sends everything through `writer`, and no more than is kept before [`Upload::release`].
    pub async fn send(self, mut writer: FrameWriter) {
        while let Some(frame) = self.0.next().await {
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
}

impl State {
    async fn next(&self) -> Option<Result<Frame<Bytes>, crate::body::BodyError>> {
        while !self.released.get() && self.kept_bytes.get() >= REPLAY_BYTES_MAX {
            self.wake.notified().await;
        }
        let frame = poll_fn(|cx| Pin::new(&mut *self.rest.borrow_mut()).poll_frame(cx)).await?;
        if let Ok(frame) = &frame {
            self.keep(frame);
        }
        Some(frame)
    }

    fn keep(&self, frame: &Frame<Bytes>) {
        match frame.data_ref() {
            Some(chunk) if self.wants(chunk.len()) => {
                self.kept_bytes.set(self.kept_bytes.get() + chunk.len());
                self.kept.borrow_mut().push(Bytes::clone(chunk));
            }
            _ => self.forget(),
        }
    }

    fn wants(&self, bytes: usize) -> bool {
        let fits = self.kept_bytes.get() + bytes <= REPLAY_BYTES_MAX;
        !self.gone.get() && (!self.released.get() || self.idempotent && fits)
    }

    fn forget(&self) {
        let something = self.kept_bytes.replace(0) > 0 || self.released.get();
        self.gone.set(self.gone.get() || something);
        self.kept.borrow_mut().clear();
    }
}

/// What is kept of a body for sending it again.
pub const REPLAY_BYTES_MAX: usize = 64 * 1024;
