//! Calls of the admin API: what to ask, and what the answer means.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{
    DrainQuery, Drained, Health, Node, Pool, Problem, Ready, Region, Reload, Tenant, Tunnel, Why, WhyQuery,
};

/// One call: a method and a path, and the type of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<T> {
    method: Method,
    path: String,
    answer: PhantomData<fn() -> T>,
}

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It only reads.
    Get,
    /// It changes something.
    Post,
}

/// Why an answer could not be read.
#[derive(Debug)]
pub enum ClientError {
    /// The server says what is wrong.
    Problem(Problem),
    /// An error without explanation.
    Status(u16),
    /// An answer that is not of the expected form.
    Malformed(serde_json::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => write!(f, "{}: {}", problem.title, problem.detail),
            Self::Status(status) => write!(f, "the admin API answered with status {status}"),
            Self::Malformed(error) => write!(f, "the admin API's answer is not understood: {error}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl<T: DeserializeOwned> Call<T> {
    fn new(path: impl Into<String>) -> Self {
        Self { method: Method::Get, path: path.into(), answer: PhantomData }
    }

    fn posting(self) -> Self {
        Self { method: Method::Post, ..self }
    }

    /// How to ask.
    pub fn method(&self) -> Method {
        self.method
    }

    /// What to ask for: path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What an answer of this status and body says. `/v1/ready` answers 503 with a body of its own.
    pub fn read(&self, status: u16, body: &[u8]) -> Result<T, ClientError> {
        if (200..300).contains(&status) || status == 503 && self.path == READY {
            return serde_json::from_slice(body).map_err(ClientError::Malformed);
        }
        Err(serde_json::from_slice(body).map_or(ClientError::Status(status), ClientError::Problem))
    }
}

/// Whether the process runs, and what it is.
pub fn health() -> Call<Health> {
    Call::new("/v1/health")
}

/// Whether the node wants requests.
pub fn ready() -> Call<Ready> {
    Call::new(READY)
}

/// Every node of the mesh.
pub fn nodes() -> Call<Vec<Node>> {
    Call::new("/v1/nodes")
}

/// Every region.
pub fn regions() -> Call<Vec<Region>> {
    Call::new("/v1/regions")
}

/// Every tenant.
pub fn tenants() -> Call<Vec<Tenant>> {
    Call::new("/v1/tenants")
}

/// The pools of the answering node's region.
pub fn pools() -> Call<Vec<Pool>> {
    Call::new("/v1/pools")
}

/// The peers of the answering node.
pub fn tunnels() -> Call<Vec<Tunnel>> {
    Call::new("/v1/tunnels")
}

/// Whether the answering node's files are in force as they are.
pub fn reloads() -> Call<Vec<Reload>> {
    Call::new("/v1/reloads")
}

/// What would be decided.
pub fn why(query: &WhyQuery) -> Call<Why> {
    Call::new(format!("/v1/why?{}", encode(query)))
}

/// Makes a node, the live nodes of a region, or the answering node leave.
pub fn drain(query: &DrainQuery) -> Call<Vec<Drained>> {
    Call::new(format!("/v1/drain?{}", encode(query))).posting()
}

/// Makes them stay after all, while they still accept.
pub fn undrain(query: &DrainQuery) -> Call<Vec<Drained>> {
    Call::new(format!("/v1/undrain?{}", encode(query))).posting()
}

/// A query string; every field is a text or a number.
fn encode(query: &impl Serialize) -> String {
    let fields = serde_json::to_value(query).unwrap_or_default();
    let fields = fields.as_object().into_iter().flatten();
    let pairs = fields.filter_map(|(name, value)| Some(format!("{name}={}", escape(value.as_str()?))));
    pairs.collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let byte = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

const READY: &str = "/v1/ready";

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> WhyQuery {
        WhyQuery {
            tenant: "acme".into(),
            ip: "2001:db8::1".parse().ok(),
            edge: None,
            path: Some("/a b&c".into()),
        }
    }

    #[test]
    fn a_query_is_escaped_and_leaves_out_what_is_not_asked() {
        assert_eq!(why(&query()).path(), "/v1/why?ip=2001%3Adb8%3A%3A1&path=%2Fa%20b%26c&tenant=acme");
    }

    #[test]
    fn only_what_changes_something_is_posted() {
        let query = DrainQuery { node: "eu-1".parse().ok(), region: None };
        assert_eq!((drain(&query).method(), drain(&query).path()), (Method::Post, "/v1/drain?node=eu-1"));
        assert_eq!(undrain(&DrainQuery::default()).path(), "/v1/undrain?");
        assert_eq!((why(&self::query()).method(), nodes().method()), (Method::Get, Method::Get));
    }

    #[test]
    fn not_ready_is_an_answer_and_not_an_error() {
        let body = br#"{"ready":false,"reasons":["draining"]}"#;
        let answer = ready().read(503, body).unwrap();
        assert_eq!(answer, Ready { ready: false, reasons: vec!["draining".into()] });
        assert!(matches!(health().read(503, body), Err(ClientError::Status(503))));
    }

    #[test]
    fn a_problem_is_told_in_its_own_words() {
        let body = br#"{"type":"urn:x","title":"Unknown tenant","status":404,"detail":"no tenant `x`"}"#;
        let error = why(&query()).read(404, body).unwrap_err();
        assert_eq!(error.to_string(), "Unknown tenant: no tenant `x`");
    }

    #[test]
    fn an_answer_of_another_form_is_an_error() {
        assert!(matches!(nodes().read(200, b"{}"), Err(ClientError::Malformed(_))));
        assert!(matches!(nodes().read(500, b"<html>"), Err(ClientError::Status(500))));
    }
}
