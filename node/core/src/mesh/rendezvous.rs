//! How high one thing ranks for another: a hash that is the same on every node and in every version.

use sha2::{Digest, Sha256};

/// The first 64 bits of SHA-256 over the parts, each with its length in front (eight bytes, big-endian).
///
/// Nodes of different versions must agree on it, and nobody may be able to choose names that attract everybody, so it is
/// neither the standard library's hash nor a fast one. It is asked when membership changes, not per request.
pub(super) fn rank(parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(0, |rank, byte| rank << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\2bc' | sha256sum` begins with these digits.
    #[test]
    fn ranks_are_those_of_sha256() {
        assert_eq!(rank(&["a", "bc"]), 0x3faf_a1cf_2f19_a7c1);
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(rank(&["a", "bc"]), rank(&["ab", "c"]));
        assert_ne!(rank(&["a", "bc"]), rank(&["bc", "a"]));
    }
}
