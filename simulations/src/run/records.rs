//! What do access logs keep: every line is read as it is written, and must be where its request's tenant allows that.

use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::chronicle::Finding;
use super::{Stage, clients, invariants};
use crate::fleet::TenantPlan;
use crate::scenario::Load;

/// What of a line says whose request it was.
#[derive(Debug, Default, Deserialize)]
struct Line {
    tenant: Option<String>,
    trace_id: Option<String>,
}

/// Reads all access logs for as long as the run goes on.
pub(super) async fn watch(stage: Rc<Stage>) {
    loop {
        sleep(LOOK_INTERVAL).await;
        read(&stage);
    }
}

/// Reads what is new in all access logs.
pub(super) fn read(stage: &Stage) {
    for node in stage.scenario.fleet.node_names() {
        let written = stage.driver.take_access_log(&node);
        for line in String::from_utf8_lossy(&written).lines() {
            judge(stage, &node, line);
        }
    }
}

fn judge(stage: &Stage, node: &str, text: &str) {
    stage.count_check();
    let violation = |invariant, what| {
        stage.chronicle.violation(Finding { invariant, node: Some(node.to_owned()), what });
    };
    let Ok(line) = serde_json::from_str::<Line>(text) else {
        return violation("logs-are-readable", format!("a line of the access log is no JSON object: {text}"));
    };
    let Some(region) = stage.scenario.fleet.region_of(node) else { return };
    let mut loads =
        stage.scenario.loads.iter().enumerate().filter(|(at, load)| is_of(stage, (*at, load), (&line, text)));
    let mut of_somebody = false;
    let traced = traced(stage, &line);
    let number = traced.map(|(_, number)| number);
    if let (Some((of, _)), Some(tenant)) = (traced, &line.tenant)
        && stage.scenario.loads[of].tenant != *tenant
    {
        violation("recorded-in-place", format!("its access log names another's tenant: {text}"));
    }
    let allowed = loads.any(|(at, _)| {
        of_somebody = true;
        let places = invariants::recording_places(stage, node, (at, number));
        places.iter().any(|places| places.contains(&region.name))
    });
    if of_somebody && !allowed {
        let what =
            format!("its access log says what no document that it had allows in {}: {text}", region.name);
        violation("recorded-in-place", what);
    }
}

/// The load and number of the request that a line is of, if it is in the trace of one.
fn traced(stage: &Stage, line: &Line) -> Option<(usize, u64)> {
    let traced = line.trace_id.as_deref().and_then(clients::traced);
    traced.filter(|(load, number)| stage.sent(*load, *number).is_some())
}

/// Whether a line can be of a load's request: by its trace, or by anything in it that tells of the tenant.
fn is_of(stage: &Stage, (position, load): (usize, &Load), (line, text): (&Line, &str)) -> bool {
    if let Some((of, _)) = traced(stage, line) {
        return of == position;
    }
    let host = stage.scenario.fleet.tenant(&load.tenant).map(TenantPlan::host);
    line.tenant.as_ref() == Some(&load.tenant) || host.is_some_and(|host| text.contains(&host))
}

const LOOK_INTERVAL: Duration = Duration::from_millis(100);
