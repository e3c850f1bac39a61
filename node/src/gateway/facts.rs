//! What a request says of itself, checked, and its headers made ready to be passed on.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;

use graticule_node_core::decide::Arrival;
use graticule_node_core::headers::{self, NewTrace, TraceContext};
use graticule_node_core::{Reason, path};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::account::Head;
use super::{Gateway, GatewaySettings};
use crate::ingress::{Client, EarlyWriter, Secured};

/// A request as decisions and dispatch see it.
#[derive(Debug)]
pub(super) struct Facts {
    /// The method.
    pub(super) method: Method,
    /// Path and query as they came, and as they are passed on.
    pub(super) target: PathAndQuery,
    /// The form of the path that rules are matched by, if the path does not have it already.
    matched_path: Option<String>,
    /// The host in lower case, without port.
    pub(super) host: headers::Host,
    /// What is passed on; a retry sees the same.
    pub(super) headers: HeaderMap,
    /// Where what a backend says before its answer goes, and the version that the client speaks.
    pub(super) early: Option<(EarlyWriter, Version)>,
    /// How its connection is to be upgraded, if the client asks for that.
    pub(super) upgrade: Option<Upgrade>,
    /// What its connection's TLS has found out, if there was TLS.
    secured: Option<Rc<Secured>>,
    /// Whether a trusted proxy says that the client came through TLS.
    behind_tls: bool,
    /// The client, if it can be told.
    pub(super) client: Option<IpAddr>,
    /// Names this request in answers and logs.
    pub(super) request_id: Option<HeaderValue>,
    /// Where it stands in its trace.
    trace: TraceContext,
    /// Drawn for this node's span.
    span: u64,
}

/// How a client asks for an upgrade.
#[derive(Debug)]
pub(super) enum Upgrade {
    /// By a header, in HTTP/1.1.
    Header,
    /// By `CONNECT` with a protocol, in HTTP/2 (RFC 8441).
    Connect {
        /// What whoever agrees has to prove, if it is a WebSocket.
        key: Option<HeaderValue>,
    },
}

impl Facts {
    /// What an account of the request tells.
    pub(super) fn for_account(&self) -> Head {
        Head {
            method: self.method.clone(),
            target: self.target.clone(),
            authority: self.host.authority().clone(),
            client: self.client,
            request_id: self.request_id.clone(),
            trace: Some(self.trace),
            span: self.span,
        }
    }

    /// The path as rules are to see it.
    pub(super) fn path(&self) -> &str {
        self.matched_path.as_deref().unwrap_or_else(|| self.target.path())
    }

    /// How it came here.
    pub(super) fn arrival(&self) -> Arrival<'_> {
        match &self.secured {
            Some(secured) => Arrival::Secured { server_name: secured.server_name.as_deref() },
            None if self.behind_tls => Arrival::Secured { server_name: None },
            None => Arrival::Cleartext,
        }
    }
}

/// Reads the facts of a request that came over a connection from `client`, and whose body is or is not empty.
pub(super) fn read(
    gateway: &Gateway,
    mut parts: Parts,
    is_empty: bool,
    client: &Client,
) -> Result<Facts, Reason> {
    let Client { address: peer, secured, early } = client;
    // It stands for the preface of HTTP/2, and for no request (RFC 7540, 11.6).
    if parts.method.as_str() == "PRI" {
        return Err(Reason::BadRequest);
    }
    let upgrade = upgrade(&mut parts, is_empty, gateway)?;
    let host = headers::host_of(&parts)?;
    if headers::has_foreign_coding(&parts.headers) {
        return Err(Reason::NotSupported);
    }
    let Parts { method, uri, headers: mut fields, version, .. } = parts;
    let target = rooted(uri.into_parts().path_and_query)?;
    if target.as_str().len() > TARGET_BYTES_MAX {
        return Err(Reason::HeadersTooLarge);
    }
    let matched_path = match path::form(target.path())? {
        Cow::Borrowed(path) if path == target.path() => None,
        form => Some(form.into_owned()),
    };
    let rule = &gateway.settings.client_address;
    let address = headers::client_address(&fields, *peer, rule);
    if headers::is_loop(&fields, gateway.settings.name.as_str()) {
        return Err(Reason::BadRequest);
    }
    headers::strip_hop_by_hop(&mut fields, upgrade.is_some());
    headers::join_cookies(&mut fields);
    // The client has its 100 already, or gets it when its body is read.
    fields.remove(header::EXPECT);
    headers::forward_client_address(&mut fields, rule, *peer);
    // What a proxy that is not trusted says of it has been removed.
    let behind_tls = fields.get(X_FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    if secured.is_some() && !behind_tls {
        fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    }
    let span = gateway.chance_bits() as u64;
    let new = NewTrace { trace: gateway.chance_bits(), parent: span, sampled: gateway.begins_trace() };
    let trace = headers::trace_context(&mut fields, new);
    headers::request_id(&mut fields, gateway.chance_bits());
    let request_id = fields.get(headers::X_REQUEST_ID).cloned();
    // The host is said once, by the authority.
    fields.append(header::VIA, via(&gateway.settings, version).clone());
    let secured = secured.clone();
    Ok(Facts {
        early: early.clone().map(|early| (early, version)),
        upgrade,
        secured,
        behind_tls,
        method,
        target,
        matched_path,
        host,
        headers: fields,
        client: address,
        request_id,
        trace,
        span,
    })
}

/// Which upgrade is asked for, in the form of HTTP/1.1 afterwards. A request with a body gets its answer without one, as
/// the protocol allows.
fn upgrade(parts: &mut Parts, is_empty: bool, gateway: &Gateway) -> Result<Option<Upgrade>, Reason> {
    let Parts { method, headers: fields, extensions, version, .. } = parts;
    if *method == Method::CONNECT {
        // Without a protocol, it would lead to wherever the client wants.
        let protocol = extensions.get::<hyper::ext::Protocol>().ok_or(Reason::NotSupported)?;
        let key = headers::ask_as_http1((method, fields), protocol.as_str(), gateway.chance_bits())?;
        return Ok(Some(Upgrade::Connect { key }));
    }
    let asked = is_empty && *version == Version::HTTP_11 && headers::asks_for_upgrade(fields);
    Ok(asked.then_some(Upgrade::Header))
}

/// Path and query in origin form: a target in absolute form may lack its path.
fn rooted(target: Option<PathAndQuery>) -> Result<PathAndQuery, Reason> {
    match target {
        None => Ok(PathAndQuery::from_static("/")),
        Some(target) if target.as_str().starts_with('?') => {
            PathAndQuery::try_from(format!("/{}", target.as_str())).map_err(|_| Reason::BadRequest)
        }
        Some(target) => Ok(target),
    }
}

fn via(settings: &GatewaySettings, version: Version) -> &HeaderValue {
    match version {
        Version::HTTP_2 => &settings.via_2,
        Version::HTTP_11 => &settings.via,
        _ => &settings.via_1_0,
    }
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Path and query.
const TARGET_BYTES_MAX: usize = 16 * 1024;
