//! The admin API's wire types and client, shared with the console.
//!
//! Pure: the client makes requests and reads answers; whoever uses it owns the connection.

pub mod client;
mod openapi;
mod routes;
mod types;

pub use client::{Call, ClientError, Method};
pub use openapi::openapi;
pub use routes::Route;
pub use types::{
    Candidate, Change, DrainQuery, Drained, Health, Node, Pool, PoolBackend, Problem, Ready, Region, Reload,
    Tenant, Tunnel, Why, WhyQuery,
};
