//! A rehearsal: a fleet is started in some world, load and faults are played, everything is watched, and then judged.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use graticule::task;
use graticule_node_core::document::Source;
use tokio::time::{Instant, sleep, sleep_until};

use crate::Simulation;
use crate::fleet::Fleet;
use crate::judge::{self, Sample};
use crate::outcome::{NodeFacts, Outcome, StartFacts};
use crate::scenario::Scenario;

pub(crate) mod chronicle;
mod clients;
mod convergence;
pub(crate) mod driver;
mod faults;
mod growth;
mod invariants;
pub(crate) mod log;
mod memory;
mod records;
mod truth;
mod watch;

use chronicle::Chronicle;
use driver::Driver;
use memory::Memory;
use truth::Truth;

/// Everything of one run that its tasks share.
struct Stage {
    scenario: Scenario,
    seed: u64,
    driver: Box<dyn Driver>,
    /// When load began, in the world's time.
    zero: Instant,
    chronicle: Chronicle,
    truth: RefCell<Truth>,
    samples: RefCell<Vec<Sample>>,
    /// When each load's requests were sent, by their numbers.
    sent: RefCell<Vec<Vec<Duration>>>,
    /// Requests whose clients still wait.
    waiting: Cell<u64>,
    /// How often invariants were asked.
    invariant_checks: Cell<u64>,
}

/// What is done to a fleet besides what its scenario says: for tests that plant mistakes.
pub type Tamper = fn(&Simulation, &Fleet);

/// Runs a scenario in memory. Errors: the machine has no thread for it, the fleet could not be started, or did not
/// become whole.
pub fn run(scenario: &Scenario, seed: u64) -> io::Result<Outcome> {
    run_tampered(scenario, seed, |_, _| {})
}

/// Runs a scenario with a fleet that was tampered with once it was whole.
pub fn run_tampered(scenario: &Scenario, seed: u64, tamper: Tamper) -> io::Result<Outcome> {
    run_prepared(scenario, seed, tamper)
}

/// Runs a scenario, and calls `prepare` once the fleet is whole, just before load begins.
pub(crate) fn run_prepared<P>(scenario: &Scenario, seed: u64, prepare: P) -> io::Result<Outcome>
where
    P: FnOnce(&Simulation, &Fleet) + Send + 'static,
{
    warm_up();
    played(scenario, seed, prepare)
}

/// Does what a process does once, unless that is done.
pub(crate) fn warm_up() {
    FIRST.call_once(first);
}

fn played<P>(scenario: &Scenario, seed: u64, prepare: P) -> io::Result<Outcome>
where
    P: FnOnce(&Simulation, &Fleet) + Send + 'static,
{
    let scenario = scenario.clone();
    Simulation::run(seed, move |simulation| rehearse(simulation, scenario, seed, prepare))?
}

static FIRST: Once = Once::new();

/// Runs something small. What a process makes once, at its first need, draws from the run that needs it first: no run
/// that counts may be that one.
fn first() {
    let source = Source::new("first.toml", include_str!("run/first.toml"));
    if let (Some(scenario), _) = Scenario::parse("first", &source)
        && let Err(error) = played(&scenario, 0, |_, _| {})
    {
        tracing::error!(%error, "the first run of the process failed");
    }
}

async fn rehearse(
    simulation: Simulation,
    scenario: Scenario,
    seed: u64,
    prepare: impl FnOnce(&Simulation, &Fleet),
) -> io::Result<Outcome> {
    let chronicle = Chronicle::new(Instant::now() - simulation.elapsed());
    let _log = log::listen(&chronicle);
    let fleet = Fleet::start(&simulation, &scenario.fleet).await?;
    let (agreed, whole) =
        tokio::try_join!(fleet.until_agreed(WHOLE_TIME_MAX), fleet.until_whole(WHOLE_TIME_MAX))?;
    sleep(SETTLING).await;
    prepare(&simulation, &fleet);
    let outcome = perform(scenario, seed, Box::new(Memory::new(simulation, fleet)), chronicle).await;
    let start = StartFacts { agreed_ms: agreed.as_millis() as u64, whole_ms: whole.as_millis() as u64 };
    Ok(Outcome { start: Some(start), ..outcome })
}

