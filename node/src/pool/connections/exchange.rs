//! One request and its response on one connection: what comes of it?

use std::time::Duration;

use graticule_node_core::Reason;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::backends::InFlight;
use super::connection::Connection;
use super::http2;
use super::patience;
use super::request_body::RequestBody;
use super::response_body::PooledBody;
use crate::body;

/// A request's hold on a connection. Dropping it closes the connection, or the stream of a shared one;
/// [`finish`](Self::finish) keeps it.
#[derive(Debug)]
pub(super) struct Exchange {
    connection: Connection,
    in_flight: InFlight,
}

/// A request until it is given to a connection, kept in one place: every step that moved it would copy its head.
pub(super) type Unsent = Option<Request<RequestBody>>;

type Answer = Option<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>;

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
        let mut request = unsent.take().ok_or(Reason::BackendFailed)?;
        let progress = request.body().progress();
        let answer: Answer = match &mut self.connection {
            Connection::Http1(connection) => {
                patience::within(limit, progress, connection.send(request)).await
            }
            Connection::Http2(lane) => {
                http2::prepare(&mut request, self.in_flight.backend().endpoint.tls.is_some());
                let mut answer = Box::pin(patience::within(limit, progress, lane.send(request))).await;
                if let Some(Err(error)) = &mut answer {
                    *unsent = error.take_message();
                    unsent.iter_mut().for_each(http2::restore);
                }
                answer
            }
        };
        match answer {
            // Nobody asked for another protocol: upgrades are not forwarded.
            Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(Reason::BackendFailed)
            }
            Some(Ok(response)) => Ok(response.map(|body| PooledBody::new(body, self))),
            Some(Err(mut error)) => {
                tracing::debug!(error = %error.error(), "no response from a backend");
                if let Some(message) = error.take_message() {
                    *unsent = Some(message);
                }
                let error = error.error();
                Err(if error.is_user() { body::fault(error) } else { Reason::BackendFailed })
            }
            None => Err(Reason::BackendTimeout),
        }
    }

    /// The response is complete. If the request is too, the connection waits for another one; a backend that answered
    /// without listening to the end is left alone with the rest.
    pub(super) fn finish(self) {
        self.in_flight.keep(self.connection);
    }

    /// The response broke off.
    pub(super) fn broke_off(self) {
        self.in_flight.broke_off();
    }
}
