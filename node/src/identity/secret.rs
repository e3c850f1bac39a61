//! What a node can compute again after a restart, and nobody else: keys for its endpoints.

use aws_lc_rs::hmac;

/// A secret made of a node's private key. It gives nothing of the key away.
#[derive(Clone)]
pub struct TunnelSecret(hmac::Key);

impl TunnelSecret {
    /// The secret of the node with this private key, in its DER form.
    pub(super) fn of(private_key: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, private_key);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, PURPOSE).as_ref()))
    }

    /// Signs the tokens that end connections of an earlier life of the endpoint on this UDP port.
    pub fn reset_key(&self, port: u16) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derived(b"stateless reset", port).as_ref())
    }

    /// Marks the connections of the endpoint on this UDP port, so that it knows them as its own in its next life.
    pub fn connection_id_key(&self, port: u16) -> u64 {
        let derived = self.derived(b"connection id", port);
        derived.as_ref().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
    }

    fn derived(&self, purpose: &[u8], port: u16) -> hmac::Tag {
        hmac::sign(&self.0, &[purpose, &port.to_be_bytes()].concat())
    }
}

impl std::fmt::Debug for TunnelSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TunnelSecret")
    }
}

const PURPOSE: &[u8] = b"graticule tunnel secret 1";

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &TunnelSecret, port: u16) -> Vec<u8> {
        hmac::sign(&secret.reset_key(port), b"a connection").as_ref().to_vec()
    }

    #[test]
    fn the_same_key_and_port_give_the_same_and_any_other_gives_another() {
        let (node, again, other) =
            (TunnelSecret::of(b"key"), TunnelSecret::of(b"key"), TunnelSecret::of(b"other"));
        assert_eq!(token(&node, 7_400), token(&again, 7_400));
        assert_eq!(node.connection_id_key(7_400), again.connection_id_key(7_400));
        for (secret, port) in [(&node, 7_401), (&other, 7_400)] {
            assert_ne!(token(secret, port), token(&node, 7_400));
            assert_ne!(secret.connection_id_key(port), node.connection_id_key(7_400));
        }
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", TunnelSecret::of(b"key")), "TunnelSecret");
    }
}
