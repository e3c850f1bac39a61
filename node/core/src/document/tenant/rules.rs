//! `[residency]`: where a tenant's requests may be served, in the words of the document.

use graticule_geo::{Place, PlaceError};
use graticule_gossip_core::RegionName;

use super::TenantDocument;
use crate::document::canonical::Canonical;
use crate::document::page::{At, Page, Spot, shortened};
use crate::document::table::{Key, Table, key, tables};
use crate::document::tree::Node;
use crate::document::value::{list, meant_country, one_of, parsed, text, warn_if_unassigned};
use crate::policy::Receive;

/// One table of rules.
#[derive(Debug, Clone)]
pub(in crate::document) struct Rules {
    /// Where it begins.
    pub(in crate::document) spot: Spot,
    /// For every client that no rule in `by_client` is about.
    pub(in crate::document) everybody: PermissionRules,
    /// By the client's country, first match wins.
    pub(in crate::document) by_client: Vec<ClientRule>,
    /// The home region.
    pub(in crate::document) home: Option<At<RegionName>>,
    /// What to do with clients whose country is unknown.
    pub(in crate::document) unknown: Unknown,
    /// Where `receive = "allowed"` was written, if it was.
    pub(in crate::document) receives_alone: Option<Spot>,
}

/// What to do with clients whose country is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::document) enum Unknown {
    /// Refuse them.
    Refuse,
    /// Serve them in the home region.
    Home,
}

/// Where something may be done, in order of preference.
#[derive(Debug, Clone)]
pub(in crate::document) struct PermissionRules {
    /// Where it was written.
    pub(in crate::document) spot: Spot,
    /// First choice.
    pub(in crate::document) allow: Reach,
    /// Never here, whatever the others say.
    pub(in crate::document) deny: Vec<At<Place>>,
    /// Further choices, each used only when every region before it is unable.
    pub(in crate::document) fallback: Vec<Reach>,
}

/// How far a permission reaches.
#[derive(Debug, Clone)]
pub(in crate::document) enum Reach {
    /// `["any"]`: every region.
    Anywhere,
    /// The regions in any of these.
    Places(Vec<At<Place>>),
}

/// Rules for clients of some countries.
#[derive(Debug, Clone)]
pub(in crate::document) struct ClientRule {
    /// Their countries.
    pub(in crate::document) when: Vec<At<Place>>,
    /// Where they may be served.
    pub(in crate::document) permission: PermissionRules,
}

/// Reads a table of rules.
pub(super) fn read(page: &Page, node: &Node) -> Option<Rules> {
    let table = Table::open(page, node, KEYS)?;
    let everybody = permission(&table);
    let clients = table.optional("client", |page, node| tables(page, node, TenantDocument::CLIENT_RULES_MAX));
    let clients = clients.map_or_else(Vec::new, |at| at.value);
    let by_client: Vec<ClientRule> = clients.iter().filter_map(|node| client_rule(page, node)).collect();
    let home = table.optional("home", parsed);
    let unknown = if clients.is_empty() {
        table.optional("unknown", one_of(UNKNOWN))
    } else {
        table.required("unknown", one_of(UNKNOWN))
    };
    if let Some(At { spot, value: Unknown::Home }) = &unknown
        && table.entry("home").is_none()
    {
        page.error_with(*spot, "`unknown = \"home\"` without `home`", "add `home = \"..\"` with a region");
    }
    let receive = table.optional("receive", one_of(RECEIVE));
    Some(Rules {
        spot: node.spot,
        everybody: everybody?,
        by_client,
        home,
        unknown: unknown.map_or(Unknown::Refuse, |at| at.value),
        receives_alone: receive.filter(|at| at.value == Receive::Allowed).map(|at| at.spot),
    })
}

fn client_rule(page: &Page, node: &Node) -> Option<ClientRule> {
    let table = Table::open(page, node, CLIENT_KEYS)?;
    let when = table.required("when", list(TenantDocument::PLACES_MAX, place));
    for at in when.iter().flat_map(|at| &at.value) {
        if let Place::Label(label) = &at.value {
            let message =
                format!("`label:{}` is said of regions, and `when` asks for the client", label.as_str());
            page.error_with(at.spot, message, "use `country:DE` or `set:EU`");
        }
    }
    if let Some(empty) = when.as_ref().filter(|at| at.value.is_empty()) {
        page.error_with(empty.spot, "this rule is about nobody", "add places, or remove the rule");
    }
    let permission = permission(&table);
    Some(ClientRule { when: when?.value, permission: permission? })
}

fn permission(table: &Table<'_>) -> Option<PermissionRules> {
    let allow = table.required("allow", reach);
    let deny = table.or("deny", Vec::new(), list(TenantDocument::PLACES_MAX, place));
    let fallback = table.or("fallback", Vec::new(), list(TenantDocument::FALLBACK_TIERS_MAX, reach));
    Some(PermissionRules {
        spot: allow.as_ref()?.spot,
        allow: allow?.value,
        deny,
        fallback: fallback.into_iter().map(|tier| tier.value).collect(),
    })
}

