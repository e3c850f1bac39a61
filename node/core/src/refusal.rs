//! Decisions not to forward: one table of reasons, statuses and labels.

use std::fmt;
use std::time::Duration;

/// Why a request is not forwarded, or was and got no answer. One row each in [`Reason::row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No tenant claims this host, path and headers.
    UnknownTenant,
    /// The client named another tenant when it set up TLS than in its request.
    Misdirected,
    /// The tenant lets its requests be received only in its own regions, and this node is in none of them.
    ReceiveNotAllowed,
    /// The tenant's rules ask for the client's country, which is unknown, and the tenant said `unknown = "refuse"`.
    UnknownLocation,
    /// The tenant's rules allow no region at all for this client or route.
    NotPermitted,
    /// Every region that the rules allow is without a pool, a healthy backend or a way to it.
    NoCompliantRegion,
    /// The serving node's own rules forbid what the edge's rules allowed.
    PolicySkew,
    /// The node is leaving and takes no new requests.
    Draining,
    /// The node or backend is at its limit of requests in flight.
    Overloaded,
    /// The request breaks HTTP's rules.
    BadRequest,
    /// The client sent nothing of its request's body for too long.
    RequestTimeout,
    /// The request's path or headers are over their limits.
    HeadersTooLarge,
    /// The request's body is longer than the tenant's limit.
    BodyTooLarge,
    /// A method or upgrade this gateway does not forward.
    NotSupported,
    /// No connection to a backend could be made.
    BackendUnreachable,
    /// The backend's connection broke, or its answer was no HTTP.
    BackendFailed,
    /// The backend did not answer in time.
    BackendTimeout,
    /// The request has no answer within the tenant's limit.
    DeadlineExceeded,
    /// The tunnel to the serving node broke after it had accepted the request, which may not be sent twice.
    TunnelLost,
    /// The serving node accepted the request and did not answer in time.
    TunnelTimeout,
}

/// One row of the table: how a [`Reason`] is said to clients, operators and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The label in problem+json, `Proxy-Status`, metrics and documentation.
    pub label: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The error type of RFC 9209 for `Proxy-Status`.
    pub proxy_error: &'static str,
    /// A sentence for whoever reads the answer.
    pub title: &'static str,
    /// When trying again may help.
    pub retry_after: Option<Duration>,
}

impl Reason {
    /// Every reason, in the order of the table.
    pub const ALL: [Self; 20] = [
        Self::UnknownTenant,
        Self::Misdirected,
        Self::ReceiveNotAllowed,
        Self::UnknownLocation,
        Self::NotPermitted,
        Self::NoCompliantRegion,
        Self::PolicySkew,
        Self::Draining,
        Self::Overloaded,
        Self::BadRequest,
        Self::RequestTimeout,
        Self::HeadersTooLarge,
        Self::BodyTooLarge,
        Self::NotSupported,
        Self::BackendUnreachable,
        Self::BackendFailed,
        Self::BackendTimeout,
        Self::DeadlineExceeded,
        Self::TunnelLost,
        Self::TunnelTimeout,
    ];

    /// This reason's row.
    pub const fn row(self) -> Row {
        TABLE[self as usize]
    }

    /// What a client of gRPC is told in `grpc-status`.
    pub const fn grpc_status(self) -> u8 {
        match self {
            Self::RequestTimeout | Self::BackendTimeout | Self::DeadlineExceeded | Self::TunnelTimeout => {
                DEADLINE_EXCEEDED
            }
            Self::ReceiveNotAllowed | Self::UnknownLocation | Self::NotPermitted => PERMISSION_DENIED,
            Self::Overloaded | Self::HeadersTooLarge | Self::BodyTooLarge => RESOURCE_EXHAUSTED,
            Self::UnknownTenant | Self::NotSupported => UNIMPLEMENTED,
            Self::BadRequest => INTERNAL,
            Self::Misdirected
            | Self::NoCompliantRegion
            | Self::PolicySkew
            | Self::Draining
            | Self::BackendUnreachable
            | Self::BackendFailed
            | Self::TunnelLost => UNAVAILABLE,
        }
    }

    /// The reason with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.row().label == label)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().label)
    }
}

/// A decision not to forward one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
}

