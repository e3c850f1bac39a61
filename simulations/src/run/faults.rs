//! How faults are brought about: each when its time comes, and undone when it is over.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use graticule::task::{self, Task};
use tokio::time::{sleep, sleep_until};

use super::Stage;
use super::truth::{Part, parts_of};
use crate::fleet::TenantPlan;
use crate::scenario::{DiskFate, Fault, Occurrence, Rules, Weather};

mod ways;

use ways::Ways;

/// Brings about every fault of the scenario.
pub(super) async fn play(stage: Rc<Stage>) {
    let ways = Rc::new(Ways::new(&stage));
    for (number, occurrence) in (0u64..).zip(stage.scenario.occurrences()) {
        sleep_until(stage.zero + occurrence.at).await;
        let (stage, ways, leaving) = (Rc::clone(&stage), Rc::clone(&ways), RefCell::default());
        let act = Act { stage, ways, number, leaving };
        task::spawn_detached("fault", act.play(occurrence));
    }
}

/// One fault while it happens.
struct Act {
    stage: Rc<Stage>,
    ways: Rc<Ways>,
    number: u64,
    /// Those whom this fault told to leave, and whether they have left.
    leaving: RefCell<BTreeMap<String, Leaver>>,
}

/// A node that was told to leave, while somebody waits for its end.
struct Leaver {
    has_left: Rc<Cell<bool>>,
    waiting: Task,
}

impl Act {
    async fn play(self, occurrence: Occurrence) {
        let fault = self.stage.scenario.faults[occurrence.fault].fault.clone();
        let told = self.stage.chronicle.fault(fault.kind(), words(&fault), fault.nodes());
        let parts = parts_of(&fault);
        self.stage.truth.borrow_mut().hurt(&parts, self.stage.now());
        self.report(self.begin(&fault).await);
        if let Fault::Upgrade { .. } = fault {
            return self.stage.chronicle.fault_over(told);
        }
        let Some(ends) = occurrence.ends else { return };
        sleep_until(self.stage.zero + ends).await;
        self.report(self.end(&fault).await);
        self.stage.truth.borrow_mut().heal(&parts, self.stage.now());
        self.stage.chronicle.fault_over(told);
    }

    /// A fault that cannot be brought about is a mistake of the scenario, such as a node that is down already.
    fn report(&self, result: io::Result<()>) {
        if let Err(error) = result {
            self.stage.chronicle.note("log", "-", format!("a fault cannot be brought about: {error}"));
        }
    }

    async fn begin(&self, fault: &Fault) -> io::Result<()> {
        let driver = &self.stage.driver;
        match fault {
            Fault::Crash { nodes, disk } => nodes.iter().try_for_each(|node| self.crash(node, *disk)),
            Fault::Stall { nodes } => self.stall(nodes, true),
            Fault::Drain { nodes } => self.leave(nodes).await,
            Fault::Upgrade { .. } => self.upgrade(fault).await,
            Fault::Cut { .. } | Fault::Partition { .. } => {
                self.ways.begin(self.number, &ways_of(fault), Weather::default(), true);
                Ok(())
            }
            Fault::Link { weather, .. } => {
                self.ways.begin(self.number, &ways_of(fault), *weather, false);
                Ok(())
            }
            Fault::Clock { nodes, drift_ppm } => self.drift(nodes, *drift_ppm),
            Fault::Backends { regions, tenant, how } => {
                let tenant = tenant.as_ref().and_then(|tenant| self.stage.scenario.fleet.tenant(tenant));
                driver.hurt_backends(self.number, regions, tenant.map(TenantPlan::host), *how);
                Ok(())
            }
            Fault::Names { nodes, to } => nodes.iter().try_for_each(|node| driver.rename(node, to)),
            Fault::Geo { nodes, how } => nodes.iter().try_for_each(|node| driver.put_geo(node, Some(*how))),
            Fault::Document { nodes, tenant, rules } => self.publish(nodes, tenant, rules, 0),
        }
    }

    async fn end(&self, fault: &Fault) -> io::Result<()> {
        let driver = &self.stage.driver;
        match fault {
            Fault::Crash { nodes, .. } => side_by_side(nodes.iter().map(|node| self.start(node))).await,
            Fault::Stall { nodes } => self.stall(nodes, false),
            Fault::Drain { nodes } => side_by_side(nodes.iter().map(|node| self.stay(node))).await,
            Fault::Upgrade { .. } => Ok(()),
            Fault::Cut { .. } | Fault::Partition { .. } | Fault::Link { .. } => {
                self.ways.end(self.number);
                Ok(())
            }
            Fault::Clock { nodes, .. } => self.drift(nodes, 0),
            Fault::Backends { .. } => {
                driver.mend_backends(self.number);
                Ok(())
            }
            Fault::Names { nodes, .. } => {
                nodes.iter().try_for_each(|node| driver.rename(node, std::slice::from_ref(node)))
            }
            Fault::Geo { nodes, .. } => nodes.iter().try_for_each(|node| driver.put_geo(node, None)),
            Fault::Document { nodes, tenant, .. } => match self.stage.scenario.rules.get(tenant) {
                Some(rules) => self.publish(nodes, tenant, rules, 1),
                None => Ok(()),
            },
        }
    }

