//! Who may ask what: tokens, roles, and how much of the node's time all callers together may take.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use graticule_node_api::{Problem, Route};
use graticule_node_core::Moment;
use graticule_node_core::config::{AdminRole, AdminToken};

use super::{AdminState, handlers, problem};

/// Whom the admin API answers.
#[derive(Debug)]
pub struct Access {
    tokens: Vec<AdminToken>,
    /// Calls that may come now, and since when. Only callers of this API wait for each other here.
    calls: Mutex<(f64, Moment)>,
}

impl Access {
    /// Those with one of these tokens; everybody if there are none.
    pub fn new(tokens: Vec<AdminToken>) -> Self {
        Self { tokens, calls: Mutex::new((CALLS_BURST, Moment::default())) }
    }

    /// Whether somebody with this token may do what `role` may.
    pub(super) fn check(&self, token: Option<&str>, role: AdminRole) -> Result<(), Problem> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        let Some(token) = token else {
            let detail =
                "send `Authorization: Bearer TOKEN`; commands take --token or GRATICULE_TOKEN".to_owned();
            return Err(problem(401, "no-token", "A token is needed", detail));
        };
        let hash = digest(&SHA256, token.as_bytes());
        // Of hashes, so that how long it takes tells nothing of any token.
        let Some(known) = self.tokens.iter().find(|known| known.sha256 == hash.as_ref()) else {
            let detail =
                "this node knows no such token; `[[admin.tokens]]` of its node.toml lists those it knows"
                    .to_owned();
            return Err(problem(401, "unknown-token", "Unknown token", detail));
        };
        if known.role < role {
            let detail = format!(
                "the token of `{}` is a {}'s, and this needs an {}'s",
                known.name,
                known.role.label(),
                role.label()
            );
            return Err(problem(403, "role", "Not with this token", detail));
        }
        Ok(())
    }

    /// Counts one call, unless there have been too many lately.
    fn admit(&self, now: Moment) -> Result<(), Problem> {
        // It holds two numbers, which are right whatever happened to who changed them last.
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = *calls;
        let left = (left + now.since(since).as_secs_f64() * CALLS_PER_SECOND_MAX).min(CALLS_BURST);
        *calls = ((left - 1.0).max(0.0), now);
        if left < 1.0 {
            let detail = format!("this node answers {CALLS_PER_SECOND_MAX} calls a second; ask less often");
            return Err(problem(429, "too-many-calls", "Too many calls", detail));
        }
        Ok(())
    }
}

/// Stands before every path: probes are always answered, all else within limits and by role.
pub(super) async fn guard(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let route = Route::of(request.uri().path());
    if route.is_some_and(Route::is_open) {
        return next.run(request).await;
    }
    let role = if request.method() == Method::POST { AdminRole::Operator } else { AdminRole::Viewer };
    let access = &state.access;
    let admitted =
        access.check(bearer(request.headers()), role).and_then(|()| access.admit(state.clock.now()));
    match admitted {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            let status = problem.status;
            let mut response = handlers::problem(problem).into_response();
            let hint = match status {
                401 => Some((header::WWW_AUTHENTICATE, "Bearer")),
                429 => Some((header::RETRY_AFTER, "1")),
                _ => None,
            };
            if let Some((name, value)) = hint {
                response.headers_mut().insert(name, axum::http::HeaderValue::from_static(value));
            }
            response
        }
    }
}

/// The token that a call brings.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Calls that are answered over any longer time.
const CALLS_PER_SECOND_MAX: f64 = 1_000.0;
/// Calls that are answered at once.
const CALLS_BURST: f64 = 2_000.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn access() -> Access {
        let token = |name: &str, role, token: &str| {
            let sha256 = digest(&SHA256, token.as_bytes()).as_ref().try_into().unwrap();
            AdminToken { name: name.to_owned(), role, sha256 }
        };
        Access::new(vec![token("eve", AdminRole::Viewer, "see"), token("olga", AdminRole::Operator, "do")])
    }

    fn status(access: &Access, token: Option<&str>, role: AdminRole) -> u16 {
        access.check(token, role).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn a_viewer_sees_and_an_operator_does_both() {
        let access = access();
        for (token, view, operate) in
            [(Some("see"), 200, 403), (Some("do"), 200, 200), (Some("other"), 401, 401), (None, 401, 401)]
        {
            assert_eq!(status(&access, token, AdminRole::Viewer), view, "{token:?}");
            assert_eq!(status(&access, token, AdminRole::Operator), operate, "{token:?}");
        }
    }

    #[test]
    fn without_tokens_whoever_reaches_it_may() {
        assert_eq!(status(&Access::new(Vec::new()), None, AdminRole::Operator), 200);
    }

    #[test]
    fn calls_are_limited_and_come_back_with_time() {
        let access = access();
        let now = Moment::from_millis(1_000_000);
        let admitted = (0..5_000).filter(|_| access.admit(now).is_ok()).count();
        assert_eq!(admitted, 2_000);
        let later = now + Duration::from_millis(100);
        let admitted = (0..5_000).filter(|_| access.admit(later).is_ok()).count();
        assert!((99..=101).contains(&admitted), "{admitted}");
    }
}
