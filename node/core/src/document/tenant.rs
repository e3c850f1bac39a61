//! A tenant's document: how it is recognised, where it may be served, and by which servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_gossip_core::RegionName;

use super::canonical::Canonical;
use super::page::{At, Page, Spot};
use super::table::{Key, Table, key};
use super::text::Text;
use super::tree::{Node, parse};
use super::value::{boolean, integer, one_of, parsed};
use super::{Diagnostic, Source};
use crate::policy::{AddressMask, Claim, Digest, DocumentVersion, Pool, PoolName, RequestLimits, TenantId};

mod claim;
mod content;
mod limits;
mod pool;
mod route;
pub(super) mod rules;

pub(super) use claim::path_prefix;
pub(super) use content::ContentRules;
pub(super) use pool::ByRegion;
pub(super) use route::RouteRules;
pub(super) use rules::{ClientRule, PermissionRules, Reach, Rules, Unknown};

/// A tenant's document that is right in itself; what it says of places and regions depends on the fleet's.
#[derive(Debug, Clone)]
pub struct TenantDocument {
    pub(super) file: Arc<str>,
    pub(super) id: At<TenantId>,
    pub(super) version: At<DocumentVersion>,
    pub(super) claims: Arc<[At<Claim>]>,
    pub(super) residency: Rules,
    pub(super) routes: Vec<RouteRules>,
    pub(super) pools: ByRegion,
    pub(super) named_pools: BTreeMap<PoolName, At<ByRegion>>,
    pub(super) content: Vec<ContentRules>,
    pub(super) expose_region: bool,
    pub(super) redirect_http: bool,
    pub(super) informational: bool,
    pub(super) limits: RequestLimits,
    pub(super) addresses: AddressMask,
    digest: Digest,
}

/// A file that a pool names, and where.
#[derive(Debug, Clone)]
pub struct AuthorityFile {
    /// Relative to the documents.
    pub path: Box<str>,
    file: Arc<str>,
    spot: Spot,
}

impl AuthorityFile {
    /// What to tell the document's author about a file that cannot be used.
    pub fn error(&self, problem: &str) -> Diagnostic {
        let page = Page::new(&self.file);
        let message = format!("the authorities in `{}` cannot be used: the file {problem}", self.path);
        page.error_with(self.spot, message, "put a PEM file there, or name another in `tls.ca` of this pool");
        page.into_diagnostics().remove(0)
    }
}

/// What reading a tenant's document gave.
#[derive(Debug, Default)]
pub(super) struct TenantReading {
    /// Whose it is, if that could be read.
    pub(super) id: Option<At<TenantId>>,
    /// What it claims, as far as that is right: conflicts are found also where other things are wrong.
    pub(super) claims: Arc<[At<Claim>]>,
    /// Where `receive = "allowed"` was written, if it was.
    pub(super) receives_alone: Option<Spot>,
    /// The document, if nothing is wrong with it.
    pub(super) document: Option<Arc<TenantDocument>>,
}

impl TenantDocument {
    /// How many ways to recognise it a tenant can have.
    pub const CLAIMS_MAX: usize = 1_000;

    /// How many routes a tenant can have.
    pub const ROUTES_MAX: usize = 256;

    /// How many content rules a tenant can have.
    pub const CONTENT_RULES_MAX: usize = 256;

    /// How many fallback tiers one table of rules can have.
    pub const FALLBACK_TIERS_MAX: usize = 15;

    /// How many rules by the client's country one table of rules can have.
    pub const CLIENT_RULES_MAX: usize = 64;

    /// How many places one list can have.
    pub const PLACES_MAX: usize = 256;

    /// Whose it is.
    pub fn id(&self) -> &TenantId {
        &self.id.value
    }

    /// Its version.
    pub fn version(&self) -> DocumentVersion {
        self.version.value
    }

    /// Identifies its contents.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The files of authorities that its pools name, relative to the documents.
    pub fn authority_files(&self) -> Vec<AuthorityFile> {
        let named = self.named_pools.values().flat_map(|at| &at.value);
        let pools = self.pools.iter().chain(named);
        let file = |(_, at): (&RegionName, &At<Pool>)| {
            let path = at.value.tls.as_ref()?.authorities.clone()?;
            Some(AuthorityFile { path, file: Arc::clone(&self.file), spot: at.spot })
        };
        pools.filter_map(file).collect()
    }

    /// Where `receive = "allowed"` was written, if it was.
    pub(super) fn receives_alone(&self) -> Option<Spot> {
        receives_alone(Some(&self.residency), &self.routes)
    }

