//! The node: sockets, TLS, QUIC, pools and the admin server around the pure cores.

pub mod admin;
pub mod body;
pub mod certificates;
pub mod cli;
pub mod demo;
pub mod documents;
pub mod early;
pub mod gateway;
pub mod identity;
pub mod ingress;
pub mod mesh;
pub mod node;
pub mod pool;
pub mod relay;
pub mod shared;
pub mod task;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod ticker;
pub mod tunnel;
pub mod world;
