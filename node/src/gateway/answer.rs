//! Answers as clients see them: what is passed on, and what this node says itself.

use bytes::Bytes;
use graticule_node_core::policy::Tenant;
use graticule_node_core::{Reason, headers};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use serde::Serialize;

use super::GatewaySettings;
use crate::body::ResponseBody;

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// How whoever is refused wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As HTTP has it.
    Http,
    /// As gRPC has it: an answer that is all trailers.
    Grpc,
}

impl Manner {
    /// As a request with these headers wants it. gRPC-Web, whose type goes on with `-web`, is HTTP to us.
    pub(super) fn of(fields: &HeaderMap) -> Self {
        let kind = fields.get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(GRPC));
        if kind.is_some_and(|rest| matches!(rest, [] | [b'+' | b';' | b' ', ..])) {
            Self::Grpc
        } else {
            Self::Http
        }
    }
}

/// A refusal, with `Proxy-Status`.
pub(super) fn refusal(
    settings: &GatewaySettings,
    manner: Manner,
    reason: Reason,
    request_id: Option<&HeaderValue>,
) -> Response<ResponseBody> {
    let row = reason.row();
    let mut response = match manner {
        Manner::Http => problem(reason, request_id),
        Manner::Grpc => trailers_only(reason),
    };
    let fields = response.headers_mut();
    if let Some(id) = request_id {
        fields.insert(headers::X_REQUEST_ID, id.clone());
    }
    let name = settings.proxy_status.to_str().unwrap_or_default();
    let status = format!("{name}; error={}; details=\"{}\"", row.proxy_error, row.label);
    if let Ok(status) = HeaderValue::try_from(status) {
        fields.insert(PROXY_STATUS, status);
    }
    response
}

/// Problem+json, and `Retry-After` where it helps.
fn problem(reason: Reason, request_id: Option<&HeaderValue>) -> Response<ResponseBody> {
    let row = reason.row();
    let problem = Problem {
        r#type: format!("urn:graticule:refusal:{}", row.label),
        title: row.title,
        status: row.status,
        reason: row.label,
        request_id: request_id.and_then(|id| id.to_str().ok()),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(ResponseBody::own(Bytes::from(body)));
    *response.status_mut() =
        http::StatusCode::from_u16(row.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(wait) = row.retry_after {
        fields.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

/// What gRPC takes for an answer without messages: success, but for its trailers, which are the headers.
fn trailers_only(reason: Reason) -> Response<ResponseBody> {
    let row = reason.row();
    let mut response = Response::new(ResponseBody::own(Bytes::new()));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert(GRPC_STATUS, HeaderValue::from(u16::from(reason.grpc_status())));
    if let Ok(message) = HeaderValue::try_from(format!("{}: {}", row.label, row.title)) {
        fields.insert(GRPC_MESSAGE, message);
    }
    response
}

/// A refusal of a request that could not be read, or is not to be: what follows it may be no request either, so it is not
/// looked at.
pub(super) fn unread(settings: &GatewaySettings, manner: Manner, reason: Reason) -> Response<ResponseBody> {
    let mut response = refusal(settings, manner, reason, None);
    if reason != Reason::Overloaded {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Sends a client to where TLS is; the method and body stay (308).
pub(super) fn redirect(
    settings: &GatewaySettings,
    (host, target): (&str, &PathAndQuery),
    request_id: Option<&HeaderValue>,
) -> Response<ResponseBody> {
    let port = settings.https_port.map_or_else(String::new, |port| format!(":{port}"));
    let mut response = Response::new(ResponseBody::own(Bytes::new()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    // Host and target are legal in a header: they came in one, or in a request's line.
    if let Ok(location) = HeaderValue::try_from(format!("https://{host}{port}{target}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if let Some(id) = request_id {
        response.headers_mut().insert(headers::X_REQUEST_ID, id.clone());
    }
    response
}

/// Makes a backend's answer ready to be passed on by the node that asked the backend.
pub(super) fn from_backend<B>(response: &mut Response<B>) {
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    headers::strip_hop_by_hop(response.headers_mut(), is_upgrade);
    response.headers_mut().remove(REGION);
    // RFC 9110, 2.5: an intermediary answers with its own version. With a backend's 1.0, clients would close.
    *response.version_mut() = Version::HTTP_11;
}

/// Adds what the edge says about an answer.
pub(super) fn from_edge<B>(
    settings: &GatewaySettings,
    response: &mut Response<B>,
    tenant: &Tenant,
    region: Option<HeaderValue>,
) {
    let fields = response.headers_mut();
    fields.append(header::VIA, settings.via.clone());
    fields.append(PROXY_STATUS, settings.proxy_status.clone());
    match region.filter(|_| tenant.expose_region) {
        Some(region) => fields.insert(REGION, region),
        None => fields.remove(REGION),
    };
}

/// The type of gRPC's requests, before what it may go on with.
const GRPC: &[u8] = b"application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const REGION: HeaderName = HeaderName::from_static("x-graticule-region");