/// Plays a scenario with a fleet that is whole, and judges it.
pub(crate) async fn perform(
    scenario: Scenario,
    seed: u64,
    driver: Box<dyn Driver>,
    chronicle: Chronicle,
) -> Outcome {
    chronicle.begin();
    let truth = RefCell::new(Truth::new(&scenario));
    let zero = Instant::now();
    let (samples, waiting, invariant_checks) = Default::default();
    let sent = RefCell::new(vec![Vec::new(); scenario.loads.len()]);
    let stage = Rc::new(Stage {
        scenario,
        seed,
        driver,
        zero,
        chronicle,
        truth,
        samples,
        sent,
        waiting,
        invariant_checks,
    });
    let watching = task::spawn("watch", watch::watch(Rc::clone(&stage)));
    let faults = task::spawn("faults", faults::play(Rc::clone(&stage)));
    let records = task::spawn("records", records::watch(Rc::clone(&stage)));
    let agreement = task::spawn("convergence", convergence::check(Rc::clone(&stage)));
    for load in 0..stage.scenario.loads.len() {
        task::spawn_detached("load", clients::play(Rc::clone(&stage), load));
    }
    sleep_until(zero + stage.scenario.duration).await;
    stage.until_answered().await;
    growth::check(&stage);
    records::read(&stage);
    drop((watching, faults, records, agreement));
    stage.outcome()
}

impl Stage {
    /// Since load began.
    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    /// Invariants are asked of something.
    fn count_check(&self) {
        self.invariant_checks.set(self.invariant_checks.get() + 1);
    }

    /// When a load's request of this number was sent; nothing if it has not been.
    fn sent(&self, load: usize, number: u64) -> Option<Duration> {
        self.sent.borrow().get(load)?.get(usize::try_from(number).ok()?).copied()
    }

    /// Waits until every client has its answer or has given up, and what it asked for has ended.
    async fn until_answered(&self) {
        while self.waiting.get() > 0 {
            sleep(LOOK_INTERVAL).await;
        }
        sleep(AFTERMATH).await;
    }

    fn outcome(&self) -> Outcome {
        let scenario = &self.scenario;
        let mut samples = self.samples.borrow().clone();
        samples.sort_by_key(|sample| (sample.sent, sample.load, sample.number));
        let bucket = if scenario.duration <= FINE_DURATION_MAX { FINE_BUCKET } else { COARSE_BUCKET };
        let mut outcome = Outcome {
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            about: scenario.about.clone(),
            seed: self.seed,
            world: self.driver.world(),
            again: self.driver.world().command(&scenario.name, self.seed),
            passed: false,
            duration_ms: scenario.duration.as_millis() as u64,
            objectives: judge::verdicts(scenario, &samples),
            violations: Vec::new(),
            invariant_checks: self.invariant_checks.get(),
            nodes: nodes(scenario),
            start: None,
            faults: Vec::new(),
            bucket_ms: bucket.as_millis() as u64,
            requests: judge::buckets(scenario, &samples, bucket),
            latencies: judge::latencies(scenario, &samples, bucket),
            tunnels: Vec::new(),
            views: Vec::new(),
            trace: Vec::new(),
        };
        self.chronicle.tell(&mut outcome);
        outcome.passed = outcome.verdict();
        outcome
    }
}

/// The fleet as reports show it.
pub fn nodes(scenario: &Scenario) -> Vec<NodeFacts> {
    let regions = scenario.fleet.regions.iter();
    let nodes = regions.flat_map(|region| {
        region.node_names().map(|name| NodeFacts {
            name,
            region: region.name.clone(),
            country: region.country.to_string(),
            latitude: region.coordinates.latitude(),
            longitude: region.coordinates.longitude(),
        })
    });
    nodes.collect()
}

/// Within which a fleet without faults becomes whole.
const WHOLE_TIME_MAX: Duration = Duration::from_mins(1);
/// After which preferences of regions are what the distances say.
pub(crate) const SETTLING: Duration = Duration::from_secs(4);
/// After the last answer, for what serving nodes still do about requests that their clients gave up.
const AFTERMATH: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The longest scenario whose requests are counted in fine pieces of time.
const FINE_DURATION_MAX: Duration = Duration::from_mins(2);
const FINE_BUCKET: Duration = Duration::from_millis(250);
const COARSE_BUCKET: Duration = Duration::from_secs(1);
