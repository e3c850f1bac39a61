//! Are there enough file descriptors for what a node's limits allow?

use graticule_node_core::config::NodeConfig;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes as many as the system lets this process have, and warns if that is less than the node's limits can need: then
/// connections fail long before a limit is reached.
pub(super) fn raise(config: &NodeConfig) {
    let granted = getrlimit(Resource::Nofile);
    if let Some(wanted) = raised(granted)
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let (needed, open_files_max) = (needed(config), granted.maximum.unwrap_or(u64::MAX));
    if open_files_max < needed {
        tracing::warn!(
            open_files_max,
            needed,
            "the limit of open files is lower than the node's limits can need: raise it (ulimit -n, LimitNOFILE), or \
             lower ingress.limits.connections_max and limits.requests_in_flight_max"
        );
    }
}

/// The limit to ask for, if it is another one than is `granted`.
fn raised(granted: Rlimit) -> Option<Rlimit> {
    (granted.current != granted.maximum).then_some(Rlimit { current: granted.maximum, ..granted })
}

/// One for each client, one to a backend for each request, and some for everything else.
fn needed(config: &NodeConfig) -> u64 {
    let clients = u64::from(config.ingress.limits.connections_max);
    clients + u64::from(config.requests_in_flight_max) + OTHERS
}

/// Listeners, UDP sockets, files, admin connections, checks.
const OTHERS: u64 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_yet_is_asked_for() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(raised(limit(Some(1_024), Some(4_096))), Some(limit(Some(4_096), Some(4_096))));
        assert_eq!(raised(limit(Some(1_024), None)), Some(limit(None, None)));
        assert_eq!(raised(limit(Some(4_096), Some(4_096))), None);
        assert_eq!(raised(limit(None, None)), None);
    }
}
