//! Has anything grown that should not: asked at the end, when every client has its answer.

use super::Stage;
use super::chronicle::Finding;

/// Checks all that the world can count.
pub(super) fn check(stage: &Stage) {
    // Who stands still can end nothing.
    let speaks = |node: &str| stage.truth.borrow().speaks(node);
    for (node, what) in stage.driver.growth().into_iter().filter(|(node, _)| speaks(node)) {
        stage.chronicle.violation(Finding { invariant: "nothing-grows", node: Some(node), what });
    }
}
