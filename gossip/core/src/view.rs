//! What a node believes of the mesh: the newest announcement of every name, and who is alive.

use std::collections::BTreeMap;

use crate::{Announcement, NodeName};

/// One node as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The newest announcement heard of that name.
    pub announcement: Announcement,
    /// Whether the failure detector holds it for alive.
    pub alive: bool,
}

/// Every node that this node has heard of and not yet forgotten, itself included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// By name; one entry per name, the highest generation wins.
    pub members: BTreeMap<NodeName, Member>,
}

/// Collects what gossip holds into a [`View`], in any order.
#[derive(Debug, Default)]
pub struct ViewBuilder {
    view: View,
}
