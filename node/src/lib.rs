//! The node: sockets, TLS, QUIC, pools and the admin server around the pure cores.

pub mod pool;
pub mod task;
pub mod world;
