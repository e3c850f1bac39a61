//! What goes on while documents are broken: whatever fails keeps its last good form, for that tenant alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assemble::{Claimant, assemble, conflicts};
use super::fleet::FleetDocument;
use super::page::Page;
use super::read::{Reading, TenantRead};
use super::resolve::{check_names, resolve};
use super::tenant::TenantDocument;
use super::{Diagnostic, Documents, Loaded, Severity, Source};
use crate::policy::{Tenant, TenantId};

/// What a reload gave.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// What is to hold from now on; `None` if everything is to stay as it is.
    pub loaded: Option<Loaded>,
    /// Tenants whose last good document stays in force, because the new one is broken.
    pub kept: Vec<TenantId>,
    /// Tenants that are not served, because their document is broken and there was no good one before.
    pub absent: Vec<TenantId>,
    /// Everything that is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads what is right, and keeps the last good form of what is not.
///
/// A broken fleet document changes nothing at all. A broken tenant's document keeps that tenant's last good one, read
/// anew in the fleet as it is now; what that fleet does not know any more is permitted nowhere. Of two tenants in
/// conflict those that have changed go back. Versions only rise: a document that is older than the last good one is as
/// good as a broken one. A broken document that does not say whose it is belongs to whoever had its file before, or whom
/// the file is named after; if nobody, it keeps every tenant from disappearing.
pub fn load_keeping(previous: Option<&Documents>, fleet: &Source, tenants: &[Source]) -> Reloaded {
    let reading = Reading::of(fleet, tenants);
    if let Some(previous) = previous {
        reading.refuse_older_fleet(&previous.fleet);
    }
    let outcome = match (&reading.fleet.document, reading.fleet_is_right()) {
        (Some(fleet), true) => Choice::new(previous, &reading).settle(fleet),
        _ => Outcome::default(),
    };
    let kept = match (&outcome.loaded, previous) {
        (None, Some(previous)) => previous.tenants.iter().map(|document| document.id().clone()).collect(),
        _ => outcome.kept,
    };
    let diagnostics = reading.into_diagnostics(outcome.diagnostics);
    Reloaded { loaded: outcome.loaded, kept, absent: outcome.absent, diagnostics }
}

#[derive(Default)]
struct Outcome {
    loaded: Option<Loaded>,
    kept: Vec<TenantId>,
    absent: Vec<TenantId>,
    diagnostics: Vec<Diagnostic>,
}

/// For each tenant, the documents that can be in force.
struct Choice<'r> {
    options: BTreeMap<TenantId, Options<'r>>,
    diagnostics: Vec<Diagnostic>,
}

#[derive(Default)]
struct Options<'r> {
    last_good: Option<&'r Arc<TenantDocument>>,
    /// The new document with its meaning, while nothing speaks against it.
    new: Option<(&'r Arc<TenantDocument>, &'r Arc<Tenant>)>,
}

impl<'r> Choice<'r> {
    fn new(previous: Option<&'r Documents>, reading: &'r Reading<'_>) -> Self {
        let before = Before::of(previous);
        let mut options: BTreeMap<TenantId, Options<'r>> = BTreeMap::new();
        let mut nameless = false;
        for read in &reading.tenants {
            let Some(id) = before.owner(read) else {
                nameless = true;
                continue;
            };
            let last_good = before.by_id.get(&id).copied();
            let older = last_good.is_some_and(|last_good| read.refuse_older(last_good));
            let new = read.reading.document.as_ref().zip(read.tenant.as_ref()).filter(|_| !older);
            options.insert(id, Options { last_good, new });
        }
        if nameless {
            for (id, document) in before.by_id {
                options.entry(id.clone()).or_default().last_good = Some(document);
            }
        }
        let mut choice = Self { options, diagnostics: Vec::new() };
        choice.refuse_second_documents(reading);
        choice
    }

    /// Of several documents of one tenant none is taken.
    fn refuse_second_documents(&mut self, reading: &Reading<'_>) {
        let claimants = reading.claimants();
        let mut seen = BTreeSet::new();
        for claimant in &claimants {
            if !seen.insert(&claimant.id.value)
                && let Some(options) = self.options.get_mut(&claimant.id.value)
            {
                options.new = None;
            }
        }
        let twice = conflicts(&claimants).into_iter().filter(|conflict| {
            conflict.first != conflict.second
                && claimants[conflict.first].id.value == claimants[conflict.second].id.value
        });
        self.diagnostics.extend(twice.map(|conflict| conflict.diagnostic));
    }

    /// Takes new documents back until all can live side by side, and makes a policy of them.
    fn settle(mut self, fleet: &Arc<FleetDocument>) -> Outcome {
        let mut rounds = 0..ROUNDS_MAX;
        while self.take_back_conflicting() {
            if rounds.next().is_none() {
                self.options.values_mut().for_each(|options| options.new = None);
            }
        }
        self.outcome(fleet)
    }

