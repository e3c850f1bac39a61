//! What `graticule init` writes: documents that work as they are, and explain themselves.

use graticule_geo::STARTER_SETS;

/// Every file, as its path in the new directory and its contents.
///
/// The sets of countries are copied from where their sources are named: from then on the document says what holds.
pub fn files() -> Vec<(&'static str, String)> {
    vec![
        (FLEET, format!("{}{STARTER_SETS}", include_str!("starter/fleet.toml"))),
        ("tenants/anywhere.toml", include_str!("starter/anywhere.toml").to_owned()),
        ("tenants/eu-only.toml", include_str!("starter/eu-only.toml").to_owned()),
        ("tenants/fallback.toml", include_str!("starter/fallback.toml").to_owned()),
        (NODE, include_str!("starter/node.toml").to_owned()),
    ]
}

/// The fleet document, in a directory of documents.
pub const FLEET: &str = "fleet.toml";

/// The configuration of one node.
pub const NODE: &str = "node.toml";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RegionIndex;
    use crate::document::{Loaded, Source, load};
    use crate::policy::UnknownLocation;

    fn loaded() -> Loaded {
        let sources: Vec<Source> = files().into_iter().map(|(name, text)| Source::new(name, text)).collect();
        let fleet = sources.iter().find(|source| source.name == FLEET).unwrap();
        let tenants: Vec<Source> =
            sources.iter().filter(|source| source.name.starts_with("tenants/")).cloned().collect();
        load(fleet, &tenants).unwrap()
    }

    #[test]
    fn the_documents_load_without_error_or_warning() {
        assert_eq!(loaded().warnings, []);
    }

    #[test]
    fn the_documents_mean_what_their_comments_say() {
        let policy = loaded().policy;
        let names: Vec<&str> = policy.fleet.regions.iter().map(|region| region.name.as_str()).collect();
        assert_eq!(names, ["ap-southeast", "eu-central", "us-east"]);
        let tiers = |id: &str, path: &str| -> Vec<Vec<usize>> {
            let index = policy.tenant_by_id(&id.parse().unwrap()).unwrap();
            let rules = policy.tenant(index).unwrap().residency_for(path);
            rules
                .permission
                .tiers
                .iter()
                .map(|tier| tier.iter().map(RegionIndex::position).collect())
                .collect()
        };
        assert_eq!(tiers("eu-only", "/"), [vec![1]]);
        assert_eq!(tiers("fallback", "/"), [vec![1], vec![]]);
        assert_eq!(tiers("anywhere", "/"), [vec![0, 1, 2]]);
        assert_eq!(tiers("anywhere", "/us/x"), [vec![2]]);

        let anywhere = policy.tenant_by_id(&"anywhere".parse().unwrap()).unwrap();
        let rules = &policy.tenant(anywhere).unwrap().residency;
        let home = policy.fleet.region_by_name(&"eu-central".parse().unwrap()).unwrap();
        assert_eq!(rules.unknown, UnknownLocation::Home(home));
        assert!(rules.by_client[0].0.contains("FR".parse().unwrap()));
        assert!(!rules.by_client[0].0.contains("GB".parse().unwrap()));
    }
}
