//! Which files of this node are refused as they are now, since when, and why? What was in force before them stays.

use std::collections::BTreeMap;

use graticule_node_core::Moment;
use graticule_node_core::policy::TenantId;
use tokio::sync::watch;

/// What is read again while a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reloadable {
    /// node.toml.
    Configuration,
    /// The fleet's and the tenants' documents.
    Documents,
    /// The node's own certificate, its key and the authorities.
    Identity,
    /// The certificates that clients see.
    Certificates,
    /// The geo databases.
    Geo,
}

impl Reloadable {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Configuration, Self::Documents, Self::Identity, Self::Certificates, Self::Geo];

    /// Its name in metrics and the admin API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Documents => "documents",
            Self::Identity => "identity",
            Self::Certificates => "certificates",
            Self::Geo => "geo",
        }
    }
}

/// Why something is not in force as it is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// What is wrong, the first lines of it.
    pub errors: Vec<String>,
    /// Tenants whose last good document stays in force.
    pub kept: Vec<TenantId>,
    /// Tenants that are not served, because there was no good one before.
    pub absent: Vec<TenantId>,
}

impl Refusal {
    /// For these reasons.
    pub fn of(errors: impl IntoIterator<Item = impl ToString>) -> Self {
        let errors = errors.into_iter().take(ERRORS_MAX).map(|error| error.to_string()).collect();
        Self { errors, ..Self::default() }
    }
}

/// What is refused, for whoever asks. Whoever reads files writes it; no request touches it.
#[derive(Debug, Default)]
pub struct Reloads(watch::Sender<BTreeMap<Reloadable, (Moment, Refusal)>>);

impl Reloads {
    /// What was read last is in force, or is not for the reasons in `refusal`.
    pub fn tell(&self, what: Reloadable, now: Moment, refusal: Option<Refusal>) {
        self.0.send_if_modified(|refused| match refusal {
            None => refused.remove(&what).is_some(),
            Some(refusal) => {
                // What was refused before and is refused again has not been in force meanwhile.
                let since = refused.get(&what).map_or(now, |(since, _)| *since);
                refused.insert(what, (since, refusal));
                true
            }
        });
    }

    /// All that is refused, with the moment since when.
    pub fn refused(&self) -> BTreeMap<Reloadable, (Moment, Refusal)> {
        self.0.borrow().clone()
    }
}

/// Lines of errors that are kept of one refusal; the log has all.
const ERRORS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_from_its_first_and_ends_with_what_is_taken() {
        let reloads = Reloads::default();
        let what = Reloadable::Documents;
        reloads.tell(what, Moment::from_millis(5), Some(Refusal::of(["one"])));
        reloads.tell(what, Moment::from_millis(9), Some(Refusal::of(["other"])));
        let (since, refusal) = reloads.refused().remove(&what).unwrap();
        assert_eq!((since, refusal), (Moment::from_millis(5), Refusal::of(["other"])));
        reloads.tell(what, Moment::from_millis(10), None);
        assert!(reloads.refused().is_empty());
        reloads.tell(what, Moment::from_millis(12), Some(Refusal::of(["one"])));
        assert_eq!(reloads.refused()[&what].0, Moment::from_millis(12));
    }

    #[test]
    fn of_many_errors_the_first_are_kept() {
        let refusal = Refusal::of(0..ERRORS_MAX + 5);
        assert_eq!((refusal.errors.len(), refusal.errors[0].as_str()), (ERRORS_MAX, "0"));
    }
}
