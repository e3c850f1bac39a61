//! Requests, errors and durations of every tenant, as metrics.

use graticule_node_core::Reason;
use graticule_node_core::metrics::{ByRole, Exposition, Kind, TenantSeries};
use graticule_node_core::outcome::{Class, Role};
use graticule_node_core::shared::{DURATION_BOUNDS_MS, Totals};

/// A counter: its name, what it means, and what it says of each.
type Row = (&'static str, &'static str, fn(&Totals) -> u64);

/// Writes the families.
pub(super) fn write(tenants: &TenantSeries, nobody: &ByRole, page: &mut Exposition) {
    let series: Vec<_> = tenants.series().chain([(TenantSeries::NOBODY, nobody)]).collect();
    let each = |page: &mut Exposition, write: &dyn Fn(&mut Exposition, &str, Role, &Totals)| {
        for (tenant, totals) in &series {
            for (role, totals) in Role::ALL.into_iter().zip(totals.iter()) {
                // A role that a tenant never had has no series.
                if totals.requests() > 0 {
                    write(page, tenant, role, totals);
                }
            }
        }
    };
    page.family(
        "graticule_requests_total",
        Kind::Counter,
        "Requests that are over, by role of this node and class of status.",
    );
    each(page, &|page, tenant, role, totals| {
        for (class, count) in Class::ALL.into_iter().zip(totals.classes).filter(|(_, count)| *count > 0) {
            page.sample(
                &[("tenant", tenant), ("role", role.label()), ("class", class.label())],
                count as f64,
            );
        }
    });
    page.family(
        "graticule_refusals_total",
        Kind::Counter,
        "Requests that this node did not forward, or got no answer to, by reason.",
    );
    each(page, &|page, tenant, role, totals| {
        for (reason, count) in Reason::ALL.into_iter().zip(totals.reasons).filter(|(_, count)| *count > 0) {
            page.sample(
                &[("tenant", tenant), ("role", role.label()), ("reason", reason.row().label)],
                count as f64,
            );
        }
    });
    page.family(
        "graticule_request_duration_seconds",
        Kind::Histogram,
        "From a request's head to the end of its answer.",
    );
    each(page, &|page, tenant, role, totals| {
        let labels = [("tenant", tenant), ("role", role.label())];
        page.histogram(&labels, &DURATION_BOUNDS_MS, (&totals.durations, totals.duration_us));
    });
    for (name, help, value) in COUNTERS {
        page.family(name, Kind::Counter, help);
        each(page, &|page, tenant, role, totals| {
            page.sample(&[("tenant", tenant), ("role", role.label())], value(totals) as f64);
        });
    }
}

const COUNTERS: [Row; 4] = [
    ("graticule_request_body_bytes_total", "Bytes of requests' bodies that were read.", |t| t.bytes_up),
    ("graticule_response_body_bytes_total", "Bytes of answers' bodies that were passed on.", |t| {
        t.bytes_down
    }),
    (
        "graticule_request_repeats_total",
        "Regions and peers that requests were sent to beyond the first.",
        |t| t.repeats,
    ),
    ("graticule_responses_broken_total", "Answers that ended early, on either side.", |t| t.broken),
];
