//! The admin API's paths.

use std::sync::OnceLock;

use axum::Json;
use axum::extract::{Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use graticule_node_api as api;
use graticule_node_core::metrics::Exposition;

use super::{AdminState, access, answers, drain as leave, events, why as explain};

pub(super) async fn health(State(state): State<AdminState>) -> Json<api::Health> {
    Json(answers::health(&state))
}

pub(super) async fn ready(State(state): State<AdminState>) -> Response {
    let ready = answers::ready(&state);
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}

pub(super) async fn nodes(State(state): State<AdminState>) -> Json<Vec<api::Node>> {
    Json(answers::nodes(&state))
}

pub(super) async fn regions(State(state): State<AdminState>) -> Json<Vec<api::Region>> {
    Json(answers::regions(&state))
}

pub(super) async fn tenants(State(state): State<AdminState>) -> Json<Vec<api::Tenant>> {
    Json(answers::tenants(&state))
}

pub(super) async fn pools(State(state): State<AdminState>) -> Json<Vec<api::Pool>> {
    Json(answers::pools(&state.shared.snapshot(), state.clock.now()))
}

pub(super) async fn tunnels(State(state): State<AdminState>) -> Json<Vec<api::Tunnel>> {
    Json(answers::tunnels(&state))
}

pub(super) async fn reloads(State(state): State<AdminState>) -> Json<Vec<api::Reload>> {
    Json(answers::reloads(&state))
}

pub(super) async fn events(State(state): State<AdminState>) -> Response {
    events::subscribe(&state).unwrap_or_else(problem)
}

pub(super) async fn openapi() -> Json<&'static serde_json::Value> {
    static DOCUMENT: OnceLock<serde_json::Value> = OnceLock::new();
    Json(DOCUMENT.get_or_init(|| api::openapi(env!("CARGO_PKG_VERSION"))))
}

pub(super) async fn metrics(State(state): State<AdminState>) -> Response {
    let page = state.metrics.at(state.clock.now());
    ([(header::CONTENT_TYPE, Exposition::CONTENT_TYPE)], page).into_response()
}

pub(super) async fn why(
    State(state): State<AdminState>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    query: Result<Query<api::WhyQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let answered = match query {
        Err(rejection) => Err(explain::bad_query(&super::unreadable(&rejection))),
        Ok(Query(query)) => {
            let (raw, token) = (raw.as_deref().unwrap_or_default(), access::bearer(&headers));
            explain::answer(&state, query, (raw, token)).await
        }
    };
    answered.map_or_else(problem, |why| Json(why).into_response())
}

pub(super) async fn drain(State(state): State<AdminState>, headers: HeaderMap, uri: Uri) -> Response {
    if headers.contains_key(header::ORIGIN) {
        return problem(by_a_page());
    }
    leave::answer(&state, &uri, access::bearer(&headers))
        .await
        .map_or_else(problem, |drained| Json(drained).into_response())
}

/// Any page that an operator looks at could make their browser post to a loopback address.
fn by_a_page() -> api::Problem {
    let detail =
        "a web page asks for this; use `graticule drain` or another client that is no browser".to_owned();
    super::problem(403, "browser", "Not for web pages", detail)
}

pub(super) async fn unknown(uri: Uri) -> Response {
    problem(api::Problem {
        r#type: "urn:graticule:admin:unknown-path".to_owned(),
        title: "Unknown path".to_owned(),
        status: 404,
        detail: format!("`{}` is no path of the admin API; see docs/admin-api.md", uri.path()),
    })
}

pub(super) fn problem(problem: api::Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
}
