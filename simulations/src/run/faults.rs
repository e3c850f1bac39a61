//! How faults are brought about: each when its time comes, and undone when it is over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use graticule::task::{self, Task};
use tokio::time::{sleep, sleep_until};

use super::Stage;
use super::truth::life::Life;
use super::truth::{Part, parts_of};
use crate::fleet::TenantPlan;
use crate::scenario::{DiskFate, Fault, GeoFault, Occurrence, Rules, Weather};

mod layers;
mod ways;

use layers::{Replaced, Uncovered};
use ways::Ways;

/// Brings about every fault of the scenario.
pub(super) async fn play(stage: Rc<Stage>) {
    let (ways, replaced) = (Rc::new(Ways::new(&stage)), Rc::new(Replaced::default()));
    for (number, occurrence) in (0u64..).zip(stage.scenario.occurrences()) {
        sleep_until(stage.zero + occurrence.at).await;
        let (stage, ways, replaced) = (Rc::clone(&stage), Rc::clone(&ways), Rc::clone(&replaced));
        let act = Act { stage, ways, replaced, number, leaving: RefCell::default() };
        task::spawn_detached("fault", act.play(occurrence));
    }
}

/// One fault while it happens.
struct Act {
    stage: Rc<Stage>,
    ways: Rc<Ways>,
    replaced: Rc<Replaced>,
    number: u64,
    /// Who waits for the end of those whom this fault told to leave.
    leaving: RefCell<BTreeMap<String, Task>>,
}

impl Act {
    async fn play(self, occurrence: Occurrence) {
        let fault = self.stage.scenario.faults[occurrence.fault].fault.clone();
        let told = self.stage.chronicle.fault(fault.kind(), words(&fault), fault.nodes());
        let parts = parts_of(&fault);
        self.stage.truth.borrow_mut().hurt(&parts, self.number, self.stage.now());
        self.report(self.begin(&fault).await);
        if let Fault::Upgrade { .. } = fault {
            return self.stage.chronicle.fault_over(told);
        }
        let Some(ends) = occurrence.ends else { return };
        sleep_until(self.stage.zero + ends).await;
        self.report(self.end(&fault).await);
        self.stage.truth.borrow_mut().heal(&parts, self.number, self.stage.now());
        self.stage.chronicle.fault_over(told);
    }

