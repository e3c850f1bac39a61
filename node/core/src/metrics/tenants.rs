//! Which tenants have series of their own? The busiest, so many and no more; the rest is one series together.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Moment;
use crate::outcome::Role;
use crate::policy::TenantId;
use crate::shared::Totals;

/// Counters of one tenant, by [`Role`].
pub type ByRole = [Totals; Role::ALL.len()];

/// Counters by label. Each only rises, whoever comes under which label: what a tenant had before it got its own stays
/// with the rest.
#[derive(Debug)]
pub struct TenantSeries {
    labels_max: usize,
    /// What each tenant had when it was looked at last; only tenants with requests.
    seen: BTreeMap<TenantId, ByRole>,
    /// Those with labels of their own.
    labelled: BTreeMap<TenantId, ByRole>,
    rest: ByRole,
    /// Requests of each tenant since the last review.
    recent: BTreeMap<TenantId, u64>,
    reviewed: Option<Moment>,
}

impl TenantSeries {
    /// The label of those without one.
    pub const REST: &str = "(other)";
    /// The label of requests of no known tenant.
    pub const NOBODY: &str = "(none)";

    /// At most so many labels beside those two.
    pub fn new(labels_max: usize) -> Self {
        Self {
            labels_max,
            seen: BTreeMap::new(),
            labelled: BTreeMap::new(),
            rest: ByRole::default(),
            recent: BTreeMap::new(),
            reviewed: None,
        }
    }

    /// Takes what all tenants have now. One that is not among them any more loses its label.
    pub fn collect(&mut self, totals: impl Iterator<Item = (TenantId, ByRole)>, now: Moment) {
        let totals: Vec<_> = totals.filter(|(_, totals)| totals.iter().any(|t| t.requests() > 0)).collect();
        for (id, totals) in &totals {
            let before = self.seen.get(id).map_or(0, requests);
            let more = requests(totals).checked_sub(before).unwrap_or_else(|| requests(totals));
            *self.recent.entry(id.clone()).or_default() += more;
        }
        let is_here = |id: &TenantId| totals.binary_search_by(|(known, _)| known.cmp(id)).is_ok();
        self.labelled.retain(|id, _| is_here(id));
        self.recent.retain(|id, _| is_here(id));
        self.relabel(now);
        let before = std::mem::take(&mut self.seen);
        for (id, totals) in totals {
            let before = before.get(&id).copied().unwrap_or_default();
            let into = self.labelled.get_mut(&id).unwrap_or(&mut self.rest);
            for ((now, before), into) in totals.iter().zip(&before).zip(into) {
                now.accumulate(before, into);
            }
            self.seen.insert(id, totals);
        }
    }

    /// Every label with its counters; the rest is last.
    pub fn series(&self) -> impl Iterator<Item = (&str, &ByRole)> {
        let own = self.labelled.iter().map(|(id, totals)| (id.as_str(), totals));
        own.chain([(Self::REST, &self.rest)])
    }

    /// The label of a tenant.
    pub fn label<'t>(&self, tenant: &'t TenantId) -> &'t str {
        if self.labelled.contains_key(tenant) { tenant.as_str() } else { Self::REST }
    }

    /// Gives free labels away at once, and takes them from those that are no longer busy now and then: a series that
    /// comes and goes with every look is of no use.
    fn relabel(&mut self, now: Moment) {
        let is_due = self.reviewed.is_none_or(|reviewed| now.since(reviewed) >= REVIEW_INTERVAL);
        let mut busiest: Vec<_> = self.recent.iter().map(|(id, recent)| (*recent, id)).collect();
        busiest.sort_by(|(a, a_id), (b, b_id)| b.cmp(a).then(a_id.cmp(b_id)));
        if is_due {
            let stay: Vec<_> = busiest.iter().take(self.labels_max).map(|(_, id)| (*id).clone()).collect();
            self.labelled.retain(|id, _| stay.contains(id));
        }
        for (_, id) in busiest {
            if self.labelled.len() >= self.labels_max {
                break;
            }
            self.labelled.entry(id.clone()).or_default();
        }
        if is_due {
            self.reviewed = Some(now);
            self.recent.clear();
        }
    }
}

