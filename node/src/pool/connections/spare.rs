//! What a request needs to be sent again after its bytes have left.

use graticule_node_core::policy::RetryRule;
use http::{Extensions, HeaderMap, Method, Request, Uri};

use super::exchange::Unsent;
use super::request_body::RequestBody;

/// A copy of a request that may be repeated: it has no body, and its method is idempotent.
#[derive(Debug)]
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
}

impl Spare {
    /// A copy, if the request may be repeated and `rule` would.
    pub(super) fn of(rule: &RetryRule, unsent: &Unsent) -> Option<Self> {
        let request = unsent.as_ref().filter(|_| rule.retries_max > 0)?;
        let repeatable = request.method().is_idempotent() && matches!(request.body(), RequestBody::Empty);
        repeatable.then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            extensions: request.extensions().clone(),
        })
    }

    /// The request once more.
    pub(super) fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        request
    }
}
