//! What identifies contents: one sequence of bytes for one meaning, whatever the layout, order or comments.
//!
//! Every part begins with its length, so that no two meanings run into the same bytes.

use sha2::{Digest as _, Sha256};

use crate::policy::Digest;

/// Bytes in the making.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Canonical(Vec<u8>);

impl Canonical {
    /// Contents of the kind `name`; the name ends with the version of their form.
    pub(super) fn of(name: &str) -> Self {
        Self::default().text(name)
    }

    /// Then a text.
    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Then a number.
    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Then a digest, or other bytes.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Then parts whose order has a meaning.
    pub(super) fn list(self, parts: impl IntoIterator<Item = Self>) -> Self {
        let parts: Vec<Self> = parts.into_iter().collect();
        parts.iter().fold(self.number(parts.len() as u64), |all, part| all.bytes(&part.0))
    }

    /// Then parts whose order has none.
    pub(super) fn set(self, parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = parts.into_iter().collect();
        parts.sort_unstable();
        self.list(parts)
    }

    /// Then a part that may be missing.
    pub(super) fn maybe(self, part: Option<Self>) -> Self {
        self.list(part)
    }

    /// What identifies all of it.
    pub(super) fn digest(&self) -> Digest {
        Digest(Sha256::digest(&self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(texts: &[String]) -> Vec<Canonical> {
        texts.iter().map(|text| Canonical::default().text(text)).collect()
    }

    #[test]
    fn the_digest_is_sha_256_of_the_bytes() {
        assert_eq!(
            Canonical::default().digest().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(Canonical::of("a"), Canonical(vec![0, 0, 0, 0, 0, 0, 0, 1, b'a']));
    }

    proptest! {
        #[test]
        fn different_lists_are_different_bytes(a: Vec<String>, b: Vec<String>) {
            let equal = Canonical::default().list(texts(&a)) == Canonical::default().list(texts(&b));
            prop_assert_eq!(equal, a == b);
        }

        #[test]
        fn the_order_of_a_set_does_not_count(a: Vec<String>, by in 0..8usize) {
            let mut turned = a.clone();
            turned.rotate_left(by.min(a.len()));
            prop_assert_eq!(Canonical::default().set(texts(&a)), Canonical::default().set(texts(&turned)));
        }

        #[test]
        fn what_is_missing_is_not_what_is_empty(text: String) {
            let there = Canonical::default().maybe(Some(Canonical::default().text(&text)));
            prop_assert_ne!(there, Canonical::default().maybe(None));
        }
    }
}
