//! Has anything grown that should not: asked at the end, when every client has its answer.

use super::Stage;
use super::chronicle::Finding;

/// Checks all that the world can count.
pub(super) fn check(stage: &Stage) {
    for (node, what) in stage.driver.growth() {
        stage.chronicle.violation(Finding { invariant: "nothing-grows", node: Some(node), what });
    }
}