    /// A fault that cannot be brought about is a mistake of the scenario.
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
            Fault::Clock { nodes, drift_ppm } => nodes.iter().try_for_each(|node| {
                self.replaced.clocks.cover(node.clone(), self.number, *drift_ppm);
                self.drift(node, *drift_ppm)
            }),
            Fault::Backends { regions, tenant, how } => {
                let tenant = tenant.as_ref().and_then(|tenant| self.stage.scenario.fleet.tenant(tenant));
                driver.hurt_backends(self.number, regions, tenant.map(TenantPlan::host), *how);
                Ok(())
            }
            Fault::Names { nodes, to } => nodes.iter().try_for_each(|node| {
                self.replaced.names.cover(node.clone(), self.number, to.clone());
                driver.rename(node, to)
            }),
            Fault::Geo { nodes, how } => nodes.iter().try_for_each(|node| {
                self.replaced.geo.cover(node.clone(), self.number, *how);
                driver.put_geo(node, Some(*how))
            }),
            Fault::Document { nodes, tenant, rules } => nodes.iter().try_for_each(|node| {
                self.replaced.documents.cover((node.clone(), tenant.clone()), self.number, rules.clone());
                self.publish(node, tenant, rules)
            }),
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
            Fault::Clock { nodes, .. } => nodes.iter().try_for_each(|node| self.right_clock(node)),
            Fault::Backends { .. } => {
                driver.mend_backends(self.number);
                Ok(())
            }
            Fault::Names { nodes, .. } => nodes.iter().try_for_each(|node| self.right_name(node)),
            Fault::Geo { nodes, .. } => nodes.iter().try_for_each(|node| self.right_geo(node)),
            Fault::Document { nodes, tenant, .. } => {
                nodes.iter().try_for_each(|node| self.right_document(node, tenant))
            }
        }
    }

    /// Something becomes of a node's process.
    fn befalls<R>(&self, node: &str, what: impl FnOnce(&mut Life, Duration) -> R) -> R {
        let now = self.stage.now();
        self.stage.truth.borrow_mut().befalls(node, now, |life| what(life, now))
    }

    /// Asks something of a node's process, as it really is.
    fn really(&self, node: &str, what: impl FnOnce(&Life) -> bool) -> bool {
        self.stage.truth.borrow().life(node).is_some_and(what)
    }

    fn crash(&self, node: &str, disk: DiskFate) -> io::Result<()> {
        if self.befalls(node, |life, now| life.hold(self.number, now)) {
            self.stage.driver.crash(node)?;
            self.stage.chronicle.note("node", node, "dies");
        }
        if disk == DiskFate::Lost { self.lose_disk(node) } else { Ok(()) }
    }

    /// What an operator had put on a node's disk is there again, and nothing that faults had put there.
    fn lose_disk(&self, node: &str) -> io::Result<()> {
        self.stage.driver.lose_disk(node)?;
        let (mut truth, now) = (self.stage.truth.borrow_mut(), self.stage.now());
        self.replaced.geo.clear(&node.to_owned());
        truth.cure(&Part::Geo(node.to_owned()), now);
        for (tenant, rules) in &self.stage.scenario.rules {
            self.replaced.documents.clear(&(node.to_owned(), tenant.clone()));
            truth.cure(&Part::Document(node.to_owned(), tenant.clone()), now);
            truth.set_rules(node, tenant, rules.clone(), now);
        }
        Ok(())
    }

    /// Starts a node unless another fault holds it down; again and again until it starts, as a supervisor does.
    async fn start(&self, node: &str) -> io::Result<()> {
        let Some(number) = self.befalls(node, |life, _| life.release(self.number)) else { return Ok(()) };
        let mut said = None;
        while self.really(node, |life| life.is_wanted(number)) {
            let Err(error) = self.stage.driver.start(node).await else {
                self.befalls(node, |life, _| life.start());
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
            let turns = if stalled {
                self.befalls(node, |life, now| life.stall(self.number, now))
            } else {
                Some(self.befalls(node, |life, now| life.unstall(self.number, now)))
            };
            let what = match turns {
                Some(true) if stalled => "stands still",
                Some(true) => "goes on",
                Some(false) => return Ok(()),
                None => "is down, and cannot stand still",
            };
            self.stage.chronicle.note("node", node, what);
            if turns.is_some() { self.stage.driver.stall(node, stalled) } else { Ok(()) }
        })
    }

    /// Tells a node to leave; whether there is one to hear it. One that is down stays when it is started again.
    async fn drain(&self, node: &str) -> io::Result<bool> {
        if !self.befalls(node, |life, now| life.leave(self.number, now)) {
            self.stage.chronicle.note("node", node, "is down, and does not hear that it is to leave");
            return Ok(false);
        }
        self.stage.chronicle.note("node", node, "is leaving");
        self.stage.driver.drain(node).await.map(|()| true)
    }

    /// Lets nodes leave that run. Who has left is down until the fault is over.
    async fn leave(&self, nodes: &[String]) -> io::Result<()> {
        for node in nodes {
            if self.drain(node).await? {
                let waiting = until_left(Rc::clone(&self.stage), node.clone(), self.number);
                self.leaving.borrow_mut().insert(node.clone(), task::spawn("leaving", waiting));
            }
        }
        Ok(())
    }

    /// Lets a node stay after all, or starts it again if it is too late for that; unless another fault wants it to leave.
    async fn stay(&self, node: &str) -> io::Result<()> {
        let Some(waiting) = self.leaving.borrow_mut().remove(node) else { return Ok(()) };
        if self.really(node, |life| life.leaves_for_others(self.number)) {
            self.befalls(node, |life, _| life.keep(self.number));
            return Ok(());
        }
        if self.really(node, |life| life.leaves_for(self.number)) {
            if self.stage.driver.undrain(node).await? {
                self.befalls(node, |life, _| life.keep(self.number));
                self.stage.chronicle.note("node", node, "stays");
                return Ok(());
            }
            while !waiting.has_ended() {
                sleep(LOOK_INTERVAL).await;
            }
        }
        self.start(node).await
    }

    async fn upgrade(&self, fault: &Fault) -> io::Result<()> {
        let Fault::Upgrade { nodes, drained, stopped, pause } = fault else { return Ok(()) };
        for node in nodes {
            self.drain(node).await?;
            sleep(*drained).await;
            if self.befalls(node, |life, now| life.hold(self.number, now)) {
                self.stage.driver.stop(node).await?;
                self.stage.chronicle.note("node", node, "stops");
            }
            sleep(*stopped).await;
            self.start(node).await?;
            sleep(*pause).await;
        }
        Ok(())
    }

    fn drift(&self, node: &str, ppm: i32) -> io::Result<()> {
        self.stage.driver.drift(node, ppm)?;
        self.befalls(node, |life, now| life.drift(ppm, now));
        Ok(())
    }

    fn right_clock(&self, node: &String) -> io::Result<()> {
        match self.replaced.clocks.uncover(node, self.number) {
            Uncovered::Nothing => Ok(()),
            Uncovered::Older(ppm) => self.drift(node, ppm),
            Uncovered::Bottom => self.drift(node, 0),
        }
    }

    fn right_name(&self, node: &String) -> io::Result<()> {
        match self.replaced.names.uncover(node, self.number) {
            Uncovered::Nothing => Ok(()),
            Uncovered::Older(to) => self.stage.driver.rename(node, &to),
            Uncovered::Bottom => self.stage.driver.rename(node, std::slice::from_ref(node)),
        }
    }

    fn right_geo(&self, node: &String) -> io::Result<()> {
        let how: Option<GeoFault> = match self.replaced.geo.uncover(node, self.number) {
            Uncovered::Nothing => return Ok(()),
            Uncovered::Older(how) => Some(how),
            Uncovered::Bottom => None,
        };
        self.stage.driver.put_geo(node, how)
    }

    fn right_document(&self, node: &str, tenant: &str) -> io::Result<()> {
        let key = (node.to_owned(), tenant.to_owned());
        let rules = match self.replaced.documents.uncover(&key, self.number) {
            Uncovered::Nothing => None,
            Uncovered::Older(rules) => Some(rules),
            Uncovered::Bottom => self.stage.scenario.rules.get(tenant).cloned(),
        };
        rules.map_or(Ok(()), |rules| self.publish(node, tenant, &rules))
    }

    /// Puts rules on a node's disk, under a version that is newer than all before.
    fn publish(&self, node: &str, tenant: &str, rules: &Rules) -> io::Result<()> {
        let version = self.replaced.next_version();
        self.stage.driver.put_document(node, tenant, version, &rules.document())?;
        self.stage.truth.borrow_mut().set_rules(node, tenant, rules.clone(), self.stage.now());
        Ok(())
    }
}

/// Waits for the end of a node that was told to leave: from then on whoever told it so holds it down. Unless it was
/// killed, or another fault has seen it leave.
async fn until_left(stage: Rc<Stage>, node: String, fault: u64) {
    stage.driver.left(&node).await;
    let now = stage.now();
    if !stage.truth.borrow_mut().befalls(&node, now, |life| life.leave_for_good(fault, now)) {
        return;
    }
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
