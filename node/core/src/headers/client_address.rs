//! Where the client is, if proxies in front are to be believed, and what backends are told of it.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use smallvec::SmallVec;

use super::address_list::{self, Addresses};

/// Whom to believe about the client's address, and in which header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddressRule {
    /// The one header that is read and carried on.
    pub header: ClientAddressHeader,
    /// The networks of proxies that are believed. IPv4 networks are written as such: one mapped into IPv6 matches nothing.
    pub trusted: Vec<IpNet>,
}

/// Which header says the client's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAddressHeader {
    /// `X-Forwarded-For`: a list, appended to by every proxy.
    XForwardedFor,
    /// `Forwarded` (RFC 7239): the same with names and quotes.
    Forwarded,
    /// A header with the client's address and nothing else, set by the proxy in front.
    Single(HeaderName),
    /// No header is believed: the client is who connects. Backends are told in `X-Forwarded-For`.
    None,
}

/// The client's address; `None` if it cannot be told.
///
/// Who connects from outside the trusted networks is the client, whatever it says. A trusted proxy is believed: of a list
/// the rightmost address that is not trusted is the client, and the leftmost if all are. Anything that stands where an
/// address is expected and is none makes the client unknown; so does a trusted proxy that says nothing, because to take
/// its own address would place every client of a misconfigured proxy in the proxy's country.
pub fn client_address(headers: &HeaderMap, peer: IpAddr, rule: &ClientAddressRule) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if rule.header == ClientAddressHeader::None || !rule.trusts(peer) {
        return Some(peer);
    }
    match &rule.header {
        ClientAddressHeader::XForwardedFor | ClientAddressHeader::Forwarded => {
            rule.client_of(&rule.list(headers)?)
        }
        ClientAddressHeader::Single(name) => address_list::single(headers, name),
        ClientAddressHeader::None => Some(peer),
    }
}

/// Makes `headers` say to a backend what this node knows of the client: in the rule's header and in no other.
///
/// A list of a trusted peer goes on with the peer's address appended, as one line. If it is missing, over its limits or not
/// of its form, `unknown` stands for it, so that whoever reads next does not take the peer for the client. What anybody
/// else says is replaced by its own address. [`ClientAddressHeader::Single`] goes on as it came from a trusted peer, or not
/// at all if it is no address. From a peer that is not trusted, what proxies say of the original request
/// (`X-Forwarded-Host`, `-Proto` and so on) is removed as well.
pub fn forward_client_address(headers: &mut HeaderMap, rule: &ClientAddressRule, peer: IpAddr) {
    let peer = peer.to_canonical();
    let trusted = rule.trusts(peer);
    let value = rule.value(headers, peer, trusted);
    let carrier = rule.header.carrier();
    let is_doomed = |name: &&HeaderName| {
        *name != carrier
            && (is_alias(name.as_str(), is_address_header)
                || !trusted && is_alias(name.as_str(), is_origin_header))
    };
    let doomed: SmallVec<[HeaderName; 4]> = headers.keys().filter(is_doomed).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
    match value {
        Some(value) => headers.insert(carrier, value),
        None => headers.remove(carrier),
    };
}

/// The client's address as [`forward_client_address`] passed it on at the node that the client is connected to.
pub fn carried_client_address(headers: &HeaderMap, rule: &ClientAddressRule) -> Option<IpAddr> {
    match &rule.header {
        ClientAddressHeader::Single(name) => address_list::single(headers, name),
        ClientAddressHeader::XForwardedFor | ClientAddressHeader::Forwarded => {
            rule.client_of(&rule.list(headers)?)
        }
        ClientAddressHeader::None => *address_list::x_forwarded_for(headers, &X_FORWARDED_FOR)?.last()?,
    }
}

impl ClientAddressRule {
    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// What the rule's header lists, if it is a list and there is one within its limits.
    fn list(&self, headers: &HeaderMap) -> Option<Addresses> {
        match &self.header {
            ClientAddressHeader::XForwardedFor => {
                address_list::x_forwarded_for(headers, self.header.carrier())
            }
            ClientAddressHeader::Forwarded => address_list::forwarded(headers, &FORWARDED),
            ClientAddressHeader::Single(_) | ClientAddressHeader::None => None,
        }
    }

    fn client_of(&self, list: &Addresses) -> Option<IpAddr> {
        let outermost = list.iter().rev().find(|address| address.is_none_or(|address| !self.trusts(address)));
        *outermost.or(list.first())?
    }

