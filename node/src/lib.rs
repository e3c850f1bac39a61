//! The node: sockets, TLS, QUIC, pools and the admin server around the pure cores.

pub mod identity;
pub mod task;
pub mod world;
