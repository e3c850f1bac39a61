//! One request and its response on one connection: what comes of it?

use std::time::Duration;

use graticule_node_core::Reason;
use http::{Request, Response, StatusCode};

use super::backends::InFlight;
use super::connection::Connection;
use super::patience;
use super::request_body::RequestBody;
use super::response_body::PooledBody;
use crate::body;

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
        let progress = request.body().progress();
        let answer = self.connection.send(request);
        match patience::within(limit, progress, answer).await {
            // Nobody asked for another protocol: upgrades are not forwarded.
            Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(Reason::BackendFailed)
            }
            Some(Ok(response)) => Ok(response.map(|body| PooledBody::new(body, self))),
            Some(Err(mut error)) => {
                tracing::debug!(error = %error.error(), "no response from a backend");
                *unsent = error.take_message();
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
}
