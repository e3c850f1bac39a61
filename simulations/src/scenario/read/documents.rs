//! What would a node say of the documents that a scenario's fleet makes: asked here, so that `check` finds what a run
//! would fail at.

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_node_core::document::reading::{Page, Spot};
use graticule_node_core::document::{self, Diagnostic, FleetDocument, Source};

use crate::fleet::FleetPlan;

/// The fleet document as nodes read it; reports what they refuse in the region that it is about.
pub(super) fn fleet(
    page: &Page,
    plan: &FleetPlan,
    spots: &BTreeMap<String, Spot>,
) -> Option<Arc<FleetDocument>> {
    let text = plan.document();
    let (document, found) = document::check_fleet(&Source::new("fleet.toml", text.clone()));
    for refused in found.iter().filter(|found| found.is_error()) {
        let lines = text.lines().take(refused.line as usize);
        let region = lines.filter_map(|line| line.strip_prefix("[regions.")?.strip_suffix(']')).last();
        let spot = region.and_then(|name| spots.get(name)).copied();
        report(page, spot.unwrap_or(Spot::Document), "region", refused);
    }
    document
}

/// Where parts of a tenant's document are written in a scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct TenantSpots {
    pub(super) whole: Spot,
    pub(super) residency: Spot,
}

/// Reports what nodes of a fleet refuse of a tenant's document.
pub(super) fn tenant(page: &Page, fleet: &FleetDocument, (text, spots): (String, TenantSpots)) {
    let (_, found) = document::check_tenant(&Source::new("tenant.toml", text.clone()), Some(fleet));
    for refused in found.iter().filter(|found| found.is_error()) {
        let begun = |part: &str| text.lines().take(refused.line as usize).any(|line| line.starts_with(part));
        let in_rules = begun("[residency]") && !begun("[pools.");
        report(page, if in_rules { spots.residency } else { spots.whole }, "tenant", refused);
    }
}

fn report(page: &Page, spot: Spot, what: &str, refused: &Diagnostic) {
    let message = format!("nodes refuse this {what}: {}", refused.message);
    page.error_perhaps_with(spot, message, refused.help.clone());
}
