//! One request and its response on one connection: what comes of it?

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use graticule_node_core::Reason;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;

use super::backends::InFlight;
use super::connection::{Answer, Connection};
use super::patience;
use super::request_body::RequestBody;
use super::response_body::PooledBody;

/// A request's hold on a connection. Dropping it closes the connection; [`finish`](Self::finish) keeps it.
#[derive(Debug)]
pub(super) struct Exchange {
    connection: Connection,
    in_flight: InFlight,
}

/// A request until it is given to a connection, kept in one place: every step that moved it would copy its head.
pub(super) type Unsent = Option<Request<RequestBody>>;

impl Exchange {
    /// Nothing sent yet.
    pub(super) fn new(in_flight: InFlight, connection: Connection) -> Self {
        Self { connection, in_flight }
    }

    /// Takes the request, sends it and waits for the head of the response, of which the backend may keep us waiting for
    /// `limit`. A request of which no byte was written is put back.
    pub(super) async fn run(
        mut self,
        unsent: &mut Unsent,
        limit: Duration,
    ) -> Result<Response<PooledBody>, Reason> {
        let request = unsent.take().ok_or(Reason::BackendFailed)?;
        match answer(&mut self.connection, request, limit).await {
            // Nobody asked for another protocol: upgrades are not forwarded.
            Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(Reason::BackendFailed)
            }
            Some(Ok(response)) => Ok(response.map(|body| PooledBody::new(body, self))),
            Some(Err(mut error)) => {
                tracing::debug!(error = %error.error(), "no response from a backend");
                *unsent = error.take_message();
                Err(if error.error().is_user() { Reason::BadRequest } else { Reason::BackendFailed })
            }
            None => Err(Reason::BackendTimeout),
        }
    }

    /// Takes the next piece of the response's body from `incoming`.
    pub(super) fn poll_body(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Pieces come while the connection is driven, and at no other time.
        let mut unwoken = Context::from_waker(Waker::noop());
        self.connection.driver().mute();
        match Pin::new(&mut *incoming).poll_frame(&mut unwoken) {
            Poll::Pending => {
                self.connection.driver().drive(cx);
                Pin::new(incoming).poll_frame(&mut unwoken)
            }
            ready => ready,
        }
    }

    /// The response is complete. If the request is too, the connection waits for another one; a backend that answered
    /// without listening to the end is left alone with the rest.
    pub(super) fn finish(mut self) {
        self.connection.driver().settle();
        self.in_flight.keep(self.connection);
    }
}

/// Sends `request` and drives the connection up to the answer; `None` after more than `limit` of the backend's time.
async fn answer(
    connection: &mut Connection,
    request: Request<RequestBody>,
    limit: Duration,
) -> Option<Answer> {
    let progress = request.body().progress();
    let (answer, driver, alarm) = connection.send(request);
    let mut answer = pin!(answer);
    let driven = poll_fn(|cx| {
        driver.drive(cx);
        answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    });
    patience::within(limit, progress, alarm, driven).await
}
