//! Every path of the admin API, in one table: the server is built from it, and so is its description.

/// One path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The process runs.
    Health,
    /// It wants requests.
    Ready,
    /// Every node.
    Nodes,
    /// Every region.
    Regions,
    /// Every tenant.
    Tenants,
    /// The pools of the node's region.
    Pools,
    /// The node's peers.
    Tunnels,
    /// Whether what is read again is in force.
    Reloads,
    /// What would be decided.
    Why,
    /// What changes, as it does.
    Events,
    /// Nodes leave.
    Drain,
    /// They stay after all.
    Undrain,
    /// For Prometheus.
    Metrics,
    /// This table, for programs.
    OpenApi,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Health,
        Self::Ready,
        Self::Nodes,
        Self::Regions,
        Self::Tenants,
        Self::Pools,
        Self::Tunnels,
        Self::Reloads,
        Self::Why,
        Self::Events,
        Self::Drain,
        Self::Undrain,
        Self::Metrics,
        Self::OpenApi,
    ];

    /// The route of a path, without its query.
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.path() == path)
    }

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Health => "/v1/health",
            Self::Ready => "/v1/ready",
            Self::Nodes => "/v1/nodes",
            Self::Regions => "/v1/regions",
            Self::Tenants => "/v1/tenants",
            Self::Pools => "/v1/pools",
            Self::Tunnels => "/v1/tunnels",
            Self::Reloads => "/v1/reloads",
            Self::Why => "/v1/why",
            Self::Events => "/v1/events",
            Self::Drain => "/v1/drain",
            Self::Undrain => "/v1/undrain",
            Self::Metrics => "/metrics",
            Self::OpenApi => "/openapi.json",
        }
    }

    /// Whether it changes something, and is asked with `POST`.
    pub const fn is_change(self) -> bool {
        matches!(self, Self::Drain | Self::Undrain)
    }

    /// Whether it is answered without a token, however many ask: probes, and what is the same for everybody.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Health | Self::Ready | Self::OpenApi)
    }

    /// What it is for, in a sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Health => "The process runs",
            Self::Ready => "Whether the node wants requests: 200 if so, else 503 with the same type",
            Self::Nodes => "Every node that this one knows by gossip, by name",
            Self::Regions => "Every region of the fleet document, by name",
            Self::Tenants => "Every tenant, by id",
            Self::Pools => "The pools of this node's region",
            Self::Tunnels => "The peers that this node keeps control tunnels to",
            Self::Reloads => "Whether the node's files are in force as they are, and why not",
            Self::Why => "What would be decided for a request, with every candidate",
            Self::Events => "What changes at this node from now on, as server-sent events",
            Self::Drain => "Nodes leave without losing a request",
            Self::Undrain => "They stay after all, while they still accept",
            Self::Metrics => "The node's metrics, in Prometheus's text format",
            Self::OpenApi => "This description",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_route_and_to_no_other() {
        for route in Route::ALL {
            assert_eq!(Route::of(route.path()), Some(route));
        }
        assert_eq!(Route::of("/v1/other"), None);
    }
}
