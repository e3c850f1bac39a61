//! Everything that was handed in, read as far as it can be, whatever is wrong with parts of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assemble::{Claimant, assemble};
use super::fleet::{self, FleetDocument, FleetNames, FleetReading};
use super::page::{Page, Spot};
use super::resolve::{check_names, resolve};
use super::tenant::{self, TenantDocument, TenantReading};
use super::{Diagnostic, Documents, Source};
use crate::Policy;
use crate::policy::{DocumentVersion, Tenant};

/// A fleet document and tenants' documents.
#[derive(Debug)]
pub(super) struct Reading<'s> {
    fleet_page: Page,
    /// What the fleet document gave.
    pub(super) fleet: FleetReading,
    /// What the tenants' documents gave: in the order of their ids and files, those without an id first.
    pub(super) tenants: Vec<TenantRead<'s>>,
}

/// One tenant's document.
#[derive(Debug)]
pub(super) struct TenantRead<'s> {
    /// Where it comes from.
    pub(super) source: &'s Source,
    /// What was found in it.
    pub(super) page: Page,
    /// What it gave.
    pub(super) reading: TenantReading,
    /// What it means, if it and the fleet document are right.
    pub(super) tenant: Option<Arc<Tenant>>,
}

impl<'s> Reading<'s> {
    /// Reads all of them.
    pub(super) fn of(fleet: &Source, tenants: &'s [Source]) -> Self {
        let fleet_page = Page::new(&fleet.name);
        let fleet = fleet::read(fleet, &fleet_page);
        if tenants.len() > Documents::TENANTS_MAX {
            fleet_page.error(Spot::Document, format!("more than {} tenants", Documents::TENANTS_MAX));
        }
        let tenants = tenants.iter().take(Documents::TENANTS_MAX);
        let mut tenants: Vec<TenantRead<'s>> = tenants
            .map(|source| TenantRead::of(source, fleet.document.as_deref(), fleet.names.as_ref()))
            .collect();
        tenants.sort_by(|a, b| a.order().cmp(&b.order()));
        Self { fleet_page, fleet, tenants }
    }

    /// Whether nothing is wrong with the fleet document.
    pub(super) fn fleet_is_right(&self) -> bool {
        !self.fleet_page.has_errors()
    }

    /// Reports a fleet document that is older than the one in force.
    pub(super) fn refuse_older_fleet(&self, in_force: &FleetDocument) {
        let Some(new) = &self.fleet.document else { return };
        let (old, new) = (in_force.fleet().version, new.fleet().version);
        if new < old {
            let what = "the fleet document";
            falling(&self.fleet_page, self.fleet.version.unwrap_or(Spot::Document), what, (old, new));
        }
    }

    /// Every tenant that can be named.
    pub(super) fn claimants(&self) -> Vec<Claimant<'_>> {
        self.tenants.iter().filter_map(TenantRead::claimant).collect()
    }

    /// What the documents mean together, if all of them are right.
    pub(super) fn assemble(&self) -> Option<(Policy, Documents)> {
        let fleet = self.fleet.document.as_ref().filter(|_| self.fleet_is_right())?;
        let right =
            self.tenants.iter().map(|read| Some((read.reading.document.as_ref()?, read.tenant.as_ref()?)));
        let right = right.collect::<Option<Vec<_>>>()?;
        let documents = Documents {
            fleet: Arc::clone(fleet),
            tenants: right.iter().map(|(document, _)| Arc::clone(document)).collect(),
        };
        let meant = right.into_iter().map(|(document, tenant)| (&**document, Arc::clone(tenant))).collect();
        Some((assemble(fleet, meant)?, documents))
    }

    /// Everything found, with `more`: the fleet's first, then by file.
    pub(super) fn into_diagnostics(self, more: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut by_file: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
        for diagnostic in self.tenants.into_iter().flat_map(|read| read.page.into_diagnostics()).chain(more) {
            by_file.entry(diagnostic.file.clone()).or_default().push(diagnostic);
        }
        let mut diagnostics = self.fleet_page.into_diagnostics();
        for mut of_file in by_file.into_values() {
            of_file.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
            diagnostics.extend(of_file);
        }
        diagnostics
    }
}

impl<'s> TenantRead<'s> {
    /// Reads one document, and what it means in `fleet`; of a broken fleet document at least the names are compared.
    pub(super) fn of(source: &'s Source, fleet: Option<&FleetDocument>, names: Option<&FleetNames>) -> Self {
        let page = Page::new(&source.name);
        let reading = tenant::read(source, &page);
        if let (Some(document), Some(names)) = (&reading.document, names) {
            check_names(document, names, &page);
        }
        let tenant = match (&reading.document, fleet) {
            (Some(document), Some(fleet)) if !page.has_errors() => Some(resolve(document, fleet, &page)),
            _ => None,
        };
        Self { source, tenant: tenant.filter(|_| !page.has_errors()).map(Arc::new), page, reading }
    }

    /// The tenant as others see it, if it can be named.
    pub(super) fn claimant(&self) -> Option<Claimant<'_>> {
        Some(Claimant {
            file: &self.source.name,
            id: self.reading.id.as_ref()?,
            claims: &self.reading.claims,
            receives_alone: self.reading.receives_alone,
        })
    }

    /// Reports a document that is older than `in_force`, the same tenant's; whether it is.
    pub(super) fn refuse_older(&self, in_force: &TenantDocument) -> bool {
        let Some(new) = &self.reading.document else { return false };
        let (old, newer) = (in_force.version(), new.version());
        if newer < old {
            let what = format!("tenant `{}`", new.id());
            falling(&self.page, new.version.spot, &what, (old, newer));
            return true;
        }
        if newer == old && new.digest() != in_force.digest() {
            self.page.warn(
                new.version.spot,
                format!("other contents under version {} of tenant `{}`, which is in force", old.0, new.id()),
                format!(
                    "nodes with the one and with the other cannot be told apart by version: write `version = {}`",
                    old.0.saturating_add(1)
                ),
            );
        }
        false
    }

    fn order(&self) -> (Option<&str>, &str) {
        (self.reading.id.as_ref().map(|id| id.value.as_str()), &self.source.name)
    }
}

/// Reports that the version of `what` is `new`, where `old` is in force.
fn falling(page: &Page, spot: Spot, what: &str, (old, new): (DocumentVersion, DocumentVersion)) {
    page.error_with(
        spot,
        format!("version {} of {what} is lower than version {}, which is in force", new.0, old.0),
        format!("versions only rise: write `version = {}`", old.0.saturating_add(1)),
    );
}
