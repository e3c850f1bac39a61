//! What became of one request, as counters, logs and traces tell it.

use std::time::Duration;

use http::Version;

use crate::Reason;

/// What this node was for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It held the client's connection.
    Edge,
    /// Another node relayed the request to it.
    Serving,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Edge, Self::Serving];

    /// The role in one word, for logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Serving => "serving",
        }
    }
}

/// How a request came to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// From a client of HTTP/1.0.
    Http10,
    /// From a client of HTTP/1.1.
    Http11,
    /// From a client of HTTP/2.
    Http2,
    /// From another node.
    Tunnel,
}

impl Protocol {
    /// What a client speaks whose requests have this version.
    pub fn of(version: Version) -> Self {
        match version {
            Version::HTTP_2 => Self::Http2,
            Version::HTTP_11 => Self::Http11,
            _ => Self::Http10,
        }
    }

    /// What this node is for such a request.
    pub const fn role(self) -> Role {
        match self {
            Self::Tunnel => Role::Serving,
            Self::Http10 | Self::Http11 | Self::Http2 => Role::Edge,
        }
    }

    /// The version of HTTP that the client speaks, if it comes from one.
    pub const fn version(self) -> Option<&'static str> {
        match self {
            Self::Http10 => Some("1.0"),
            Self::Http11 => Some("1.1"),
            Self::Http2 => Some("2"),
            Self::Tunnel => None,
        }
    }

    /// The protocol as logs show it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Tunnel => "tunnel",
        }
    }
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What this node was for it.
    pub role: Role,
    /// The status of its answer; `None` if whoever asked was gone before there was one.
    pub status: Option<u16>,
    /// Why it was refused, if it was.
    pub reason: Option<Reason>,
    /// Sendings to a backend or a peer by this node, the first included.
    pub attempts: u8,
    /// Bytes of its body that were read.
    pub bytes_up: u64,
    /// Bytes of its answer's body that were passed on.
    pub bytes_down: u64,
    /// Whether the answer came to its end.
    pub complete: bool,
    /// From its head to the end of its answer.
    pub total: Duration,
}

impl Outcome {
    /// A request that was refused as soon as it came.
    pub const fn refused(role: Role, reason: Reason) -> Self {
        Self {
            role,
            status: Some(reason.row().status),
            reason: Some(reason),
            attempts: 0,
            bytes_up: 0,
            bytes_down: 0,
            complete: true,
            total: Duration::ZERO,
        }
    }
}

/// What a status says, as far as counters tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 1xx: the connection was given to another protocol.
    Switched,
    /// 2xx.
    Success,
    /// 3xx.
    Redirect,
    /// 4xx.
    ClientError,
    /// 5xx and everything else.
    ServerError,
    /// None: whoever asked was gone before.
    Gone,
}

impl Class {
    /// Every class, in the order of counters.
    pub const ALL: [Self; 6] =
        [Self::Switched, Self::Success, Self::Redirect, Self::ClientError, Self::ServerError, Self::Gone];

    /// The class of a status.
    pub const fn of(status: Option<u16>) -> Self {
        match status {
            None => Self::Gone,
            Some(status) => match status / 100 {
                1 => Self::Switched,
                2 => Self::Success,
                3 => Self::Redirect,
                4 => Self::ClientError,
                _ => Self::ServerError,
            },
        }
    }

    /// The class as metrics show it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Switched => "1xx",
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_status_has_the_class_of_its_first_digit(status in 100u16..600) {
            let label = Class::of(Some(status)).label();
            prop_assert_eq!(label, format!("{}xx", status / 100));
        }
    }

    #[test]
    fn who_relays_is_served_and_clients_have_an_edge_whatever_they_speak() {
        for (version, label) in
            [(Version::HTTP_10, "HTTP/1.0"), (Version::HTTP_11, "HTTP/1.1"), (Version::HTTP_2, "HTTP/2")]
        {
            let protocol = Protocol::of(version);
            assert_eq!((protocol.label(), protocol.role()), (label, Role::Edge));
            assert!(label.ends_with(protocol.version().unwrap()), "{label}");
        }
        assert_eq!((Protocol::Tunnel.role(), Protocol::Tunnel.version()), (Role::Serving, None));
    }

    #[test]
    fn classes_are_in_the_order_of_their_numbers() {
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
        }
        assert_eq!(Class::of(None), Class::Gone);
        assert_eq!(Class::of(Some(999)), Class::ServerError, "whatever a backend says that is no status");
    }
}