fn requests(totals: &ByRole) -> u64 {
    totals.iter().map(Totals::requests).sum()
}

/// How long a tenant keeps a label that others would deserve more.
const REVIEW_INTERVAL: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn totals(requests: u64) -> ByRole {
        let mut totals = ByRole::default();
        totals[0].classes[1] = requests;
        totals
    }

    fn collect(series: &mut TenantSeries, now_s: u64, counts: &[(&str, u64)]) -> Vec<(String, u64)> {
        let counts = counts.iter().map(|(id, count)| (id.parse().unwrap(), totals(*count)));
        series.collect(counts, Moment::from_millis(now_s * 1_000));
        series.series().map(|(label, totals)| (label.to_owned(), requests(totals))).collect()
    }

    fn labels(of: &[(&str, u64)]) -> Vec<(String, u64)> {
        of.iter().map(|(label, count)| ((*label).to_owned(), *count)).collect()
    }

    #[test]
    fn the_busiest_have_labels_and_the_others_share_one() {
        let mut series = TenantSeries::new(2);
        let seen = collect(&mut series, 0, &[("a", 1), ("b", 5), ("c", 3), ("d", 0)]);
        assert_eq!(seen, labels(&[("b", 5), ("c", 3), ("(other)", 1)]));
        let seen = collect(&mut series, 1, &[("a", 100), ("b", 5), ("c", 4), ("d", 0)]);
        assert_eq!(seen, labels(&[("b", 5), ("c", 4), ("(other)", 100)]), "labels stay for a while");
    }

    #[test]
    fn after_an_hour_a_label_goes_to_who_is_busier_and_no_counter_falls() {
        let mut series = TenantSeries::new(1);
        collect(&mut series, 0, &[("a", 5), ("b", 1)]);
        collect(&mut series, 10, &[("a", 6), ("b", 50)]);
        let seen = collect(&mut series, 3_600, &[("a", 6), ("b", 70)]);
        assert_eq!(seen, labels(&[("b", 20), ("(other)", 50)]), "what b had before stays with the rest");
        let seen = collect(&mut series, 3_601, &[("a", 9), ("b", 71)]);
        assert_eq!(seen, labels(&[("b", 21), ("(other)", 53)]));
    }

    #[test]
    fn who_is_gone_makes_room_and_may_begin_again_at_zero() {
        let mut series = TenantSeries::new(1);
        collect(&mut series, 0, &[("a", 5)]);
        assert_eq!(collect(&mut series, 1, &[("b", 2)]), labels(&[("b", 2), ("(other)", 0)]));
        assert_eq!(collect(&mut series, 2, &[("a", 3), ("b", 2)]), labels(&[("b", 2), ("(other)", 3)]));
    }

    proptest! {
        #[test]
        fn every_request_is_under_one_label_and_labels_are_bounded(
            rounds in prop::collection::vec(prop::collection::vec(0u64..50, 6), 1..20),
        ) {
            let mut series = TenantSeries::new(3);
            let mut counts = [0; 6];
            let mut rest = 0;
            for (at, more) in rounds.iter().enumerate() {
                counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
                let named: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().zip(counts).collect();
                let seen = collect(&mut series, at as u64 * 60, &named);
                prop_assert!(seen.len() <= 4);
                // Within the first hour no label is taken away.
                prop_assert_eq!(seen.iter().map(|(_, count)| count).sum::<u64>(), counts.iter().sum::<u64>());
                let now = seen.last().unwrap().1;
                prop_assert!(now >= rest, "a counter fell");
                rest = now;
            }
        }
    }
}
