//! What happens to backends, as log lines.

use std::io;

use graticule_node_core::policy::CheckKind;
use graticule_node_core::pool::{CheckTarget, NameEvent, Names, PoolEvent};

use crate::shared::PoolEventCounts;

/// Says it.
pub(super) fn event(event: &PoolEvent, counts: &PoolEventCounts) {
    counts.count(event);
    match event {
        PoolEvent::BackendFailed { target, askers, failure } => {
            tracing::warn!(
                tenant = %askers.first.tenant, pool = askers.first.called(), pools = askers.count,
                address = %target.address, check = asked(target), reason = %failure,
                "a backend fails its check and gets no more requests"
            );
        }
        PoolEvent::BackendRecovered { target, askers } => {
            tracing::info!(
                tenant = %askers.first.tenant, pool = askers.first.called(), pools = askers.count,
                address = %target.address, check = asked(target),
                "a backend passes its check and gets requests again"
            );
        }
        PoolEvent::BackendAdmitted { target, askers } => {
            tracing::info!(
                tenant = %askers.first.tenant, pool = askers.first.called(), pools = askers.count,
                address = %target.address, check = asked(target),
                "a backend that has just come passes its check and gets requests"
            );
        }
        PoolEvent::BackendFailing { pool, address, fault } => {
            tracing::warn!(
                tenant = %pool.tenant, pool = pool.called(), %address, reason = %fault,
                "requests get no answer from a backend"
            );
        }
        PoolEvent::BackendEjected { pool, address, out, fault } => {
            tracing::warn!(
                tenant = %pool.tenant, pool = pool.called(), %address, out_s = out.as_secs(),
                reason = fault.map(tracing::field::display),
                "requests fail at a backend again and again; it gets none for a while"
            );
        }
        PoolEvent::BackendReturned { pool, address } => {
            tracing::info!(
                tenant = %pool.tenant, pool = pool.called(), %address,
                "a backend's time out is over; it gets requests again"
            );
        }
    }
}

/// Says what became of a name.
pub(super) fn name(event: NameEvent, name: &str, names: &Names, error: Option<&io::Error>) {
    let Some(pool) = names.asker(name) else { return };
    let (tenant, pool, addresses) = (&pool.tenant, pool.called(), names.addresses(name));
    // Without an error, there was an answer without addresses.
    let reason = error.map_or_else(|| "no address".to_owned(), ToString::to_string);
    match event {
        NameEvent::Moved => {
            tracing::info!(%tenant, pool, %name, ?addresses, "a backend's name has other addresses");
        }
        NameEvent::Recovered => {
            tracing::info!(%tenant, pool, %name, ?addresses, "a backend's name can be resolved again");
        }
        NameEvent::Failed { has_addresses: true } => {
            tracing::warn!(
                %tenant, pool, %name, error = reason,
                "a backend's name cannot be resolved; its last addresses stay"
            );
        }
        NameEvent::Failed { has_addresses: false } => {
            tracing::warn!(%tenant, pool, %name, error = reason, "a backend's name cannot be resolved; it has no addresses");
        }
    }
}

/// What a check asks, in a few words.
fn asked(target: &CheckTarget) -> String {
    let host = target.check.kind.host(target.address).unwrap_or_default();
    match &target.check.kind {
        CheckKind::Http { path, .. } => format!("GET {path} of {host}"),
        CheckKind::Tcp => "tcp".to_owned(),
        CheckKind::Grpc { service, .. } => format!("grpc health of `{service}`"),
    }
}