    fn crash(&self, node: &str, disk: DiskFate) -> io::Result<()> {
        if self.stage.truth.borrow_mut().count_down(node, true) {
            self.stage.driver.crash(node)?;
            self.stage.truth.borrow_mut().set_draining(node, None);
            self.stage.chronicle.note("node", node, "dies");
        }
        if disk == DiskFate::Lost {
            self.stage.driver.lose_disk(node)?;
            let mut truth = self.stage.truth.borrow_mut();
            for (tenant, rules) in &self.stage.scenario.rules {
                truth.set_rules(node, tenant, rules.clone(), self.stage.now());
            }
        }
        Ok(())
    }

    /// Starts a node unless another fault holds it down; again and again until it starts, as a supervisor does.
    async fn start(&self, node: &str) -> io::Result<()> {
        if !self.stage.truth.borrow_mut().count_down(node, false) {
            return Ok(());
        }
        let mut said = None;
        while self.stage.truth.borrow().runs(node) {
            let Err(error) = self.stage.driver.start(node).await else {
                self.stage.chronicle.note("node", node, "starts");
                return Ok(());
            };
            let error = error.to_string();
            if said.as_ref() != Some(&error) {
                self.stage.chronicle.note("node", node, format!("cannot start: {error}"));
            }
            said = Some(error);
            sleep(SUPERVISOR_PAUSE).await;
        }
        Ok(())
    }

    fn stall(&self, nodes: &[String], stalled: bool) -> io::Result<()> {
        nodes.iter().try_for_each(|node| {
            self.stage.driver.stall(node, stalled)?;
            let mut truth = self.stage.truth.borrow_mut();
            if truth.draining_since(node).is_some() {
                // While it stood still, it told nobody.
                truth.set_draining(node, Some(self.stage.now()));
            }
            drop(truth);
            self.stage.chronicle.note("node", node, if stalled { "stands still" } else { "goes on" });
            Ok(())
        })
    }

    /// Tells a node to leave. One that is down hears nothing, and stays when it is started again.
    async fn drain(&self, node: &str) -> io::Result<()> {
        if !self.stage.truth.borrow().runs(node) {
            return Ok(());
        }
        self.stage.truth.borrow_mut().set_draining(node, Some(self.stage.now()));
        self.stage.chronicle.note("node", node, "is leaving");
        self.stage.driver.drain(node).await
    }

    /// Lets nodes leave that run. Who has left is down until the fault is over.
    async fn leave(&self, nodes: &[String]) -> io::Result<()> {
        for node in nodes {
            if self.stage.truth.borrow().runs(node) {
                self.drain(node).await?;
                let has_left = Rc::new(Cell::new(false));
                let waiting = until_left(Rc::clone(&self.stage), node.clone(), Rc::clone(&has_left));
                let leaver = Leaver { has_left, waiting: task::spawn("leaving", waiting) };
                self.leaving.borrow_mut().insert(node.clone(), leaver);
            }
        }
        Ok(())
    }

    /// Lets a node stay after all, or starts it again if it is too late for that.
    async fn stay(&self, node: &str) -> io::Result<()> {
        let Some(Leaver { has_left, waiting }) = self.leaving.borrow_mut().remove(node) else {
            return Ok(());
        };
        if !has_left.get() && self.stage.driver.undrain(node).await? {
            self.stage.truth.borrow_mut().set_draining(node, None);
            self.stage.chronicle.note("node", node, "stays");
            return Ok(());
        }
        while !waiting.has_ended() {
            sleep(LOOK_INTERVAL).await;
        }
        if has_left.get() { self.start(node).await } else { Ok(()) }
    }

    async fn upgrade(&self, fault: &Fault) -> io::Result<()> {
        let Fault::Upgrade { nodes, drained, stopped, pause } = fault else { return Ok(()) };
        for node in nodes {
            let part = [Part::Node(node.clone())];
            self.stage.truth.borrow_mut().hurt(&part, self.stage.now());
            self.drain(node).await?;
            sleep(*drained).await;
            if self.stage.truth.borrow_mut().count_down(node, true) {
                self.stage.driver.stop(node).await?;
                self.stage.chronicle.note("node", node, "stops");
            }
            sleep(*stopped).await;
            self.stage.truth.borrow_mut().set_draining(node, None);
            self.start(node).await?;
            self.stage.truth.borrow_mut().heal(&part, self.stage.now());
            sleep(*pause).await;
        }
        Ok(())
    }

    fn drift(&self, nodes: &[String], drift_ppm: i32) -> io::Result<()> {
        nodes.iter().try_for_each(|node| self.stage.driver.drift(node, drift_ppm))
    }