    /// Takes back every new document that is in conflict; whether there was one.
    fn take_back_conflicting(&mut self) -> bool {
        let in_force: Vec<&Arc<TenantDocument>> =
            self.options.values().filter_map(Options::in_force).collect();
        let claimants: Vec<Claimant<'_>> = in_force.iter().map(|document| claimant(document)).collect();
        let mut taken_back = false;
        for conflict in conflicts(&claimants) {
            for at in [conflict.first, conflict.second] {
                let options = self.options.get_mut(in_force[at].id());
                taken_back |= options.is_some_and(Options::take_back_changed);
            }
            self.diagnostics.push(conflict.diagnostic);
        }
        taken_back
    }

    fn outcome(self, fleet: &Arc<FleetDocument>) -> Outcome {
        let mut outcome = Outcome { diagnostics: self.diagnostics, ..Outcome::default() };
        let mut tenants: Vec<(&Arc<TenantDocument>, Arc<Tenant>)> = Vec::new();
        for (id, options) in self.options {
            match (options.new, options.last_good) {
                (Some((document, tenant)), _) => tenants.push((document, Arc::clone(tenant))),
                (None, Some(document)) => {
                    let tenant = resolve_kept(document, fleet, &mut outcome.diagnostics);
                    tenants.push((document, Arc::new(tenant)));
                    outcome.kept.push(id);
                }
                (None, None) => outcome.absent.push(id),
            }
        }
        let documents = Documents {
            fleet: Arc::clone(fleet),
            tenants: tenants.iter().map(|(document, _)| Arc::clone(document)).collect(),
        };
        let tenants = tenants.into_iter().map(|(document, tenant)| (&**document, tenant)).collect();
        let policy = assemble(fleet, tenants);
        outcome.loaded = policy.map(|policy| Loaded { policy, documents, warnings: Vec::new() });
        outcome
    }
}

impl<'r> Options<'r> {
    fn in_force(&self) -> Option<&'r Arc<TenantDocument>> {
        self.new.map(|(document, _)| document).or(self.last_good)
    }

    /// Goes back to the last good document if the new one differs from it; whether it did.
    fn take_back_changed(&mut self) -> bool {
        let changed = self.new.is_some_and(|(new, _)| {
            self.last_good.is_none_or(|last_good| last_good.digest() != new.digest())
        });
        if changed {
            self.new = None;
        }
        changed
    }
}

/// The last good documents.
struct Before<'r> {
    by_id: BTreeMap<&'r TenantId, &'r Arc<TenantDocument>>,
    by_file: BTreeMap<&'r str, &'r TenantId>,
}

impl<'r> Before<'r> {
    fn of(previous: Option<&'r Documents>) -> Self {
        let documents = || previous.into_iter().flat_map(|previous| &previous.tenants);
        Self {
            by_id: documents().map(|document| (document.id(), document)).collect(),
            by_file: documents().map(|document| (&*document.file, document.id())).collect(),
        }
    }

    /// Whose document it is: as it says, or else as its file said before, or else as its file is named.
    fn owner(&self, read: &TenantRead<'_>) -> Option<TenantId> {
        let name = read.source.name.as_str();
        if let Some(id) = &read.reading.id {
            return Some(id.value.clone());
        }
        if let Some(id) = self.by_file.get(name) {
            return Some((*id).clone());
        }
        let file = name.rsplit(['/', '\\']).next()?;
        file.strip_suffix(".toml")?.parse().ok()
    }
}

fn claimant(document: &TenantDocument) -> Claimant<'_> {
    Claimant {
        file: &document.file,
        id: &document.id,
        claims: &document.claims,
        receives_alone: document.receives_alone(),
    }
}

/// What a document that was right before means in `fleet`.
fn resolve_kept(document: &TenantDocument, fleet: &FleetDocument, found: &mut Vec<Diagnostic>) -> Tenant {
    let page = Page::new(&document.file);
    check_names(document, &fleet.names(), &page);
    let tenant = resolve(document, fleet, &page);
    let first = page.into_diagnostics().into_iter().find(Diagnostic::is_error);
    found.extend(first.map(|first| Diagnostic {
        line: 0,
        column: 0,
        severity: Severity::Warning,
        message: format!(
            "the last good document of tenant `{}` does not fit this fleet ({}); what cannot be told is not permitted",
            document.id(),
            first.message
        ),
        ..first
    }));
    tenant
}

/// How often new documents are taken back one conflict at a time, before all are.
const ROUNDS_MAX: usize = 16;

#[cfg(test)]
mod tests;
