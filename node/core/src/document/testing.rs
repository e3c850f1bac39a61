//! A small fleet and tenants in it, for tests.

use std::sync::Arc;

use super::{Diagnostic, FleetDocument, Loaded, Source, check_fleet, load};

/// Regions of five countries; two of them in `set:EU`, one labelled.
pub(crate) const FLEET: &str = r#"
version = 3
mesh = "test"
revoked = ["eu-1"]
[regions]
ch = { country = "CH", latitude = 47.4, longitude = 8.5 }
de = { country = "DE", latitude = 50.1, longitude = 8.7, labels = ["sovereign"] }
fr = { country = "FR", latitude = 48.9, longitude = 2.4 }
gb = { country = "GB", latitude = 51.5, longitude = -0.1 }
us = { country = "US", latitude = 39.0, longitude = -77.5 }
[sets]
EU = ["DE", "FR"]
NEAR = ["CH", "GB"]
"#;

/// A tenant that is known by `<id>.example`, has `residency` as its rules, and pools everywhere.
pub(crate) fn tenant(id: &str, residency: &str) -> Source {
    tenant_known_by(id, &format!("host = \"{id}.example\""), residency)
}

/// A tenant that is known by `recognised`, has `residency` as its rules, and pools everywhere.
pub(crate) fn tenant_known_by(id: &str, recognised: &str, residency: &str) -> Source {
    let pools =
        ["ch", "de", "fr", "gb", "us"].map(|region| format!("{region} = {{ backends = [\"10.0.0.1:80\"] }}"));
    let text = format!(
        "version = 1\nid = \"{id}\"\n[[match]]\n{recognised}\n[residency]\n{residency}\n[pools]\n{}\n",
        pools.join("\n")
    );
    Source::new(format!("tenants/{id}.toml"), text)
}

/// Its document.
pub(crate) fn fleet_source() -> Source {
    Source::new("fleet.toml", FLEET)
}

/// The small fleet.
pub(crate) fn fleet() -> Arc<FleetDocument> {
    check_fleet(&fleet_source()).0.unwrap()
}

/// What the documents give together.
pub(crate) fn loaded(tenants: &[Source]) -> Loaded {
    load(&fleet_source(), tenants).unwrap_or_else(|found| panic!("{}", shown(&found)))
}

/// What is wrong with the documents.
pub(crate) fn errors(tenants: &[Source]) -> String {
    shown(&load(&fleet_source(), tenants).expect_err("an error"))
}

/// As an operator sees it.
pub(crate) fn shown(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
