//! Why a request goes where it goes: every region with the reason it won or lost.

use std::fmt;

use graticule_geo::Country;

use crate::RegionIndex;
use crate::mesh::Cost;
use crate::policy::TenantIndex;

/// Why a request goes where it goes: every region with the reason it won or lost.
///
/// The default knows nothing yet, and lets nothing be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rationale {
    /// Whose request it is, if that is known.
    pub tenant: Option<TenantIndex>,
    /// Where the client is, as far as that was asked.
    pub client: ClientCountry,
    /// Whether this node may keep anything with an address or a path of this request.
    pub record_here: bool,
    /// Every region of the fleet in the fleet's order; empty if the request was refused before routing.
    pub candidates: Vec<Candidate>,
}

impl Rationale {
    /// The region that the request goes to, if any.
    pub fn chosen(&self) -> Option<RegionIndex> {
        let chosen = self.candidates.iter().find(|candidate| candidate.verdict == Verdict::Chosen);
        chosen.map(|candidate| candidate.region)
    }
}

/// Where a client is, for rules that ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCountry {
    /// No rule asks.
    #[default]
    NotAsked,
    /// A rule asks, and nobody knows.
    Unknown,
    /// A rule asks.
    Known(Country),
}

impl fmt::Display for ClientCountry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not-asked"),
            Self::Unknown => f.write_str("unknown"),
            Self::Known(country) => country.fmt(f),
        }
    }
}

/// One region in a rationale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub region: RegionIndex,
    /// Its tier, 0 first; `None` if residency forbids it.
    pub tier: Option<u8>,
    /// What it would cost; this node's own region costs nothing but its load.
    pub cost: Cost,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a candidate region, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The request goes here.
    Chosen,
    /// The tenant's rules do not allow it.
    Forbidden,
    /// The tenant has no pool there.
    NoPool,
    /// This request has failed there already.
    Tried,
    /// No node there has a healthy backend for the tenant.
    NoHealthyBackend,
    /// Its nodes have left something unanswered.
    Suspect,
    /// Its nodes are leaving.
    Draining,
    /// There is no tunnel to a node there.
    Unreachable,
    /// Able, but a region of an earlier tier is able too.
    LaterTier,
    /// Able, but over its hard limit of load while the chosen region was not.
    Overloaded,
    /// Able, but another region of its tier is preferred: it costs less, or did for long enough.
    CostsMore,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 11] = [
        Self::Chosen,
        Self::Forbidden,
        Self::NoPool,
        Self::Tried,
        Self::NoHealthyBackend,
        Self::Suspect,
        Self::Draining,
        Self::Unreachable,
        Self::LaterTier,
        Self::Overloaded,
        Self::CostsMore,
    ];

    /// The verdict in a word that stays the same from version to version: for the admin API, logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Forbidden => "forbidden",
            Self::NoPool => "no-pool",
            Self::Tried => "tried",
            Self::NoHealthyBackend => "no-healthy-backend",
            Self::Suspect => "suspect",
            Self::Draining => "draining",
            Self::Unreachable => "unreachable",
            Self::LaterTier => "later-tier",
            Self::Overloaded => "overloaded",
            Self::CostsMore => "costs-more",
        }
    }

    /// The verdict with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.label() == label)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{country, region};

    #[test]
    fn nothing_is_recorded_by_default() {
        assert!(!Rationale::default().record_here);
        assert_eq!(Rationale::default().chosen(), None);
    }

    #[test]
    fn the_chosen_region_is_the_one_with_that_verdict() {
        let candidate = |at, verdict| Candidate { region: region(at), tier: Some(0), cost: Cost(1), verdict };
        let candidates = vec![candidate(0, Verdict::CostsMore), candidate(1, Verdict::Chosen)];
        assert_eq!(Rationale { candidates, ..Rationale::default() }.chosen(), Some(region(1)));
    }

    #[test]
    fn every_verdict_has_a_label_of_its_own() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_label(verdict.label()), Some(verdict));
        }
        assert_eq!(Verdict::from_label("perhaps"), None);
    }

    #[test]
    fn labels_are_words_that_metrics_can_carry() {
        for verdict in Verdict::ALL {
            assert!(verdict.to_string().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        }
    }

    #[test]
    fn countries_are_shown_by_their_code() {
        assert_eq!(ClientCountry::Known(country("DE")).to_string(), "DE");
        assert_eq!(ClientCountry::Unknown.to_string(), "unknown");
        assert_eq!(ClientCountry::NotAsked.to_string(), "not-asked");
    }
}
