//! Where the client is, if proxies in front are to be believed, and what backends are told of it.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
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
    let name = rule.header.carrier();
    let doomed: SmallVec<[HeaderName; 4]> = headers
        .keys()
        .filter(|name| is_alias(name.as_str(), is_address_header))
        .chain(headers.keys().filter(|name| !trusted && is_alias(name.as_str(), is_origin_header)))
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
    headers.remove(&name);
    if let Some(value) = value {
        headers.insert(name, value);
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
                address_list::x_forwarded_for(headers, &self.header.carrier())
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
            header => HeaderValue::try_from(header.element(peer)).ok(),
        }
    }

    /// All lines as one, or `unknown` in their place, and the peer.
    fn appended(&self, headers: &HeaderMap, peer: IpAddr) -> Option<HeaderValue> {
        let mut list = Vec::new();
        if self.list(headers).is_some() {
            for line in headers.get_all(self.header.carrier()) {
                list.extend_from_slice(line.as_bytes());
                list.extend_from_slice(b", ");
            }
        } else {
            list.extend_from_slice(self.header.unknown().as_bytes());
        }
        list.extend_from_slice(self.header.element(peer).as_bytes());
        HeaderValue::try_from(list).ok()
    }
}

impl ClientAddressHeader {
    /// The header that is carried on.
    fn carrier(&self) -> HeaderName {
        match self {
            Self::XForwardedFor | Self::None => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => FORWARDED,
            Self::Single(name) => name.clone(),
        }
    }

    /// Somebody whose address is not known, in front of somebody else.
    fn unknown(&self) -> &'static str {
        match self {
            Self::Forwarded => "for=unknown, ",
            _ => "unknown, ",
        }
    }

    /// One address as the header has it.
    fn element(&self, address: IpAddr) -> String {
        let mut element = String::new();
        // Writing to a string does not fail.
        let _ = match (self, address) {
            (Self::Forwarded, IpAddr::V4(address)) => write!(element, "for={address}"),
            (Self::Forwarded, IpAddr::V6(address)) => write!(element, "for=\"[{address}]\""),
            _ => write!(element, "{address}"),
        };
        element
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
    known(name) || (name.contains('_') && known(&name.replace('_', "-")))
}

#[cfg(test)]
mod tests;
