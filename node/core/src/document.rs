//! What operators write: one fleet document, one for each tenant, and what they mean together.
//!
//! A document goes through three forms: the text, a tree of values that know their place; then the document, right in
//! itself; then its meaning in a fleet, which decisions use. Each form is checked as far as it can be without the next,
//! and everything that is wrong is reported in one go.

use std::sync::Arc;

use crate::Policy;

mod assemble;
mod canonical;
mod certificates;
mod diagnostic;
mod duplicate;
mod fleet;
mod keep;
mod nesting;
pub(crate) mod page;
mod read;
mod resolve;
pub mod starter;
mod suggest;
pub(crate) mod table;
mod tenant;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod value;

pub use diagnostic::{Diagnostic, Severity};
pub use fleet::FleetDocument;
pub use keep::{Reloaded, load_keeping};
pub use tenant::{AuthorityFile, TenantDocument};

/// How a document is read: text, tree, tables, values and diagnostics at their places. For other files of this form,
/// such as scenarios, so that all of them report errors alike.
pub mod reading {
    pub use super::page::{At, Page, Spot, listed, shortened};
    pub use super::suggest::nearest;
    pub use super::table::{Key, Table, entries, key, name, tables};
    pub use super::text::Text;
    pub use super::tree::{Entry, Node, Value, parse};
    pub use super::value::{
        assigned_country, boolean, country, distinct, duration, expecting, integer, list, meant_country,
        mismatch, mismatch_with, number, one_of, parsed, text,
    };
}

/// The text of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What diagnostics call it: its path, as the reader knows it.
    pub name: String,
    /// Its contents.
    pub text: Vec<u8>,
    /// Why there are no contents, if its reader could not read it.
    pub unread: Option<String>,
}

/// All documents, each right in itself.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The fleet's.
    pub fleet: Arc<FleetDocument>,
    /// The tenants', in the order of their ids.
    pub tenants: Vec<Arc<TenantDocument>>,
}

/// What documents gave that are right together.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What they mean.
    pub policy: Policy,
    /// What they say.
    pub documents: Documents,
    /// What is hardly meant.
    pub warnings: Vec<Diagnostic>,
}

/// Loads a fleet with its tenants, or says everything that is wrong with any of them.
pub fn load(fleet: &Source, tenants: &[Source]) -> Result<Loaded, Vec<Diagnostic>> {
    let reading = read::Reading::of(fleet, tenants);
    let conflicts = assemble::conflicts(&reading.claimants());
    let loaded = if conflicts.is_empty() { reading.assemble() } else { None };
    let conflicts = conflicts.into_iter().map(|conflict| conflict.diagnostic).collect();
    let diagnostics = reading.into_diagnostics(conflicts);
    match loaded {
        Some((policy, documents)) if !diagnostics.iter().any(Diagnostic::is_error) => {
            Ok(Loaded { policy, documents, warnings: diagnostics })
        }
        _ => Err(diagnostics),
    }
}

/// Checks a fleet document alone.
pub fn check_fleet(source: &Source) -> (Option<Arc<FleetDocument>>, Vec<Diagnostic>) {
    let page = page::Page::new(&source.name);
    let document = fleet::read(source, &page).document;
    (document, page.into_diagnostics())
}

/// Checks a tenant's document: against a fleet document, or only in itself.
pub fn check_tenant(
    source: &Source,
    fleet: Option<&FleetDocument>,
) -> (Option<Arc<TenantDocument>>, Vec<Diagnostic>) {
    let names = fleet.map(FleetDocument::names);
    let read = read::TenantRead::of(source, fleet, names.as_ref());
    let document = read.reading.document.filter(|_| !read.page.has_errors());
    (document, read.page.into_diagnostics())
}

impl Source {
    /// The longest document that is read, in bytes.
    pub const BYTES_MAX: usize = 1 << 20;

    /// A document of this name and contents.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), text: text.into(), unread: None }
    }

    /// A document of this name that could not be read, and why.
    pub fn unreadable(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), text: Vec::new(), unread: Some(why.into()) }
    }
}

impl Documents {
    /// How many tenants a fleet can have.
    pub const TENANTS_MAX: usize = 100_000;
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
