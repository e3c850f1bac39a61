//! What a node believes of the mesh: the newest announcement of every name, and who is alive.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::{Announcement, AnnouncementError, Generation, MeshAddress, NodeName, RegionName};

/// One node as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The newest announcement heard of that name.
    pub announcement: Announcement,
    /// Whether the failure detector holds it for alive.
    pub alive: bool,
}

/// What is believed of a node, in the one word that metrics, events and the admin API use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberState {
    /// It is heard, and stays.
    Alive,
    /// It is heard, and says that it is leaving.
    Draining,
    /// It is no longer heard, and said before that it was leaving.
    Left,
    /// It is no longer heard, and has not said why.
    Dead,
}

impl MemberState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Alive, Self::Draining, Self::Left, Self::Dead];

    /// The state as it is told.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Draining => "draining",
            Self::Left => "left",
            Self::Dead => "dead",
        }
    }
}

impl Member {
    /// What is believed of it.
    pub const fn state(&self) -> MemberState {
        match (self.alive, self.announcement.draining) {
            (true, false) => MemberState::Alive,
            (true, true) => MemberState::Draining,
            (false, true) => MemberState::Left,
            (false, false) => MemberState::Dead,
        }
    }
}

/// Every node that this node has heard of and not yet forgotten, itself included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// By name; one entry per name, at most [`NODES_MAX`]. Of several starts of a name the highest generation among
    /// the live ones stands here, or the highest of all if none is alive.
    pub members: BTreeMap<NodeName, Member>,
}

impl View {
    /// What is known of `node`, alive or not.
    pub fn member(&self, node: &NodeName) -> Option<&Member> {
        self.members.get(node)
    }

    /// Who is alive, by name.
    pub fn live(&self) -> impl Iterator<Item = &Announcement> {
        self.members.values().filter(|member| member.alive).map(|member| &member.announcement)
    }

    /// Who is alive in `region`, by name.
    pub fn live_in<'a>(&'a self, region: &'a RegionName) -> impl Iterator<Item = &'a Announcement> {
        self.live().filter(move |announcement| announcement.region == *region)
    }

    /// Where to dial `node`, alive or not: a node that seems dead may only be cut off from those who say so.
    pub fn address(&self, node: &NodeName) -> Option<MeshAddress> {
        self.member(node).map(|member| member.announcement.mesh)
    }
}

/// Collects what gossip holds into a [`View`]: the same view whatever the order in which it is told.
#[derive(Debug)]
pub struct ViewBuilder {
    view: View,
    nodes_max: usize,
    over_limit: bool,
}

impl Default for ViewBuilder {
    fn default() -> Self {
        Self { view: View::default(), nodes_max: NODES_MAX, over_limit: false }
    }
}

impl ViewBuilder {
    /// Adds what one start of a node says of itself, as values by key.
    ///
    /// The error says why it is no announcement; it is then not in the view, and nothing else changes.
    pub fn add<'a>(
        &mut self,
        node: &str,
        generation: Generation,
        lookup: impl Fn(&str) -> Option<&'a str>,
        alive: bool,
    ) -> Result<(), AnnouncementError> {
        let node = node.parse().map_err(|_| AnnouncementError::Malformed("node"))?;
        let announcement = Announcement::from_values(node, generation, lookup)?;
        self.add_member(Member { announcement, alive });
        Ok(())
    }

    /// Adds what is known first-hand.
    pub fn add_member(&mut self, member: Member) {
        let name = &member.announcement.node;
        if self.view.members.get(name).is_some_and(|held| prefer(held, &member) != Ordering::Less) {
            return;
        }
        self.view.members.insert(name.clone(), member);
        if self.view.members.len() > self.nodes_max {
            self.over_limit = true;
            self.drop_least();
        }
    }

    /// Whether there were more names than a view may have. The live ones are kept first, then the first by name.
    pub fn is_over_limit(&self) -> bool {
        self.over_limit
    }

    /// The view of everything added.
    pub fn build(self) -> View {
        self.view
    }

    fn drop_least(&mut self) {
        let members = &self.view.members;
        let dead = members.iter().rev().find(|(_, member)| !member.alive);
        if let Some(name) = dead.or_else(|| members.iter().next_back()).map(|(name, _)| name.clone()) {
            self.view.members.remove(&name);
        }
    }
}

/// Which of two members of one name stands in the view. Whoever lies about a generation must at least keep it alive.
fn prefer(a: &Member, b: &Member) -> Ordering {
    let rank = |member: &Member| (member.alive, member.announcement.generation, member.announcement.mesh);
    // One start that says two things, as only a liar makes it: any choice will do that does not depend on the order.
    let words = || a.announcement.to_values().cmp(&b.announcement.to_values());
    rank(a).cmp(&rank(b)).then_with(words)
}

/// No view has more members.
pub const NODES_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
