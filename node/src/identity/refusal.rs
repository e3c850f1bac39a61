//! Why a peer is sent away after a handshake that was in order.
//!
//! Certificates, names and dates are checked inside the handshake. What only the fleet document or the node's own state
//! can tell is checked by who accepts or opens a connection, right after it; the connection is then closed with one of
//! these, and both ends log the same text.

use quinn::{Connection, ConnectionError, VarInt};

/// A reason to close a connection whose certificates are in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    code: u32,
    text: &'static str,
}

/// The fleet document lists the node as revoked.
pub const REVOKED: Refusal = Refusal { code: 0x101, text: "the fleet document revokes this node" };
/// The fleet document has no such region.
pub const UNKNOWN_REGION: Refusal =
    Refusal { code: 0x102, text: "the fleet document has no region of the certificate's name" };
/// Both ends have one name: a node dialled itself, or two nodes run with one certificate.
pub const SAME_NAME: Refusal = Refusal { code: 0x103, text: "both ends have the same node name" };
/// The certificate ended while the connection stood.
pub const EXPIRED: Refusal =
    Refusal { code: 0x104, text: "the certificate expired while the connection stood" };

impl Refusal {
    /// Closes `connection` for this reason; streams on it fail at once, at both ends.
    pub fn close(self, connection: &Connection) {
        connection.close(VarInt::from_u32(self.code), self.text.as_bytes());
    }

    /// The reason that the peer gave for closing, if it was one of these.
    pub fn of(error: &ConnectionError) -> Option<Self> {
        let ConnectionError::ApplicationClosed(close) = error else { return None };
        ALL.into_iter().find(|refusal| close.error_code == VarInt::from_u32(refusal.code))
    }

    /// For logs.
    pub fn text(self) -> &'static str {
        self.text
    }
}

const ALL: [Refusal; 4] = [REVOKED, UNKNOWN_REGION, SAME_NAME, EXPIRED];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_code() {
        for (index, refusal) in ALL.iter().enumerate() {
            assert!(ALL[index + 1..].iter().all(|other| other.code != refusal.code));
        }
    }
}
