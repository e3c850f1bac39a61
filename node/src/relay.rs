//! Requests through tunnels: sent by an edge, served by another region's node.

mod body;
mod limit;
mod send;
mod serve;
mod tunnels;
mod upload;

pub use body::TunnelBody;
pub use send::{Failure, Relayed, send};
pub use serve::{Server, serve_connection};
pub use tunnels::{Tunnel, TunnelGuard, Tunnels};
pub use upload::Upload;