/// By [`Reason`], in its order.
const TABLE: [Row; Reason::ALL.len()] = [
    row("unknown-tenant", 404, "destination_not_found", "No tenant is known by this address."),
    row("misdirected", 421, "http_request_denied", "This connection was made for another tenant."),
    row(
        "receive-not-allowed",
        421,
        "http_request_denied",
        "This tenant's requests may not be received here.",
    ),
    row(
        "unknown-location",
        403,
        "http_request_denied",
        "The client's country is unknown and the tenant's rules depend on it.",
    ),
    row("not-permitted", 403, "http_request_denied", "The tenant's rules allow no region for this request."),
    row(
        "no-compliant-region",
        503,
        "destination_unavailable",
        "No region that the tenant's rules allow can serve this request now.",
    )
    .again_soon(),
    row(
        "policy-skew",
        503,
        "destination_unavailable",
        "The serving region's rules forbid what the receiving region's allow.",
    )
    .again_soon(),
    row("draining", 503, "destination_unavailable", "This node is leaving.").again_soon(),
    row("overloaded", 503, "connection_limit_reached", "Too many requests are in flight.").again_soon(),
    row("bad-request", 400, "http_request_error", "The request breaks HTTP's rules."),
    row("request-timeout", 408, "http_request_error", "The request's body did not come in time."),
    row("headers-too-large", 431, "http_request_error", "The request's path or headers are over the limit."),
    row("body-too-large", 413, "http_request_error", "The request's body is over the tenant's limit."),
    row("not-supported", 501, "http_request_denied", "This method or upgrade is not forwarded."),
    row("backend-unreachable", 502, "connection_refused", "No connection to a backend could be made.")
        .again_soon(),
    row(
        "backend-failed",
        502,
        "http_response_incomplete",
        "The backend broke off, or its answer was no HTTP.",
    ),
    row("backend-timeout", 504, "http_response_timeout", "The backend did not answer in time."),
    row(
        "deadline-exceeded",
        504,
        "http_response_timeout",
        "The request was not answered within the tenant's limit.",
    ),
    row(
        "tunnel-lost",
        502,
        "connection_terminated",
        "The serving node was lost after it had accepted the request.",
    ),
    row("tunnel-timeout", 504, "connection_timeout", "The serving node did not answer in time."),
];

const fn row(label: &'static str, status: u16, proxy_error: &'static str, title: &'static str) -> Row {
    Row { label, status, proxy_error, title, retry_after: None }
}

impl Row {
    const fn again_soon(self) -> Self {
        Self { retry_after: Some(Duration::from_secs(1)), ..self }
    }
}

// Of gRPC's codes those that are used here.
const DEADLINE_EXCEEDED: u8 = 4;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_the_row_of_its_name() {
        for reason in Reason::ALL {
            let kebab = format!("{reason:?}").char_indices().fold(String::new(), |kebab, (at, letter)| {
                let hyphen = if at > 0 && letter.is_uppercase() { "-" } else { "" };
                format!("{kebab}{hyphen}{}", letter.to_ascii_lowercase())
            });
            assert_eq!(reason.row().label, kebab);
            assert_eq!(reason.to_string(), kebab);
        }
    }

    #[test]
    fn reasons_are_found_by_their_labels() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_label(reason.row().label), Some(reason));
        }
        assert_eq!(Reason::from_label("because"), None);
    }

    #[test]
    fn refusals_are_errors_of_the_client_or_of_the_server() {
        for reason in Reason::ALL {
            assert!((400..600).contains(&reason.row().status), "{reason}");
        }
        assert_eq!(Reason::NoCompliantRegion.row().status, 503);
        assert_eq!(Reason::ReceiveNotAllowed.row().status, 421);
    }

    /// `grpc-message` is percent-encoded; what needs no encoding is sent as it is.
    #[test]
    fn what_is_said_to_clients_of_grpc_needs_no_encoding() {
        for reason in Reason::ALL {
            let Row { label, title, .. } = reason.row();
            let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'%';
            assert!(label.bytes().chain(title.bytes()).all(is_plain), "{reason}");
        }
    }

    #[test]
    fn only_what_may_pass_is_worth_another_try() {
        for reason in Reason::ALL {
            let Row { status, retry_after, .. } = reason.row();
            assert!(retry_after.is_none() || status >= 500, "{reason} is the client's fault");
            assert!(status != 503 || retry_after.is_some(), "{reason} will pass");
        }
    }

    #[test]
    fn proxy_errors_are_those_of_rfc_9209() {
        let registered = [
            "destination_not_found",
            "destination_unavailable",
            "connection_refused",
            "connection_terminated",
            "connection_timeout",
            "connection_limit_reached",
            "http_request_error",
            "http_request_denied",
            "http_response_incomplete",
            "http_response_timeout",
        ];
        for reason in Reason::ALL {
            assert!(registered.contains(&reason.row().proxy_error), "{reason}");
        }
    }
}