/// A list of places, or `["any"]`.
fn reach(page: &Page, node: &Node) -> Option<Reach> {
    let any = |item: &Node| item.as_text() == Some(ANYWHERE);
    let items = node.as_list().unwrap_or_default();
    let Some(anywhere) = items.iter().find(|item| any(item)) else {
        let places = list(TenantDocument::PLACES_MAX, place)(page, node)?;
        return Some(Reach::Places(places));
    };
    if items.len() > 1 {
        page.error_with(
            anywhere.spot,
            "`any` beside other places",
            "`any` is every region: leave the rest out",
        );
    }
    Some(Reach::Anywhere)
}

fn place(page: &Page, node: &Node) -> Option<Place> {
    let written = text(page, node)?;
    // `country:UK` has the form of a place, and means none.
    let meant = meant_place(&written);
    match (written.parse(), meant) {
        (Ok(Place::Country(_)), Some(help)) => {
            let message = format!("`{written}` is no country of ISO 3166-1");
            page.error_with(node.spot, message, help);
            None
        }
        (Ok(place), _) => {
            if let Place::Country(country) = &place {
                warn_if_unassigned(page, node.spot, *country);
            }
            Some(place)
        }
        (Err(error), help) => {
            let message = PlaceError::to_string(&error);
            match help {
                Some(help) => page.error_with(node.spot, message, help),
                None => page.error(node.spot, message),
            }
            None
        }
    }
}

/// What was meant by a text that is no place.
fn meant_place(written: &str) -> Option<String> {
    if let Some(code) = written.strip_prefix("country:").and_then(meant_country) {
        return Some(format!("did you mean `country:{code}`?"));
    }
    match written {
        ANYWHERE => Some("`any` can stand alone in `allow`, or as a tier of `fallback`".to_owned()),
        name if name.contains(':') || name.is_empty() => None,
        name => {
            Some(format!("say which kind of place: `country:{0}`, `set:{0}` or `label:{0}`", shortened(name)))
        }
    }
}

impl Rules {
    /// Every place they name.
    pub(in crate::document) fn places(&self) -> impl Iterator<Item = &At<Place>> {
        let clients = self.by_client.iter();
        let asked = clients.clone().flat_map(|rule| &rule.when);
        let permissions = clients.map(|rule| &rule.permission).chain([&self.everybody]);
        permissions.flat_map(PermissionRules::places).chain(asked)
    }

    /// What they mean, in bytes.
    pub(super) fn canonical(&self) -> Canonical {
        let client =
            |rule: &ClientRule| Canonical::default().list([places(&rule.when), rule.permission.canonical()]);
        Canonical::default()
            .list([self.everybody.canonical()])
            .list(self.by_client.iter().map(client))
            .maybe(self.home.as_ref().map(|home| Canonical::default().text(home.value.as_str())))
            .number(u64::from(self.unknown == Unknown::Home))
            .number(u64::from(self.receives_alone.is_some()))
    }
}

impl PermissionRules {
    fn places(&self) -> impl Iterator<Item = &At<Place>> {
        let reaches = self.fallback.iter().chain([&self.allow]);
        reaches.flat_map(Reach::places).chain(&self.deny)
    }

    fn canonical(&self) -> Canonical {
        Canonical::default()
            .list([self.allow.canonical(), places(&self.deny)])
            .list(self.fallback.iter().map(Reach::canonical))
    }
}

impl Reach {
    /// Whether it was written to be empty.
    pub(in crate::document) fn is_nowhere(&self) -> bool {
        matches!(self, Self::Places(places) if places.is_empty())
    }

    fn places(&self) -> &[At<Place>] {
        match self {
            Self::Anywhere => &[],
            Self::Places(places) => places,
        }
    }

    fn canonical(&self) -> Canonical {
        Canonical::default().maybe(match self {
            Self::Anywhere => None,
            Self::Places(named) => Some(places(named)),
        })
    }
}

fn places(places: &[At<Place>]) -> Canonical {
    Canonical::default().set(places.iter().map(|at| Canonical::default().text(&at.value.to_string())))
}

const KEYS: &[Key] = &[
    key("allow", "[\"set:EU\"]"),
    key("deny", "[\"country:HU\"]"),
    key("fallback", "[[\"country:CH\"], [\"country:GB\"]]"),
    key("home", "\"eu-central\""),
    key("unknown", "\"refuse\""),
    key("receive", "\"any\""),
    key("client", "[{ when = [\"country:US\"], allow = [\"country:US\"] }]"),
];

const CLIENT_KEYS: &[Key] = &[
    key("when", "[\"country:US\"]"),
    key("allow", "[\"country:US\"]"),
    key("deny", "[\"label:test\"]"),
    key("fallback", "[[\"country:CA\"]]"),
];

const UNKNOWN: &[(&str, Unknown)] = &[("refuse", Unknown::Refuse), ("home", Unknown::Home)];
const RECEIVE: &[(&str, Receive)] = &[("any", Receive::Any), ("allowed", Receive::Allowed)];

/// What stands for every region.
const ANYWHERE: &str = "any";
