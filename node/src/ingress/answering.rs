//! One request until the last of its answer has gone: what its connection knows of it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use graticule_node_core::headers;
use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;

use super::takeover::Takeover;
use super::watching::Activity;
use crate::body::{BodyError, ResponseBody};
use crate::task;

pin_project! {
    /// An answer that is being made. Not an async block: that would hold the handler's future twice.
    pub(super) struct Answering<F> {
        #[pin]
        answer: Option<F>,
        activity: Option<Activity>,
        version: Version,
        upgrade: Option<Upgrade>,
        // An answer that waits for what is said before it.
        waiting: Option<Box<Response<ResponseBody>>>,
    }
}

/// What a stream of HTTP/2 becomes if its request is answered with an upgrade.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) stream: OnUpgrade,
    /// How long it may be at rest then.
    pub(super) rest_max: Duration,
}

/// An answer's body, and the request's hold on its connection.
#[derive(Debug)]
pub(super) struct Attended {
    body: ResponseBody,
    _activity: Option<Activity>,
}

impl<F> Answering<F> {
    /// `answer` is `None` for a request whose head is over its limits.
    pub(super) fn new(
        answer: Option<F>,
        activity: Activity,
        version: Version,
        upgrade: Option<Upgrade>,
    ) -> Self {
        Self { answer, activity: Some(activity), version, upgrade, waiting: None }
    }
}

/// Makes an answer with 101 one that the client's version of HTTP has, and joins the client to what comes after it.
fn switch(
    response: Response<ResponseBody>,
    activity: Option<Activity>,
    upgrade: Option<Upgrade>,
) -> Response<Attended> {
    let (mut parts, body) = response.into_parts();
    let takeover = Takeover::of(body);
    match (activity, upgrade, takeover) {
        (Some(activity), Some(Upgrade { stream, rest_max }), Some(takeover)) => {
            headers::answer_as_http2(&mut parts.status, &mut parts.headers);
            task::spawn_detached("upgraded client stream", async move {
                match stream.await {
                    Ok(stream) => takeover.carry(TokioIo::new(stream), Bytes::new(), rest_max).await,
                    Err(error) => tracing::debug!(%error, "a client's upgrade broke off"),
                }
                drop(activity);
            });
        }
        (Some(activity), None, Some(takeover)) => {
            parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            activity.watch().set_takeover(takeover);
        }
        // Nobody has asked for it; the gateway lets none through.
        _ => parts.status = StatusCode::BAD_GATEWAY,
    }
    Response::from_parts(parts, Attended { body: ResponseBody::own(Bytes::new()), _activity: None })
}

impl<F: Future<Output = Result<Response<ResponseBody>, Infallible>>> Future for Answering<F> {
    type Output = Result<Response<Attended>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match (this.waiting.take(), this.answer.as_pin_mut()) {
            (Some(response), _) => *response,
            (None, Some(answer)) => {
                let Ok(response) = ready!(answer.poll(cx));
                response
            }
            (None, None) => head_too_large(),
        };
        let early = this.activity.as_ref().map(|activity| activity.watch().early());
        if early.is_some_and(|early| early.poll_gone(cx).is_pending()) {
            *this.waiting = Some(Box::new(response));
            return Poll::Pending;
        }
        let activity = this.activity.take();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Poll::Ready(Ok(switch(response, activity, this.upgrade.take())));
        }
        // HTTP/2 has a frame for it, and delimits requests by itself.
        let says = *this.version < Version::HTTP_2;
        if !says {
            response.headers_mut().remove(header::CONNECTION);
        }
        if says && activity.as_ref().is_some_and(Activity::is_last) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response.map(|body| Attended { body, _activity: activity })))
    }
}

/// As bare as what the HTTP library says of heads that it does not take.
fn head_too_large() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(Bytes::new()));
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}

impl Body for Attended {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
