//! What a request needs to be sent again after its bytes have left.

use std::rc::Rc;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::request_body::{RequestBody, Source};

/// A request whose method is idempotent, and which may be repeated as long as what was read of its body is kept.
///
/// Nearly all are dropped unused, so it is made to be written cheaply: header lines stand one after the other in one
/// buffer. A copy of the map takes several allocations, and two counted references for each line.
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    lines: Vec<u8>,
    extensions: Extensions,
    body: Option<Rc<Source>>,
}

impl Spare {
    /// What is needed of the request, if its method allows to repeat it.
    pub(super) fn of(request: &Request<RequestBody>) -> Option<Self> {
        request.method().is_idempotent().then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            lines: write(request.headers()),
            extensions: request.extensions().clone(),
            body: request.body().source().map(Rc::clone),
        })
    }

    /// Whether all of the request is there.
    pub(super) fn is_whole(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_whole())
    }

    /// The request once more, if all of it is there.
    pub(super) fn request(&self) -> Option<Request<RequestBody>> {
        let body = match &self.body {
            None => RequestBody::Empty,
            Some(body) => body.is_whole().then(|| body.again())?,
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = read(&self.lines)?;
        *request.extensions_mut() = self.extensions.clone();
        Some(request)
    }
}

/// Each line is its lengths, its name, its value.
fn write(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::with_capacity(LINES_BYTES);
    for (name, value) in headers {
        let name = name.as_str().as_bytes();
        let lengths = [name.len(), value.len()].map(|length| (length as u32).to_ne_bytes());
        lines.extend_from_slice(lengths.as_flattened());
        lines.extend_from_slice(name);
        lines.extend_from_slice(value.as_bytes());
    }
    lines
}

/// What [`write`] was given.
fn read(mut lines: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !lines.is_empty() {
        let [name, value] = [length(&mut lines)?, length(&mut lines)?];
        let name = HeaderName::from_lowercase(lines.split_off(..name)?).ok()?;
        let value = HeaderValue::from_bytes(lines.split_off(..value)?).ok()?;
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}

fn length(lines: &mut &[u8]) -> Option<usize> {
    let (length, rest) = lines.split_first_chunk()?;
    *lines = rest;
    Some(u32::from_ne_bytes(*length) as usize)
}

/// Enough for most heads, so that the buffer seldom grows.
const LINES_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_come_back_as_they_were() {
        let long = "x".repeat(5_000);
        let lines =
            [("accept", ""), ("cookie", "a=1"), ("x-long", &*long), ("cookie", "b=\u{e4}"), ("x", "\t y")];
        let mut headers = HeaderMap::new();
        assert_eq!(read(&write(&headers)), Some(headers.clone()));
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        assert_eq!(read(&write(&headers)), Some(headers));
    }

    #[test]
    fn only_what_may_be_repeated_is_kept() {
        let spare = |method: &str, body| {
            let request = Request::builder().method(method).uri("/a?b").header("host", "test").body(body);
            Spare::of(&request.unwrap())
        };
        let again = spare("DELETE", RequestBody::Empty).unwrap().request().unwrap();
        assert_eq!((again.method(), again.uri().to_string()), (&Method::DELETE, "/a?b".into()));
        assert_eq!(again.headers()["host"], "test");
        assert!(spare("POST", RequestBody::Empty).is_none());
    }
}
