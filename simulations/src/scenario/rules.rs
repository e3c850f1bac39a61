//! Where a tenant's requests may be, as the judge reads it: by itself, from the scenario, not from the node.

use std::collections::BTreeSet;
use std::fmt::Write;

/// A tenant's residency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// For every client that no rule of `by_client` is about.
    pub everybody: Permission,
    /// By the client's country, first match wins.
    pub by_client: Vec<(Reach, Permission)>,
    /// What becomes of clients in no country, if there are rules by country.
    pub unknown: Unknown,
    /// The home region.
    pub home: Option<String>,
    /// Which nodes may receive its requests.
    pub receive: Receive,
}

/// Where something may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// First choice.
    pub allow: Reach,
    /// Never here.
    pub deny: Reach,
    /// Further choices.
    pub fallback: Vec<Reach>,
}

/// Places, as `country:DE`, `set:EU`, `label:x`; `any` is everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach(pub BTreeSet<String>);

/// What becomes of clients whose country is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They are refused.
    Refuse,
    /// They are served at home.
    Home,
}

/// Which nodes may receive requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// All.
    Any,
    /// Those of allowed regions.
    Allowed,
}

impl Rules {
    /// The keys of `[residency]` in the tenant's document.
    pub fn document(&self) -> String {
        let mut text = self.everybody.document();
        // Writing to a string cannot fail.
        let _ = match self.unknown {
            Unknown::Refuse => writeln!(text, "unknown = \"refuse\""),
            Unknown::Home => writeln!(text, "unknown = \"home\""),
        };
        if let Some(home) = &self.home {
            let _ = writeln!(text, "home = \"{home}\"");
        }
        if self.receive == Receive::Allowed {
            let _ = writeln!(text, "receive = \"allowed\"");
        }
        for (when, permission) in &self.by_client {
            let _ = writeln!(text, "\n[[residency.client]]\nwhen = {}", when.document());
            text += &permission.document();
        }
        text
    }
}

impl Permission {
    fn document(&self) -> String {
        let fallback: Vec<_> = self.fallback.iter().map(Reach::document).collect();
        let mut text = format!("allow = {}\n", self.allow.document());
        if !self.deny.0.is_empty() {
            let _ = writeln!(text, "deny = {}", self.deny.document());
        }
        if !fallback.is_empty() {
            let _ = writeln!(text, "fallback = [{}]", fallback.join(", "));
        }
        text
    }
}

impl Reach {
    fn document(&self) -> String {
        let places: Vec<_> = self.0.iter().map(|place| format!("\"{place}\"")).collect();
        format!("[{}]", places.join(", "))
    }
}
