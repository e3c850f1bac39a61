//! Which addresses do the names of backends have, and when is each to be looked up again?

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::PoolId;
use crate::Moment;
use crate::policy::{BackendHost, Policy};
use crate::{RegionIndex, RegionSet};

/// The names of one region's backends, with the addresses that they had last.
///
/// A name is looked up again when the time is over that its answer holds. While DNS fails, the last addresses stay for as
/// long as it takes, and the name is asked for again after growing pauses: backends that are really gone fail their
/// checks and requests, and to believe every failure would make an outage of DNS one of the service. That goes for the
/// answer that a name does not exist, too. A name that has never been resolved has no addresses.
#[derive(Debug, Clone, Default)]
pub struct Names {
    names: BTreeMap<Box<str>, Name>,
    /// Every name that is not being looked up, by time.
    due: BTreeSet<(Moment, Box<str>)>,
}

#[derive(Debug, Clone, Default)]
struct Name {
    /// In order.
    addresses: Vec<IpAddr>,
    /// When it is to be looked up; `None` while it is.
    due: Option<Moment>,
    /// Lookups in a row that failed.
    failures: u32,
    /// One of the pools that want to know.
    asker: Option<PoolId>,
}

/// What the end of a lookup means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameEvent {
    /// The name has other addresses than before.
    Moved,
    /// It has the same as before, after lookups that failed.
    Recovered,
    /// It cannot be resolved.
    Failed {
        /// Whether it has some from before, which stay.
        has_addresses: bool,
    },
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, in any order.
    pub addresses: Vec<IpAddr>,
    /// How long that holds.
    pub ttl: Duration,
}

impl Names {
    /// Addresses of one name that are used: the first in their order.
    pub const ADDRESSES_MAX: usize = 256;

    /// How soon a name is looked up again, whatever its answer says.
    pub const TTL_MIN: Duration = Duration::from_secs(1);

    /// How late.
    pub const TTL_MAX: Duration = Duration::from_hours(1);

    /// The longest pause after failures.
    pub const PAUSE_MAX: Duration = Duration::from_secs(30);

    /// Replaces the names by those of `region`'s backends under `policy`. Names of both keep what is known of them.
    pub fn adopt(&mut self, policy: &Policy, region: Option<RegionIndex>, now: Moment) {
        let here: RegionSet = region.into_iter().collect();
        let mut wanted = BTreeMap::new();
        for tenant in &policy.tenants {
            let indexes = tenant.pool_indexes().flat_map(|index| here.iter().map(move |at| (at, index)));
            let pools = indexes.filter_map(|(at, index)| Some((index, tenant.pool_at(at, index)?)));
            let backends = pools.flat_map(|(index, pool)| pool.backends.iter().map(move |b| (index, b)));
            for (index, backend) in backends {
                if let BackendHost::Name(name) = &backend.host {
                    let known = self.names.remove(name);
                    let asker =
                        || PoolId { tenant: tenant.id.clone(), name: tenant.pool_name(index).cloned() };
                    let fresh = || Name { asker: Some(asker()), ..known.unwrap_or_else(|| Name::new(now)) };
                    wanted.entry(name.clone()).or_insert_with(fresh);
                }
            }
        }
        self.due = wanted.iter().filter_map(|(name, state)| Some((state.due?, name.clone()))).collect();
        self.names = wanted;
    }

    /// The addresses that `name` had last.
    pub fn addresses(&self, name: &str) -> &[IpAddr] {
        self.names.get(name).map_or(&[], |name| &name.addresses)
    }

    /// When the next name is to be looked up; `None` if there is none.
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next name to look up now. What comes of it must be told to [`handle_answer`](Self::handle_answer).
    pub fn poll_lookup(&mut self, now: Moment) -> Option<Box<str>> {
        self.poll_timeout().filter(|due| *due <= now)?;
        let (_, name) = self.due.pop_first()?;
        self.names.get_mut(&name)?.due = None;
        Some(name)
    }

    /// A lookup has ended, with `None` if it failed. What that means for the name; nothing if it is no longer one of these.
    pub fn handle_answer(&mut self, name: &str, found: Option<Resolved>, now: Moment) -> Option<NameEvent> {
        let (key, mut state) = self.names.remove_entry(name)?;
        let (before, failures) = (state.addresses.clone(), state.failures);
        let pause = match found.filter(|found| !found.addresses.is_empty()) {
            Some(found) => state.resolved(found),
            None => state.failed(),
        };
        if let Some(due) = state.due.replace(now + pause) {
            self.due.remove(&(due, key.clone()));
        }
        self.due.insert((now + pause, key.clone()));
        let event = match (state.failures, failures) {
            (0, _) if state.addresses != before => Some(NameEvent::Moved),
            (0, 1..) => Some(NameEvent::Recovered),
            (0, 0) => None,
            _ => Some(NameEvent::Failed { has_addresses: !state.addresses.is_empty() }),
        };
        self.names.insert(key, state);
        event
    }

    /// One of the pools that have a backend of this name.
    pub fn asker(&self, name: &str) -> Option<&PoolId> {
        self.names.get(name)?.asker.as_ref()
    }
}

impl Name {
    fn new(now: Moment) -> Self {
        Self { due: Some(now), ..Self::default() }
    }

    fn resolved(&mut self, found: Resolved) -> Duration {
        self.failures = 0;
        self.addresses = found.addresses;
        self.addresses.sort_unstable();
        self.addresses.dedup();
        self.addresses.truncate(Names::ADDRESSES_MAX);
        found.ttl.clamp(Names::TTL_MIN, Names::TTL_MAX)
    }

