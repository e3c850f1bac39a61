//! Which host a request asks for.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Version};

use super::HOST_BYTES_MAX;
use crate::Reason;

/// The host of a request: as the client wrote it, and as tenants are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    authority: Authority,
    name: Name,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// So many bytes from the front of the authority.
    Front(usize),
    /// Written in another way than the authority.
    Own(String),
}

impl Host {
    /// Host and port as the client wrote them, without user information. What the backend is to be told in `Host`,
    /// whatever the request's own `Host` said.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host in lower case, without port and without a dot at its end; an IPv6 address in brackets and its shortest form.
    pub fn name(&self) -> &str {
        match &self.name {
            Name::Front(length) => &self.authority.as_str()[..*length],
            Name::Own(name) => name,
        }
    }

    fn parse(authority: Authority) -> Option<Self> {
        let written = authority.as_str();
        let (host, port) = split_port(written)?;
        if !(port.is_empty() || port.parse::<u16>().is_ok())
            || !port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let name = match normal(host)? {
            // Nothing can stand before it: user information is no part of a name.
            Cow::Borrowed(name) => Name::Front(name.len()),
            Cow::Owned(name) => Name::Own(name),
        };
        Some(Self { authority, name })
    }
}

/// The host that a request asks for.
///
/// A target in absolute form says it and `Host` is ignored (RFC 9112, 3.2.2); otherwise `Host` does. HTTP/1.1 must have
/// exactly one `Host`, and in HTTP/2 and later it must not contradict the target. The error is the reason to refuse with:
/// a missing, doubled or malformed host, one with user information, or a bare host as the target (which is for CONNECT
/// alone, and which others read as a path) is a bad request; CONNECT is not supported.
pub fn host_of(request: &Parts) -> Result<Host, Reason> {
    if request.method == Method::CONNECT {
        return Err(Reason::NotSupported);
    }
    let header = header_of(request)?;
    if let Some(scheme) = request.uri.scheme()
        && *scheme != Scheme::HTTP
        && *scheme != Scheme::HTTPS
    {
        return Err(Reason::BadRequest);
    }
    let Some(target) = request.uri.authority() else {
        return header.ok_or(Reason::BadRequest);
    };
    if request.uri.scheme().is_none() {
        return Err(Reason::BadRequest);
    }
    let host = Host::parse(target.clone()).ok_or(Reason::BadRequest)?;
    match header {
        Some(header) if request.version >= Version::HTTP_2 && !same(&header, &host) => {
            Err(Reason::BadRequest)
        }
        _ => Ok(host),
    }
}

/// What `Host` says: there must be one in HTTP/1.1 and not more than one ever.
fn header_of(request: &Parts) -> Result<Option<Host>, Reason> {
    let mut lines = request.headers.get_all(HOST).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => parse_line(line).map(Some).ok_or(Reason::BadRequest),
        (None, None) if request.version != Version::HTTP_11 => Ok(None),
        _ => Err(Reason::BadRequest),
    }
}

fn parse_line(line: &HeaderValue) -> Option<Host> {
    Host::parse(Authority::try_from(line.as_bytes()).ok()?)
}

fn same(a: &Host, b: &Host) -> bool {
    a.name() == b.name() && a.authority.port_u16() == b.authority.port_u16()
}

/// The host and what follows its colon; brackets belong to the host.
fn split_port(authority: &str) -> Option<(&str, &str)> {
    let after = authority.bytes().rposition(|byte| byte == b']').map_or(0, |at| at + 1);
    let (front, rest) = authority.split_at(after);
    match rest.split_once(':') {
        None if after > 0 && !rest.is_empty() => None,
        None => Some((authority, "")),
        Some((between, _)) if after > 0 && !between.is_empty() => None,
        Some((name, port)) => Some((if after > 0 { front } else { name }, port)),
    }
}

/// The host as tenants are known by; `None` if it is neither a name nor an address.
fn normal(host: &str) -> Option<Cow<'_, str>> {
    if let Some(literal) = host.strip_prefix('[') {
        let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
        return Some(Cow::Owned(format!("[{address}]")));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_name = (1..=HOST_BYTES_MAX).contains(&name.len())
        && name.as_bytes().split(|byte| *byte == b'.').all(is_label);
    let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    is_name.then(|| if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) })
}