    /// What goes on in the rule's header.
    fn value(&self, headers: &HeaderMap, peer: IpAddr, trusted: bool) -> Option<HeaderValue> {
        match &self.header {
            ClientAddressHeader::Single(name) if trusted => {
                address_list::single(headers, name)?;
                headers.get(name).cloned()
            }
            ClientAddressHeader::XForwardedFor | ClientAddressHeader::Forwarded if trusted => {
                self.appended(headers, peer)
            }
            header => {
                let mut line = Line::new();
                header.push_element(peer, &mut line);
                HeaderValue::from_bytes(&line).ok()
            }
        }
    }

    /// All lines as one, or `unknown` in their place, and the peer.
    fn appended(&self, headers: &HeaderMap, peer: IpAddr) -> Option<HeaderValue> {
        let mut list = Line::new();
        let carrier = self.header.carrier();
        let lines = headers.get_all(carrier);
        let goes_on = match &self.header {
            ClientAddressHeader::Forwarded => address_list::forwarded(headers, carrier).is_some(),
            _ => address_list::is_within_limits(&lines),
        };
        if goes_on {
            for line in lines {
                list.extend_from_slice(line.as_bytes());
                list.extend_from_slice(b", ");
            }
        } else {
            list.extend_from_slice(self.header.unknown().as_bytes());
        }
        self.header.push_element(peer, &mut list);
        HeaderValue::from_bytes(&list).ok()
    }
}

impl ClientAddressHeader {
    /// The header that is carried on.
    fn carrier(&self) -> &HeaderName {
        match self {
            Self::XForwardedFor | Self::None => &X_FORWARDED_FOR,
            Self::Forwarded => &FORWARDED,
            Self::Single(name) => name,
        }
    }

    /// Somebody whose address is not known, in front of somebody else.
    fn unknown(&self) -> &'static str {
        match self {
            Self::Forwarded => "for=unknown, ",
            _ => "unknown, ",
        }
    }

    /// Appends one address as the header has it.
    fn push_element(&self, address: IpAddr, line: &mut Line) {
        match (self, address) {
            (Self::Forwarded, IpAddr::V4(address)) => {
                line.extend_from_slice(b"for=");
                push_v4(address, line);
            }
            (Self::Forwarded, IpAddr::V6(address)) => {
                line.extend_from_slice(format!("for=\"[{address}]\"").as_bytes());
            }
            (_, IpAddr::V4(address)) => push_v4(address, line),
            (_, IpAddr::V6(address)) => line.extend_from_slice(address.to_string().as_bytes()),
        }
    }
}

/// Appends an address in dotted decimals; the formatter of the standard library takes five times as long.
fn push_v4(address: Ipv4Addr, line: &mut Line) {
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            line.push(b'.');
        }
        if octet >= 100 {
            line.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            line.push(b'0' + octet / 10 % 10);
        }
        line.push(b'0' + octet % 10);
    }
}

/// Whether a header is known to say where a client is.
pub(super) fn is_address_header(name: &str) -> bool {
    matches!(
        name,
        "cf-connecting-ip"
            | "cf-connecting-ipv6"
            | "cf-pseudo-ipv4"
            | "client-ip"
            | "do-connecting-ip"
            | "fastly-client-ip"
            | "fly-client-ip"
            | "forwarded"
            | "forwarded-for"
            | "true-client-ip"
            | "x-appengine-user-ip"
            | "x-azure-clientip"
            | "x-azure-socketip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-envoy-external-address"
            | "x-forwarded"
            | "x-forwarded-for"
            | "x-original-forwarded-for"
            | "x-originating-ip"
            | "x-real-ip"
            | "x-remote-addr"
            | "x-remote-ip"
    )
}

/// Whether a header is known to say what was asked of a proxy in front.
fn is_origin_header(name: &str) -> bool {
    matches!(
        name,
        "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-forwarded-proto"
            | "x-forwarded-scheme"
            | "x-forwarded-server"
            | "x-forwarded-ssl"
    )
}

/// Whether `name` is one of the `known`, or becomes one for backends that do not tell `_` from `-`.
fn is_alias(name: &str, known: fn(&str) -> bool) -> bool {
    known(name) || (name.as_bytes().contains(&b'_') && known(&name.replace('_', "-")))
}

/// Whether a backend that does not tell `_` from `-` reads in it where a client is, or what was asked of a proxy.
pub(super) fn is_address_alias(name: &str) -> bool {
    is_alias(name, is_address_header) || is_alias(name, is_origin_header)
}

/// A header line in the making.
type Line = SmallVec<[u8; 128]>;

static FORWARDED: HeaderName = header::FORWARDED;
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests;
