//! What becomes of headers on the way: hop-by-hop, the client's address, host, Via, trace and request ids.
//!
//! On a request's way in, in this order: [`host_of`] and [`client_address`] read what the client sent; then
//! [`strip_hop_by_hop`], [`join_cookies`], [`forward_client_address`], [`append_via`], [`trace_context`] and [`request_id`] make of it what is
//! sent on. On a response's way out: [`strip_hop_by_hop`], and [`strip_trailers`] for what follows the body.

mod address_list;
mod client_address;
mod cookies;
mod forwarded;
mod hop_by_hop;
mod host;
mod tracing;
mod upgrade;
mod via;

pub use client_address::{
    ClientAddressHeader, ClientAddressRule, carried_client_address, client_address, forward_client_address,
};
pub use cookies::join_cookies;
pub use hop_by_hop::{
    asks_for_upgrade, has_foreign_coding, has_two_lengths, strip_hop_by_hop, strip_trailers,
};
pub use host::{Host, host_of};
pub use tracing::{
    NewTrace, TraceContext, TraceId, X_REQUEST_ID, request_id, set_trace_parent, trace_context, trace_of,
};
pub use upgrade::{UpgradeAsked, answer_as_http2, ask_as_http1, ask_as_http2, proves_websocket};
pub use via::{append_via, is_loop};

/// Header lines that list a client's address and the proxies it came through, together.
pub const ADDRESS_LIST_BYTES_MAX: usize = 8 * 1024;
/// Addresses in such a list.
pub const ADDRESSES_MAX: usize = 64;
/// Headers that `Connection` can nominate; more are left as they are.
pub const NOMINATIONS_MAX: usize = 64;
/// How often a node's own name may stand in `Via` when a request comes in.
pub const VIA_OWN_MAX: usize = 2;
/// Proxies in `Via`.
pub const VIA_HOPS_MAX: usize = 64;
/// An `x-request-id` that is carried on.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// A host's name, without port.
pub const HOST_BYTES_MAX: usize = 253;