fn is_label(label: &[u8]) -> bool {
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.iter().all(is_legal)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn request(version: Version, target: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    fn name(target: &str, hosts: &[&str]) -> Result<String, Reason> {
        host_of(&request(Version::HTTP_11, target, hosts)).map(|host| host.name().to_owned())
    }

    #[test]
    fn the_name_is_lower_case_and_without_port_or_final_dot() {
        for written in [
            "shop.example",
            "Shop.EXAMPLE",
            "shop.example:8443",
            "SHOP.example.",
            "shop.example.:80",
            "shop.example:",
        ] {
            assert_eq!(name("/", &[written]), Ok("shop.example".into()), "{written}");
        }
        assert_eq!(name("/", &["192.0.2.1:80"]), Ok("192.0.2.1".into()));
        assert_eq!(name("/", &["localhost"]), Ok("localhost".into()));
    }

    #[test]
    fn the_authority_stays_as_written() {
        let host = host_of(&request(Version::HTTP_11, "/", &["Shop.Example:8443"])).unwrap();
        assert_eq!(host.authority().as_str(), "Shop.Example:8443");
    }

    #[test]
    fn ipv6_literals_have_one_form() {
        for written in ["[2001:db8::1]", "[2001:DB8:0:0::1]:443"] {
            assert_eq!(name("/", &[written]), Ok("[2001:db8::1]".into()), "{written}");
        }
    }

    #[test]
    fn there_is_exactly_one_host_in_http_1_1() {
        assert_eq!(name("/", &[]), Err(Reason::BadRequest));
        assert_eq!(name("/", &["a.example", "a.example"]), Err(Reason::BadRequest));
        assert_eq!(name("http://a.example/", &[]), Err(Reason::BadRequest));
        assert_eq!(name("http://a.example/", &["a.example", "b.example"]), Err(Reason::BadRequest));
    }

    #[test]
    fn an_absolute_target_wins_over_the_header() {
        assert_eq!(name("http://A.example:80/x", &["b.example"]), Ok("a.example".into()));
        let host = host_of(&request(Version::HTTP_11, "http://a.example:80/x", &["b.example"])).unwrap();
        assert_eq!(host.authority().as_str(), "a.example:80");
        assert_eq!(name("ftp://a.example/", &["a.example"]), Err(Reason::BadRequest));
    }

    #[test]
    fn a_bare_host_is_no_target() {
        assert_eq!(name("a.example", &["b.example"]), Err(Reason::BadRequest));
        assert_eq!(name("a.example:80", &["a.example"]), Err(Reason::BadRequest));
    }

    #[test]
    fn http_1_0_may_say_it_in_the_target_alone() {
        let host = |target, hosts: &[&str]| host_of(&request(Version::HTTP_10, target, hosts)).map(|_| ());
        assert_eq!(host("http://a.example/", &[]), Ok(()));
        assert_eq!(host("/", &["a.example"]), Ok(()));
        assert_eq!(host("/", &[]), Err(Reason::BadRequest));
    }

    #[test]
    fn http_2_does_not_contradict_itself() {
        let host =
            |hosts: &[&str]| host_of(&request(Version::HTTP_2, "https://a.example/", hosts)).map(|_| ());
        assert_eq!(host(&[]), Ok(()));
        assert_eq!(host(&["A.example"]), Ok(()));
        assert_eq!(host(&["b.example"]), Err(Reason::BadRequest));
        assert_eq!(host(&["a.example:1"]), Err(Reason::BadRequest));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}.example", "a".repeat(HOST_BYTES_MAX));
        for wrong in [
            "",
            " ",
            ".",
            "..",
            "a..b",
            ".a",
            "user@a.example",
            "user:pw@a.example",
            "@a.example",
            "a.example/",
            "a b",
            "a,b",
            "a.example:x",
            "a.example:65536",
            "a.example:80:80",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:x",
            "[fe80::1%25eth0]",
            "[192.0.2.1]",
            "[]",
            "*.example",
            "a%2eexample",
            "a.example#",
            "a.example?",
            "\u{e9}.example",
            &long,
        ] {
            assert_eq!(name("/", &[wrong]), Err(Reason::BadRequest), "{wrong:?}");
        }
        assert_eq!(name("http://user@a.example/", &["a.example"]), Err(Reason::BadRequest));
    }

    #[test]
    fn the_longest_name_is_a_host() {
        let longest = format!("{}.b", "a".repeat(HOST_BYTES_MAX - 2));
        assert_eq!(name("/", &[&longest]), Ok(longest.clone()));
        assert_eq!(name("/", &[&format!("{longest}c")]), Err(Reason::BadRequest));
    }

    #[test]
    fn connect_is_not_supported() {
        let mut connect = request(Version::HTTP_11, "a.example:443", &["a.example:443"]);
        connect.method = Method::CONNECT;
        assert_eq!(host_of(&connect), Err(Reason::NotSupported));
    }

    proptest! {
        #[test]
        fn names_keep_their_labels(labels in prop::collection::vec("[A-Za-z0-9_-]{1,20}", 1..6), port in prop::option::of(any::<u16>())) {
            let host = labels.join(".");
            let written = port.map_or(host.clone(), |port| format!("{host}:{port}"));
            prop_assert_eq!(name("/", &[&written]), Ok(host.to_ascii_lowercase()));
        }

        #[test]
        fn no_host_makes_it_panic_and_names_are_clean(written in prop_oneof!["[!-~]{0,40}", "[a-z\\[\\]:.@0-9]{0,30}"]) {
            if let Ok(name) = name("/", &[&written]) {
                prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.:[]".contains(&b)));
                prop_assert!(!written.contains('@'));
                prop_assert_eq!(self::name("/", &[&name]), Ok(name.clone()));
            }
        }
    }
}
