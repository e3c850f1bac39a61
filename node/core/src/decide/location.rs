//! Where is the client: asked only if a rule of the tenant depends on it.

use std::net::IpAddr;

use graticule_geo::Location;

use super::ClientCountry;
use crate::policy::Residency;

/// The client's country, if `rules` ask for it. An address that could not be told is in no country.
pub(super) fn client(
    rules: &Residency,
    address: Option<IpAddr>,
    locate: impl FnOnce(IpAddr) -> Location,
) -> ClientCountry {
    if rules.by_client.is_empty() {
        return ClientCountry::NotAsked;
    }
    match address.map(locate) {
        Some(Location::Known { country, .. }) => ClientCountry::Known(country),
        Some(Location::Unknown) | None => ClientCountry::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{country, document, permission};

    fn asking() -> Residency {
        let mut rules = document("a", &[&[0]]).residency;
        rules.by_client.push(([country("CH")].into_iter().collect(), permission(&[&[1]])));
        rules
    }

    fn swiss(_: IpAddr) -> Location {
        Location::Known { country: country("CH"), coordinates: None }
    }

    #[test]
    fn nobody_is_located_for_rules_that_do_not_ask() {
        let rules = document("a", &[&[0]]).residency;
        let located = client(&rules, Some([192, 0, 2, 1].into()), |_| panic!("located without need"));
        assert_eq!(located, ClientCountry::NotAsked);
    }

    #[test]
    fn rules_that_ask_get_the_country() {
        assert_eq!(
            client(&asking(), Some([192, 0, 2, 1].into()), swiss),
            ClientCountry::Known(country("CH"))
        );
    }

    #[test]
    fn an_address_that_nobody_knows_is_unknown_and_so_is_no_address() {
        assert_eq!(
            client(&asking(), Some([192, 0, 2, 1].into()), |_| Location::Unknown),
            ClientCountry::Unknown
        );
        assert_eq!(client(&asking(), None, swiss), ClientCountry::Unknown);
    }
}
