//! One request and its response on one connection: what comes of it?

use std::time::Duration;

use graticule_node_core::Reason;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::oneshot;

use super::backends::InFlight;
use super::connection::Connection;
use super::http2;
use super::patience;
use super::request_body::{Later, RequestBody};
use super::response_body::PooledBody;
use super::upgraded::{Remains, Upgraded};
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

/// What an upgrade needs, if the backend agrees to it.
struct Upgrade {
    /// What the client sends then.
    input: Later,
    /// The connection then.
    remains: Option<oneshot::Receiver<Remains>>,
}

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
        let progress = unsent.as_ref().and_then(|request| request.body().progress());
        let upgrade = unsent.as_mut().and_then(|request| self.prepare_upgrade(request));
        let answer: Answer = match &mut self.connection {
            Connection::Http1(connection) => {
                // Not by way of a variable, which the future would hold beside the request that is sent.
                let sending = connection.send(unsent.take().ok_or(Reason::BackendFailed)?);
                patience::within(limit, progress, sending).await
            }
            // Nobody asks for upgrades over it yet.
            Connection::Http2(_) if upgrade.is_some() => {
                *unsent = None;
                return Err(Reason::NotSupported);
            }
            Connection::Http2(lane) => {
                let tls = self.in_flight.backend().endpoint.tls.is_some();
                if let Some(request) = unsent {
                    http2::prepare(request, tls);
                }
                let sending = lane.send(unsent.take().ok_or(Reason::BackendFailed)?);
                let mut answer = Box::pin(patience::within(limit, progress, sending)).await;
                if let Some(Err(error)) = &mut answer {
                    *unsent = error.take_message();
                    unsent.iter_mut().for_each(http2::restore);
                }
                answer
            }
        };
        match (answer, upgrade) {
            (Some(Ok(response)), upgrade) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Box::pin(self.upgraded(response, upgrade.ok_or(Reason::BackendFailed)?)).await
            }
            (Some(Ok(response)), _) => Ok(response.map(|body| PooledBody::new(body, self))),
            (Some(Err(mut error)), upgrade) => {
                tracing::debug!(error = %error.error(), "no response from a backend");
                if let Some(mut message) = error.take_message() {
                    if let Some(upgrade) = upgrade {
                        message.body_mut().put_later(upgrade.input);
                    }
                    *unsent = Some(message);
                }
                let error = error.error();
                Err(if error.is_user() { body::fault(error) } else { Reason::BackendFailed })
            }
            (None, _) => Err(Reason::BackendTimeout),
        }
    }

    /// Makes ready for 101, if the request asks for it.
    fn prepare_upgrade(&self, request: &mut Request<RequestBody>) -> Option<Upgrade> {
        let input = request.body_mut().take_later()?;
        let remains = match &self.connection {
            Connection::Http1(connection) => Some(connection.remains()),
            Connection::Http2(_) => None,
        };
        Some(Upgrade { input, remains })
    }

    /// What follows after 101 is the body, to the connection's end.
    async fn upgraded(
        self,
        response: Response<Incoming>,
        upgrade: Upgrade,
    ) -> Result<Response<PooledBody>, Reason> {
        let remains = upgrade.remains.ok_or(Reason::BackendFailed)?.await;
        let remains = remains.map_err(|_| Reason::BackendFailed)?;
        let upgraded = Upgraded::new(remains, upgrade.input);
        Ok(response.map(|_| PooledBody::upgraded(upgraded, self)))
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
