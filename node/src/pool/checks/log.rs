//! What happens to backends, as log lines.

use graticule_node_core::policy::CheckKind;
use graticule_node_core::pool::{CheckTarget, PoolEvent};

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

/// What a check asks, in a few words.
fn asked(target: &CheckTarget) -> String {
    match &target.check.kind {
        CheckKind::Http { path, host, .. } => format!("GET {path} of {host}"),
        CheckKind::Tcp => "tcp".to_owned(),
        CheckKind::Grpc { service, .. } => format!("grpc health of `{service}`"),
    }
}
