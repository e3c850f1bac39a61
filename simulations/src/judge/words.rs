//! How do people read an objective: its kind, of whose requests, its limit, and of which time, always in this order.

use std::time::Duration;

use crate::scenario::{Demand, Objective};

/// An objective of a scenario of this length, such as `availability of tenant berlin: at least 99.9 %; from 20s`.
pub(super) fn words(objective: &Objective, whole: Duration) -> String {
    let (kind, limit) = (objective.demand.kind(), limit(&objective.demand));
    let of = match (&objective.load, &objective.tenant) {
        (Some(load), Some(tenant)) => format!("load {load} of tenant {tenant}"),
        (Some(load), None) => format!("load {load}"),
        (None, Some(tenant)) => format!("tenant {tenant}"),
        (None, None) => "all".to_owned(),
    };
    let (from, until) = (objective.from, objective.until);
    let when = match (from.is_zero(), until == whole) {
        (true, true) => String::new(),
        (false, true) => format!("; from {from:?}"),
        (true, false) => format!("; until {until:?}"),
        (false, false) => format!("; from {from:?} until {until:?}"),
    };
    format!("{kind} of {of}: {limit}{when}")
}

fn limit(demand: &Demand) -> String {
    let percent = |share: f64| format!("{} %", (share * 1e6).round() / 1e4);
    match demand {
        Demand::Availability { least } => format!("at least {}", percent(*least)),
        Demand::Recovery { within, slower_than: None } => format!("within {within:?}"),
        Demand::Recovery { within, slower_than: Some(slow) } => {
            format!("within {within:?}, where answers over {slow:?} count as failed")
        }
        Demand::Refusals { only, .. } if only.is_empty() => "none".to_owned(),
        Demand::Refusals { only, most } if *most < 1.0 => {
            format!("at most {}, {} alone", percent(*most), only.join(", "))
        }
        Demand::Refusals { only, .. } => format!("{} alone", only.join(", ")),
        Demand::Latency { quantile, most } => format!("{} within {most:?}", percent(*quantile)),
        Demand::Served { by, least } => format!("at least {} by {}", percent(*least), by.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn said(demand: Demand, whose: (Option<&str>, Option<&str>), time: (u32, u32)) -> String {
        let (tenant, load) = (whose.0.map(str::to_owned), whose.1.map(str::to_owned));
        let (from, until) = (SECOND * time.0, SECOND * time.1);
        words(&Objective { tenant, load, from, until, demand }, SECOND * 60)
    }

    #[test]
    fn every_kind_is_said_in_one_form() {
        let (within, half) = (SECOND / 2, Some(SECOND / 4));
        let only = vec!["overloaded".to_owned(), "no-answer".to_owned()];
        let berlin = (Some("berlin"), None);
        for (demand, whose, time, expected) in [
            (
                Demand::Availability { least: 0.9995 },
                (None, None),
                (0, 60),
                "availability of all: at least 99.95 %",
            ),
            (
                Demand::Recovery { within, slower_than: half },
                berlin,
                (20, 30),
                "recovery of tenant berlin: within 500ms, where answers over 250ms count as failed; from 20s until 30s",
            ),
            (
                Demand::Refusals { only: Vec::new(), most: 1.0 },
                berlin,
                (20, 60),
                "refusals of tenant berlin: none; from 20s",
            ),
            (
                Demand::Refusals { only, most: 0.01 },
                (None, Some("reads")),
                (0, 60),
                "refusals of load reads: at most 1 %, overloaded, no-answer alone",
            ),
            (
                Demand::Latency { quantile: 0.99, most: within },
                (Some("berlin"), Some("reads")),
                (0, 19),
                "latency of load reads of tenant berlin: 99 % within 500ms; until 19s",
            ),
            (
                Demand::Served { by: vec!["eu-west".to_owned()], least: 1.0 },
                berlin,
                (0, 60),
                "served of tenant berlin: at least 100 % by eu-west",
            ),
        ] {
            assert_eq!(said(demand, whose, time), expected);
        }
    }
}
