//! What becomes of headers on the way: hop-by-hop, the client's address, Via, request ids.
