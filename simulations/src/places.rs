//! Is a region in a place: read here again, so that what is checked about the node is not the node's own opinion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use graticule_geo::{Country, STARTER_SETS};

use crate::fleet::RegionPlan;

/// Whether `place` (`country:DE`, `set:EU`, `label:x` or `any`) speaks of a region.
pub(crate) fn includes(place: &str, region: &RegionPlan) -> bool {
    match place.split_once(':') {
        None => place == ANY,
        Some(("label", label)) => region.labels.iter().any(|own| own == label),
        Some(_) => includes_country(place, region.country),
    }
}

/// Whether `place` speaks of a country. Labels are said of regions only.
pub(crate) fn includes_country(place: &str, country: Country) -> bool {
    match place.split_once(':') {
        None => place == ANY,
        Some(("country", code)) => code == country.as_str(),
        Some(("set", name)) => SETS.get(name).is_some_and(|set| set.contains(country.as_str())),
        Some(_) => false,
    }
}

/// Whether `place` is defined: every set of a simulated fleet is one of the starter sets.
pub(crate) fn is_defined(place: &str) -> bool {
    place.strip_prefix("set:").is_none_or(|name| SETS.contains_key(name))
}

/// The names of all sets.
pub(crate) fn sets() -> impl Iterator<Item = &'static str> + Clone {
    SETS.keys().map(String::as_str)
}

/// What stands for everywhere.
pub(crate) const ANY: &str = "any";

static SETS: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    let document: toml::Table = STARTER_SETS.parse().unwrap_or_default();
    let sets = document.get("sets").and_then(toml::Value::as_table).into_iter().flatten();
    let codes = |value: &toml::Value| {
        let codes = value.as_array().into_iter().flatten().filter_map(toml::Value::as_str);
        codes.map(str::to_owned).collect()
    };
    sets.map(|(name, value)| (name.clone(), codes(value))).collect()
});

#[cfg(test)]
mod tests {
    use graticule_geo::Coordinates;

    use super::*;

    fn region(country: &str) -> RegionPlan {
        let here = Coordinates::new(0.0, 0.0).unwrap();
        RegionPlan { labels: vec!["west".to_owned()], ..RegionPlan::new("r", country.parse().unwrap(), here) }
    }

    #[test]
    fn a_region_is_in_its_country_its_sets_and_its_labels() {
        for place in ["country:DE", "set:EU", "set:EEA", "label:west", "any"] {
            assert!(includes(place, &region("DE")), "{place}");
        }
        for place in ["country:DE", "set:EU", "set:NONE", "label:east", "region:r"] {
            assert!(!includes(place, &region("US")), "{place}");
        }
    }

    #[test]
    fn the_union_has_27_states() {
        assert_eq!(SETS["EU"].len(), 27);
        assert!(is_defined("set:EU") && is_defined("country:DE") && !is_defined("set:NONE"));
    }
}
