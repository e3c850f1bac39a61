//! Where may a request be served, recorded and received: the tenant's rules for one client.

use std::borrow::Cow;

use super::ClientCountry;
use crate::policy::{Permission, Receive, Residency, UnknownLocation};
use crate::{Reason, RegionIndex, RegionSet};

/// The regions that `rules` allow for `client`: those of the first rule about its country, else those for everybody.
/// A client whose country is unknown is the tenant's question.
pub(super) fn permission(rules: &Residency, client: ClientCountry) -> Result<Cow<'_, Permission>, Reason> {
    let permission = match client {
        ClientCountry::NotAsked => Cow::Borrowed(&rules.permission),
        ClientCountry::Known(country) => {
            let rule = rules.by_client.iter().find(|(countries, _)| countries.contains(country));
            Cow::Borrowed(rule.map_or(&rules.permission, |(_, permission)| permission))
        }
        ClientCountry::Unknown => match rules.unknown {
            UnknownLocation::Refuse => return Err(Reason::UnknownLocation),
            UnknownLocation::Home(home) => Cow::Owned(only(home)),
        },
    };
    if permission.all.is_empty() { Err(Reason::NotPermitted) } else { Ok(permission) }
}

/// Whether a node of region `here` may receive a request of this permission at all.
pub(super) fn may_receive(
    rules: &Residency,
    permission: &Permission,
    here: RegionIndex,
) -> Result<(), Reason> {
    match rules.receive {
        Receive::Allowed if !permission.all.contains(here) => Err(Reason::ReceiveNotAllowed),
        Receive::Allowed | Receive::Any => Ok(()),
    }
}

/// Whether region `here` may serve a relayed request of a client that the edge located as `carried`.
///
/// An edge whose rules did not ask for the country carried none. If the rules here do ask, nobody knows what they would
/// have said, and stale knowledge may tighten but never widen: no. What an edge carries beyond need is harmless.
pub(super) fn permits_relayed(rules: &Residency, carried: ClientCountry, here: RegionIndex) -> bool {
    let client = match (rules.by_client.is_empty(), carried) {
        (true, _) => ClientCountry::NotAsked,
        (false, ClientCountry::NotAsked) => return false,
        (false, asked) => asked,
    };
    permission(rules, client).is_ok_and(|permission| permission.all.contains(here))
}

fn only(region: RegionIndex) -> Permission {
    let all = RegionSet::from_iter([region]);
    Permission { tiers: vec![all], all }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{country, document, permission as tiers, region, set};
    use proptest::prelude::*;

    /// Everybody in 0, then 1; Swiss clients in 2; German and Swiss ones in 3, which for the Swiss comes too late.
    fn rules(unknown: UnknownLocation) -> Residency {
        let mut rules = document("a", &[&[0], &[1]]).residency;
        rules.by_client = vec![
            ([country("CH")].into_iter().collect(), tiers(&[&[2]])),
            ([country("DE"), country("CH")].into_iter().collect(), tiers(&[&[3]])),
        ];
        rules.unknown = unknown;
        rules
    }

    fn allowed(rules: &Residency, client: ClientCountry) -> Result<RegionSet, Reason> {
        permission(rules, client).map(|permission| permission.all)
    }

    #[test]
    fn the_first_rule_about_the_country_counts_and_else_the_general_one() {
        let rules = rules(UnknownLocation::Refuse);
        let known = |code| allowed(&rules, ClientCountry::Known(country(code)));
        assert_eq!(known("CH"), Ok(set(&[2])));
        assert_eq!(known("DE"), Ok(set(&[3])));
        assert_eq!(known("FR"), Ok(set(&[0, 1])));
        assert_eq!(allowed(&rules, ClientCountry::NotAsked), Ok(set(&[0, 1])));
    }

    #[test]
    fn an_unknown_country_is_refused_or_sent_home() {
        let refuse = rules(UnknownLocation::Refuse);
        assert_eq!(allowed(&refuse, ClientCountry::Unknown), Err(Reason::UnknownLocation));
        let home = rules(UnknownLocation::Home(region(1)));
        let permission = permission(&home, ClientCountry::Unknown).unwrap();
        assert_eq!(*permission, tiers(&[&[1]]));
    }

    #[test]
    fn a_permission_without_a_region_permits_nothing() {
        let mut rules = rules(UnknownLocation::Refuse);
        rules.by_client[0].1 = tiers(&[]);
        let swiss = allowed(&rules, ClientCountry::Known(country("CH")));
        assert_eq!(swiss, Err(Reason::NotPermitted), "and the next rule is not asked");
    }

    #[test]
    fn receiving_is_for_nodes_of_any_tier_or_for_all() {
        let mut rules = rules(UnknownLocation::Refuse);
        let permission = tiers(&[&[0], &[1]]);
        assert_eq!(may_receive(&rules, &permission, region(5)), Ok(()));
        rules.receive = Receive::Allowed;
        assert_eq!(may_receive(&rules, &permission, region(5)), Err(Reason::ReceiveNotAllowed));
        assert_eq!(may_receive(&rules, &permission, region(1)), Ok(()));
    }

    #[test]
    fn a_country_that_was_not_carried_and_is_asked_for_permits_nothing() {
        let asking = rules(UnknownLocation::Home(region(0)));
        assert!(!permits_relayed(&asking, ClientCountry::NotAsked, region(0)));
        assert!(permits_relayed(&asking, ClientCountry::Unknown, region(0)));
        assert!(!permits_relayed(&asking, ClientCountry::Unknown, region(1)));
    }

    #[test]
    fn a_country_that_was_carried_and_is_not_asked_for_changes_nothing() {
        let plain = document("a", &[&[0]]).residency;
        let carried = [ClientCountry::NotAsked, ClientCountry::Unknown, ClientCountry::Known(country("CH"))];
        for client in carried {
            assert!(permits_relayed(&plain, client, region(0)));
            assert!(!permits_relayed(&plain, client, region(1)));
        }
    }

    proptest! {
        #[test]
        fn a_serving_node_with_the_edges_rules_agrees_with_the_edge(code in "[A-Z]{2}", home in 0usize..5, at in 0usize..5) {
            let rules = rules(UnknownLocation::Home(region(home)));
            for client in [ClientCountry::Known(country(&code)), ClientCountry::Unknown] {
                let by_edge = allowed(&rules, client).is_ok_and(|all| all.contains(region(at)));
                prop_assert_eq!(permits_relayed(&rules, client, region(at)), by_edge);
            }
        }
    }
}
