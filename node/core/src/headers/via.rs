//! Which proxies a request has come through: `Via`, and whether it runs in a circle.

use http::Version;
use http::header::{HeaderMap, HeaderValue, VIA};

use super::{VIA_HOPS_MAX, VIA_OWN_MAX};

/// Appends this node, which received the message in the given version, to `Via`. A name that is no token of HTTP is left
/// out.
pub fn append_via(headers: &mut HeaderMap, version: Version, node: &str) {
    let version = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    if let Ok(hop) = HeaderValue::try_from(format!("{version} {node}")) {
        headers.append(VIA, hop);
    }
}

/// Whether a request has come through this node more than [`VIA_OWN_MAX`] times, or through more than [`VIA_HOPS_MAX`]
/// proxies. To be asked before [`append_via`].
pub fn is_loop(headers: &HeaderMap, node: &str) -> bool {
    let mut own = 0;
    let mut hops = 0;
    for hop in headers.get_all(VIA).into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
        hops += 1;
        own += usize::from(received_by(hop) == Some(node.as_bytes()));
        if own > VIA_OWN_MAX || hops > VIA_HOPS_MAX {
            return true;
        }
    }
    false
}

/// Who received, of `1.1 name` or `1.1 name (comment)`.
fn received_by(hop: &[u8]) -> Option<&[u8]> {
    hop.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(VIA, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn this_node_is_appended_after_those_before() {
        let mut headers = via(&["1.0 fred"]);
        append_via(&mut headers, Version::HTTP_11, "eu-1");
        append_via(&mut headers, Version::HTTP_2, "us-1");
        assert_eq!(headers, via(&["1.0 fred", "1.1 eu-1", "2 us-1"]));
    }

    #[test]
    fn a_name_with_a_line_break_is_left_out() {
        let mut headers = HeaderMap::new();
        append_via(&mut headers, Version::HTTP_11, "a\r\nhost: b");
        assert!(headers.is_empty());
    }

    #[test]
    fn a_node_may_be_passed_so_often_and_no_more() {
        assert!(!is_loop(&HeaderMap::new(), "eu-1"));
        assert!(!is_loop(&via(&["1.1 eu-1, 1.1  us-1", "1.1 eu-1 (again)"]), "eu-1"));
        assert!(is_loop(&via(&["1.1 eu-1, 1.1 us-1,\t2 eu-1", "1.1 eu-1"]), "eu-1"));
        assert!(!is_loop(&via(&["1.1 eu-10, 1.1 eu-1x, eu-1, 1.1 x (eu-1)"]), "eu-1"));
    }

    #[test]
    fn so_many_proxies_and_no_more() {
        let hops = |count: usize| via(&[&vec!["1.1 a"; count].join(",")]);
        assert!(!is_loop(&hops(VIA_HOPS_MAX), "eu-1"));
        assert!(is_loop(&hops(VIA_HOPS_MAX + 1), "eu-1"));
    }

    #[test]
    fn passing_this_node_again_and_again_is_noticed() {
        let mut headers = HeaderMap::new();
        let mut passes = 0;
        while !is_loop(&headers, "eu-1") {
            append_via(&mut headers, Version::HTTP_11, "eu-1");
            passes += 1;
        }
        assert_eq!(passes, VIA_OWN_MAX + 1);
    }
}
