//! `[drain]`: how long a node that leaves goes on.

use std::time::Duration;

use crate::document::page::Page;
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::duration;
use crate::leaving::LeavingSettings;

/// Reads the table.
pub(super) fn read(page: &Page, node: &Node) -> Option<LeavingSettings> {
    let table = Table::open(page, node, KEYS)?;
    let delay = table.or("delay", DELAY, duration(Duration::ZERO..=TIME_MAX));
    let deadline = table.or("deadline", DEADLINE, duration(DEADLINE_MIN..=TIME_MAX));
    if delay >= deadline {
        page.error_with(
            table.spot,
            "`delay` leaves no time until `deadline` to finish what is under way",
            "both count from the signal: make `delay` shorter, or `deadline` longer",
        );
    }
    Some(LeavingSettings { delay, deadline })
}

const KEYS: &[Key] = &[key("delay", "\"5s\""), key("deadline", "\"25s\"")];

/// Two failed checks of a load balancer that looks every 2 s.
const DELAY: Duration = Duration::from_secs(5);
/// Within the 30 s that Kubernetes leaves a process by default.
const DEADLINE: Duration = Duration::from_secs(25);
const DEADLINE_MIN: Duration = Duration::from_millis(100);
const TIME_MAX: Duration = Duration::from_hours(1);