    fn canonical(&self) -> Canonical {
        let pool = |(region, at): (&RegionName, &At<Pool>)| {
            Canonical::default().text(region.as_str()).list([pool::canonical(&at.value)])
        };
        let named = |(name, at): (&PoolName, &At<ByRegion>)| {
            Canonical::default().text(name.as_str()).set(at.value.iter().map(pool))
        };
        Canonical::of("tenant/2")
            .text(self.id.value.as_str())
            .number(self.version.value.0)
            .set(self.claims.iter().map(|claim| claim::canonical(&claim.value)))
            .list([self.residency.canonical()])
            .set(self.routes.iter().map(RouteRules::canonical))
            .set(self.pools.iter().map(pool))
            .set(self.named_pools.iter().map(named))
            .list(self.content.iter().map(ContentRules::canonical))
            .number(u64::from(self.expose_region))
            .number(u64::from(self.redirect_http))
            .number(u64::from(self.informational))
            .list([limits::canonical(self.limits)])
            .number(self.addresses as u64)
    }
}

/// Reads a tenant's document.
pub(super) fn read(source: &Source, page: &Page) -> TenantReading {
    let tree = Text::of(source, page).and_then(|text| parse(&text, page));
    let Some(table) = tree.as_ref().and_then(|tree| Table::open(page, tree, KEYS)) else {
        return TenantReading::default();
    };
    let version = table.required("version", integer(1..=i64::MAX));
    let id: Option<At<TenantId>> = table.required("id", parsed);
    let claims: Arc<[At<Claim>]> = claim::read(page, &table).into();
    let residency = table.required("residency", rules::read);
    let routes = route::read(page, &table);
    let pools = pool::read(page, &table);
    let named_pools = pool::read_named(page, &table);
    let known: Vec<&PoolName> = named_pools.keys().collect();
    let content = content::read(page, &table, &known);
    if !page.has_errors() {
        warn_of_idle_pools(page, &named_pools, &content);
    }
    let expose_region = table.or("expose_region", true, boolean);
    let redirect_http = table.or("redirect_http", false, boolean);
    let informational = table.or("informational", false, boolean);
    let limits = table.or("limits", RequestLimits::default(), limits::read);
    let addresses = table.or("record", AddressMask::default(), record);

    let mut reading = TenantReading {
        id: id.clone(),
        claims,
        receives_alone: receives_alone(residency.as_ref().map(|at| &at.value), &routes),
        document: None,
    };
    if let (Some(version), Some(id), Some(residency), false) = (version, id, residency, page.has_errors()) {
        let mut document = TenantDocument {
            file: Arc::clone(page.file()),
            id,
            version: version.map(|version| DocumentVersion(version.unsigned_abs())),
            claims: Arc::clone(&reading.claims),
            residency: residency.value,
            routes,
            pools,
            named_pools,
            content,
            expose_region,
            redirect_http,
            informational,
            limits,
            addresses,
            digest: Digest([0; 32]),
        };
        document.digest = document.canonical().digest();
        reading.document = Some(Arc::new(document));
    }
    reading
}

/// `[record]`: what may be written of a request where it may be recorded.
fn record(page: &Page, node: &Node) -> Option<AddressMask> {
    let table = Table::open(page, node, RECORD_KEYS)?;
    Some(table.or("address", AddressMask::default(), one_of(ADDRESSES)))
}

/// Warns of pools that no content rule names.
fn warn_of_idle_pools(page: &Page, named: &BTreeMap<PoolName, At<ByRegion>>, content: &[ContentRules]) {
    let shares = || content.iter().flat_map(|rule| &rule.shares).filter_map(|(name, _)| name.as_ref());
    for (name, At { spot, .. }) in named.iter().filter(|(name, _)| !shares().any(|used| used == *name)) {
        let message = format!("no content rule names the pool `{name}`, so it is never used");
        page.warn(*spot, message, "add `[[content]]` with `pool` or `split`, or remove the pool");
    }
}

fn receives_alone(residency: Option<&Rules>, routes: &[RouteRules]) -> Option<Spot> {
    let all = residency.into_iter().chain(routes.iter().map(|route| &route.rules));
    all.into_iter().find_map(|rules| rules.receives_alone)
}

const KEYS: &[Key] = &[
    key("version", "1"),
    key("id", "\"acme\""),
    key("match", "[{ host = \"acme.example\" }]"),
    key("residency", "{ allow = [\"set:EU\"] }"),
    key("route", "[{ path_prefix = \"/eu\", allow = [\"set:EU\"] }]"),
    key("pools", "{ eu-central = { backends = [\"127.0.0.1:9001\"] } }"),
    key("named_pools", "{ canary = { eu-central = { backends = [\"127.0.0.1:9002\"] } } }"),
    key("content", "[{ path_prefix = \"/api\", pool = \"api\" }]"),
    key("expose_region", "true"),
    key("redirect_http", "true"),
    key("informational", "true"),
    key("limits", "{ body_bytes_max = 1048576 }"),
    key("record", "{ address = \"network\" }"),
];
const RECORD_KEYS: &[Key] = &[key("address", "\"network\"")];
const ADDRESSES: &[(&str, AddressMask)] =
    &[("full", AddressMask::Full), ("network", AddressMask::Network), ("none", AddressMask::Nothing)];

#[cfg(test)]
mod tests;
