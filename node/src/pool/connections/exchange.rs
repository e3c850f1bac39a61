//! One request and its response on one connection: what comes of it?

use std::time::Duration;

use graticule_node_core::Reason;
use graticule_node_core::headers::{self, UpgradeAsked};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::oneshot;

use super::backends::InFlight;
use super::connection::Connection;
use super::http2;
use super::patience::{self, Wanted};
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
    wanted: Wanted,
}

/// A request until it is given to a connection, kept in one place: every step that moved it would copy its head.
pub(super) type Unsent = Option<Request<RequestBody>>;

/// What an upgrade needs, if the backend agrees to it.
struct Upgrade {
    /// What the client sends then.
    input: Later,
    way: Way,
}

/// How a backend is asked for it.
enum Way {
    /// By a header of HTTP/1.1: this is what the connection is then.
    Header(oneshot::Receiver<Remains>),
    /// By `CONNECT` in HTTP/2. Boxed: every request would be moved about with the room for it.
    Connect(Box<UpgradeAsked>),
}

type Answer = Option<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>;

impl Exchange {
    /// Nothing sent yet.
    pub(super) fn new(in_flight: InFlight, connection: Connection) -> Self {
        Self { connection, in_flight, wanted: Wanted::new(None) }
    }

    /// Takes the request, sends it and waits for the head of the response, of which the backend may keep us waiting for
    /// `limit`. A request of which no byte was written is put back.
    pub(super) async fn run(
        mut self,
        unsent: &mut Unsent,
        limit: Duration,
    ) -> Result<Response<PooledBody>, Reason> {
        let progress = unsent.as_ref().and_then(|request| request.body().progress());
        self.wanted = Wanted::new(progress.clone());
        let upgrade = match unsent.as_mut().and_then(|request| self.prepare_upgrade(request)).transpose() {
            Ok(upgrade) => upgrade,
            Err(reason) => {
                *unsent = None;
                return Err(reason);
            }
        };
        let answer: Answer = match &mut self.connection {
            Connection::Http1(connection) => {
                // Not by way of a variable, which the future would hold beside the request that is sent.
                let sending = connection.send(unsent.take().ok_or(Reason::BackendFailed)?);
                patience::within(limit, progress, sending).await
            }
            Connection::Http2(lane) => {
                let tls = self.in_flight.backend().endpoint.tls.is_some();
                if let Some(request) = unsent {
                    http2::prepare(request, tls);
                }
                let sending = lane.send(unsent.take().ok_or(Reason::BackendFailed)?);
                Box::pin(patience::within(limit, progress, sending)).await
            }
        };
        match (answer, upgrade) {
            (Some(Ok(response)), _) if !self.is_of_one_meaning(&response) => Err(Reason::BackendFailed),
            (Some(Ok(response)), Some(upgrade)) => Box::pin(self.answered(response, upgrade)).await,
            (Some(Ok(response)), None) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(Reason::BackendFailed)
            }
            (Some(Ok(response)), None) => Ok(response.map(|body| PooledBody::new(body, self))),
            (Some(Err(error)), upgrade) => Err(self.failed(error, upgrade, unsent)),
            (None, _) => Err(Reason::BackendTimeout),
        }
    }

    /// Makes ready for an upgrade, if the request asks for one.
    fn prepare_upgrade(&self, request: &mut Request<RequestBody>) -> Option<Result<Upgrade, Reason>> {
        let input = request.body_mut().take_later()?;
        let way = match &self.connection {
            Connection::Http1(connection) => Ok(Way::Header(connection.remains())),
            Connection::Http2(lane) if !lane.takes_upgrades() => Err(Reason::NotSupported),
            Connection::Http2(_) => {
                http2::ask_for_upgrade(request).map(|asked| Way::Connect(Box::new(asked)))
            }
        };
        Some(way.map(|way| Upgrade { input, way }))
    }

    /// What comes of a request to upgrade. What follows after agreement is the body, to the connection's or stream's end.
    async fn answered(
        self,
        mut response: Response<Incoming>,
        Upgrade { input, way }: Upgrade,
    ) -> Result<Response<PooledBody>, Reason> {
        let upgraded = match (way, response.status()) {
            (Way::Header(remains), StatusCode::SWITCHING_PROTOCOLS) => {
                let remains = remains.await.map_err(|_| Reason::BackendFailed)?;
                Upgraded::http1(remains, input)
            }
            (Way::Connect(asked), StatusCode::OK) => {
                let stream = hyper::upgrade::on(&mut response).await.map_err(|_| Reason::BackendFailed)?;
                let mut status = response.status();
                asked.answer(&mut status, response.headers_mut());
                *response.status_mut() = status;
                Upgraded::http2(stream, input)
            }
            // The library takes no other success for agreement; to pass it on as an answer would say that there is none.
            (Way::Connect(_), status) if status.is_success() => return Err(Reason::BackendFailed),
            (_, StatusCode::SWITCHING_PROTOCOLS) => return Err(Reason::BackendFailed),
            _ => return Ok(response.map(|body| PooledBody::new(body, self))),
        };
        if let Connection::Http2(lane) = &self.connection {
            lane.carry(upgraded.progress());
        }
        Ok(response.map(|_| PooledBody::upgraded(upgraded, self)))
    }

    /// Whether everybody finds the same body in an answer: what is passed on has its own framing, and says no more how it came.
    fn is_of_one_meaning(&self, response: &Response<Incoming>) -> bool {
        let (twice, foreign) =
            (headers::has_two_lengths(response.headers()), headers::has_foreign_coding(response.headers()));
        if twice || foreign {
            let address = self.in_flight.backend().endpoint.address;
            tracing::warn!(
                %address,
                twice,
                foreign,
                "a backend's answer has a length beside a transfer coding, or another coding than chunked"
            );
        }
        !(twice || foreign)
    }

    /// Why there is no answer. A request of which no byte was written is put back as it was.
    fn failed(
        &self,
        mut error: TrySendError<Request<RequestBody>>,
        upgrade: Option<Upgrade>,
        unsent: &mut Unsent,
    ) -> Reason {
        tracing::debug!(error = %error.error(), "no response from a backend");
        if let Some(mut request) = error.take_message() {
            if let Connection::Http2(_) = &self.connection {
                http2::restore(&mut request);
            }
            if let Some(Upgrade { input, way }) = upgrade {
                request.body_mut().put_later(input);
                if let Way::Connect(asked) = way {
                    http2::take_back(&mut request, *asked);
                }
            }
            *unsent = Some(request);
        }
        let error = error.error();
        if error.is_user() { body::fault(error) } else { Reason::BackendFailed }
    }

    /// The response is complete. If the request is too, the connection waits for another one; a backend that answered
    /// without listening to the end gets no more of it.
    pub(super) fn finish(self) {
        self.in_flight.keep(self.connection);
    }

    /// What was sent after an upgrade waits for a backend that takes nothing, and nobody wants it sent any more. The library
    /// keeps such a stream of HTTP/2 for ever, so it must end with its connection.
    pub(super) fn left_blocked(&self) {
        if let Connection::Http2(lane) = &self.connection {
            lane.retire();
        }
    }

    /// The response broke off.
    pub(super) fn broke_off(self) {
        self.in_flight.broke_off();
    }
}