    fn failed(&mut self) -> Duration {
        let pause = Names::TTL_MIN.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        pause.min(Names::PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Backend, Pool};
    use crate::pool::testing::{policy, region};

    const START: Moment = Moment::from_millis(5_000);

    fn named(name: &str) -> Backend {
        Backend { host: BackendHost::Name(name.into()), port: 80, weight: 1 }
    }

    fn names(of: &[&str]) -> Names {
        let mut names = Names::default();
        names.adopt(&policy_of(of), Some(region(0)), START);
        names
    }

    fn policy_of(names: &[&str]) -> Policy {
        let backends = names.iter().map(|name| named(name)).collect();
        policy(vec![Some(Pool { backends, ..Pool::of([]) })])
    }

    fn found(addresses: &[&str], ttl: u64) -> Resolved {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Resolved { addresses, ttl: Duration::from_secs(ttl) }
    }

    fn seconds(seconds: u64) -> Moment {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_name_is_looked_up_at_once_and_again_when_its_answer_is_over() {
        let mut names = names(&["a.example"]);
        assert_eq!(names.poll_lookup(START).as_deref(), Some("a.example"));
        assert_eq!((names.poll_lookup(START), names.poll_timeout()), (None, None));
        let answer = found(&["10.0.0.2", "10.0.0.1", "10.0.0.2"], 20);
        assert_eq!(names.handle_answer("a.example", Some(answer), START), Some(NameEvent::Moved));
        assert_eq!(names.addresses("a.example").len(), 2);
        assert_eq!(names.poll_timeout(), Some(seconds(20)));
        assert_eq!(names.poll_lookup(seconds(20)).as_deref(), Some("a.example"));
        let again = found(&["10.0.0.1", "10.0.0.2"], 20);
        assert_eq!(names.handle_answer("a.example", Some(again), seconds(20)), None);
        assert_eq!(names.asker("a.example").unwrap().to_string(), "tenant-00000");
    }

    #[test]
    fn while_dns_fails_the_last_addresses_stay_and_pauses_grow() {
        let mut names = names(&["a.example"]);
        names.poll_lookup(START);
        names.handle_answer("a.example", Some(found(&["10.0.0.1"], 5)), START);
        let (mut now, mut pauses) = (seconds(5), Vec::new());
        for _ in 0..7 {
            assert!(names.poll_lookup(now).is_some());
            let failed = Some(NameEvent::Failed { has_addresses: true });
            assert_eq!(names.handle_answer("a.example", None, now), failed);
            let next = names.poll_timeout().unwrap();
            pauses.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(names.addresses("a.example").len(), 1);
        names.poll_lookup(now);
        let same = names.handle_answer("a.example", Some(found(&["10.0.0.1"], 5)), now);
        assert_eq!(same, Some(NameEvent::Recovered));
        let other = names.handle_answer("a.example", Some(found(&["10.0.0.9"], 5)), now);
        assert_eq!(other, Some(NameEvent::Moved));
        assert_eq!(names.poll_timeout(), Some(now + Duration::from_secs(5)));
    }

    #[test]
    fn a_name_that_was_never_resolved_has_no_addresses_that_could_stay() {
        let mut names = names(&["a.example"]);
        let failed = Some(NameEvent::Failed { has_addresses: false });
        assert_eq!(names.handle_answer("a.example", None, START), failed);
    }

    #[test]
    fn an_answer_without_addresses_is_a_failure() {
        let mut names = names(&["a.example"]);
        names.poll_lookup(START);
        names.handle_answer("a.example", Some(found(&["10.0.0.1"], 1)), START);
        let failed = Some(NameEvent::Failed { has_addresses: true });
        assert_eq!(names.handle_answer("a.example", Some(found(&[], 60)), seconds(1)), failed);
        assert_eq!(names.addresses("a.example").len(), 1);
        assert_eq!(names.poll_timeout(), Some(seconds(2)));
    }

    #[test]
    fn times_to_live_are_kept_within_limits() {
        for (ttl, expected) in [(0, 1), (1_000_000, 3_600)] {
            let mut names = names(&["a.example"]);
            names.handle_answer("a.example", Some(found(&["10.0.0.1"], ttl)), START);
            assert_eq!(names.poll_timeout(), Some(seconds(expected)));
        }
    }

    #[test]
    fn names_that_stay_keep_what_is_known_of_them_and_others_are_forgotten() {
        let mut names = names(&["a.example", "b.example"]);
        names.handle_answer("a.example", Some(found(&["10.0.0.1"], 60)), START);
        names.handle_answer("b.example", Some(found(&["10.0.0.2"], 60)), START);
        names.adopt(&policy_of(&["a.example", "c.example"]), Some(region(0)), seconds(1));
        assert_eq!(names.addresses("a.example").len(), 1);
        assert!(names.addresses("b.example").is_empty());
        assert_eq!(names.handle_answer("b.example", Some(found(&["10.0.0.2"], 60)), seconds(1)), None);
        assert_eq!(names.poll_lookup(seconds(1)).as_deref(), Some("c.example"));
        assert_eq!(names.poll_timeout(), Some(seconds(60)));
    }

    #[test]
    fn a_name_has_no_more_addresses_than_its_limit() {
        let mut names = names(&["a.example"]);
        let many = (0..1_000u16).map(|at| IpAddr::from([10, 0, (at >> 8) as u8, at as u8])).collect();
        names.handle_answer("a.example", Some(Resolved { addresses: many, ttl: Duration::ZERO }), START);
        assert_eq!(names.addresses("a.example").len(), Names::ADDRESSES_MAX);
    }
}