    /// Puts rules on nodes' disks, under a version that is newer than all before.
    fn publish(&self, nodes: &[String], tenant: &str, rules: &Rules, after: u64) -> io::Result<()> {
        let version = 2 + 2 * self.number + after;
        nodes.iter().try_for_each(|node| {
            self.stage.driver.put_document(node, tenant, version, &rules.document())?;
            self.stage.truth.borrow_mut().set_rules(node, tenant, rules.clone(), self.stage.now());
            Ok(())
        })
    }
}

/// Waits for the end of a node that was told to leave, and counts it as down from then on: unless it was killed, or
/// another fault has seen it leave.
async fn until_left(stage: Rc<Stage>, node: String, has_left: Rc<Cell<bool>>) {
    stage.driver.left(&node).await;
    {
        let mut truth = stage.truth.borrow_mut();
        if truth.draining_since(&node).is_none() || !truth.runs(&node) {
            return;
        }
        truth.set_draining(&node, None);
        truth.count_down(&node, true);
    }
    has_left.set(true);
    stage.chronicle.note("node", &node, "has left");
    // What is left of it: nobody may find it, as if it still ran.
    if let Err(error) = stage.driver.crash(&node) {
        stage.chronicle.note("log", "-", format!("{node} cannot be cleared away: {error}"));
    }
}

/// Does things to nodes side by side: none waits for one that cannot be done. The first error is told.
async fn side_by_side<F: Future<Output = io::Result<()>>>(doing: impl Iterator<Item = F>) -> io::Result<()> {
    let mut doing: Vec<_> = doing.map(Box::pin).collect();
    let mut result = Ok(());
    poll_fn(|cx| {
        doing.retain_mut(|done| match done.as_mut().poll(cx) {
            Poll::Ready(done) => {
                result = std::mem::replace(&mut result, Ok(())).and(done);
                false
            }
            Poll::Pending => true,
        });
        if doing.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    result
}

/// Before a node that could not start is started again.
const SUPERVISOR_PAUSE: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The pairs of nodes between which a fault of links happens.
fn ways_of(fault: &Fault) -> BTreeSet<(String, String)> {
    let pair = |part| match part {
        Part::Way(from, to) => Some((from, to)),
        _ => None,
    };
    parts_of(fault).into_iter().filter_map(pair).collect()
}

/// A fault as people read it.
pub(crate) fn words(fault: &Fault) -> String {
    let list = |names: &[String]| names.join(", ");
    match fault {
        Fault::Crash { nodes, disk: DiskFate::Kept } => format!("crash of {}", list(nodes)),
        Fault::Crash { nodes, disk: DiskFate::Lost } => format!("crash of {}, with the disk", list(nodes)),
        Fault::Stall { nodes } => format!("{} stand still", list(nodes)),
        Fault::Drain { nodes } => format!("drain of {}", list(nodes)),
        Fault::Upgrade { nodes, .. } => format!("upgrade of {}, one by one", list(nodes)),
        Fault::Cut { from, to } => format!("{} no longer heard by {}", list(from), list(to)),
        Fault::Partition { groups } => {
            let groups: Vec<_> = groups.iter().map(|group| list(group)).collect();
            format!("partition: {}", groups.join(" | "))
        }
        Fault::Link { from, to, weather } => {
            format!("from {} to {}: {}", list(from), list(to), weather_words(weather))
        }
        Fault::Clock { nodes, drift_ppm } => format!("clocks of {} {drift_ppm} ppm too fast", list(nodes)),
        Fault::Backends { regions, tenant, how } => {
            let whose = tenant.as_ref().map(|tenant| format!(" of {tenant}")).unwrap_or_default();
            let mut what = Vec::new();
            what.extend((!how.latency.is_zero()).then(|| format!("{:?} slower", how.latency)));
            what.extend((how.errors > 0.0).then(|| format!("{} % errors", how.errors * 100.0)));
            what.extend(how.down.then(|| "down".to_owned()));
            format!("backends{whose} in {}: {}", list(regions), what.join(", "))
        }
        Fault::Names { nodes, to } if to.is_empty() => format!("names of {} resolve to nothing", list(nodes)),
        Fault::Names { nodes, to } => format!("names of {} resolve to {}", list(nodes), list(to)),
        Fault::Geo { nodes, how } => format!("geo database of {} {how:?}", list(nodes)).to_lowercase(),
        Fault::Document { nodes, tenant, .. } => format!("another document of {tenant} on {}", list(nodes)),
    }
}

fn weather_words(weather: &Weather) -> String {
    let mut words = Vec::new();
    let mut time = |what: &str, time: Duration| {
        if !time.is_zero() {
            words.push(format!("{time:?} {what}"));
        }
    };
    time("longer", weather.latency);
    time("jitter", weather.jitter);
    for (what, share) in
        [("lost", weather.loss), ("twice", weather.duplicates), ("out of order", weather.reordered)]
    {
        if share > 0.0 {
            words.push(format!("{} % {what}", share * 100.0));
        }
    }
    words.extend(weather.bytes_per_second.map(|rate| format!("{rate} bytes/s")));
    words.join(", ")
}
