//! What becomes of a cookie header that came in pieces?

use http::header::{COOKIE, HeaderMap, HeaderValue};

/// Makes one line of several: HTTP/2 sends cookies in pieces, HTTP/1 has one line for them (RFC 9113, 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).into_iter();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line.as_bytes());
    }
    // Pieces of what is legal in a header are legal together.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(lines: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        join_cookies(&mut headers);
        headers.get_all(COOKIE).into_iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn pieces_become_one_line_in_their_order() {
        assert_eq!(joined(&["a=1", "b=2; c=3", "d=4"]), ["a=1; b=2; c=3; d=4"]);
    }

    #[test]
    fn one_line_and_none_stay_as_they_are() {
        assert_eq!(joined(&["a=1; b=2"]), ["a=1; b=2"]);
        assert!(joined(&[]).is_empty());
    }
}
