//! Nodes that leave and come back, in virtual time: nobody waits for the idle limit, and no request is lost.

#![expect(clippy::unwrap_used, reason = "what cannot be is a failure of the test")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use graticule::task;
use graticule_geo::Coordinates;
use graticule_node_core::mesh::Condition;
use graticule_sim::Simulation;
use graticule_sim::fleet::{Fleet, FleetPlan, RegionPlan, TenantPlan};
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Two regions, with tenants that each of them serves alone.
fn plan(nodes_per_region: u8) -> FleetPlan {
    let region = |name: &str, country: &str, latitude, longitude| RegionPlan {
        nodes: nodes_per_region,
        ..RegionPlan::new(name, country.parse().unwrap(), Coordinates::new(latitude, longitude).unwrap())
    };
    let tenant = |id: &str, country: &str, region: &str| TenantPlan {
        id: id.to_owned(),
        residency: format!("allow = [\"country:{country}\"]"),
        pools: vec![region.to_owned()],
        response_timeout: None,
    };
    FleetPlan {
        regions: vec![region("eu-central", "DE", 50.11, 8.68), region("us-east", "US", 39.04, -77.49)],
        requests_in_flight_max: FleetPlan::REQUESTS_IN_FLIGHT_MAX,
        jitter: Duration::ZERO,
        tenants: vec![tenant("berlin", "DE", "eu-central"), tenant("boston", "US", "us-east")],
    }
}

fn story<T: Send + 'static>(
    seed: u64,
    nodes_per_region: u8,
    tell: impl AsyncFnOnce(Simulation, Rc<Fleet>) -> T + Send + 'static,
) -> T {
    Simulation::run(seed, move |simulation| async move {
        let fleet = Rc::new(Fleet::start(&simulation, &plan(nodes_per_region)).await.unwrap());
        fleet.until_whole(10 * SECOND).await.unwrap();
        tell(simulation, fleet).await
    })
    .unwrap()
}

/// Waits until `holds`, and says for how long.
async fn until(what: &str, limit: Duration, holds: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    let waiting = async {
        while !holds() {
            sleep(MS).await;
        }
    };
    assert!(timeout(limit, waiting).await.is_ok(), "not within {limit:?}: {what}");
    began.elapsed()
}

#[test]
fn peers_of_a_node_that_crashed_and_is_back_do_not_wait_for_the_idle_limit() {
    for seed in 1..4 {
        let (back, served) = story(seed, 1, async |_, fleet| {
            // Long enough for the shortest pause before a dial.
            sleep(15 * SECOND).await;
            let node = fleet.machine("eu-central-1").unwrap();
            node.crash();
            node.start().await.unwrap();
            let began = Instant::now();
            let usable = || fleet.condition("us-east-1", "eu-central-1").unwrap() == Some(Condition::Usable);
            until("its peer has noticed", SECOND, || !usable()).await;
            until("its peer is connected again", 4 * SECOND, usable).await;
            let back = began.elapsed();
            loop {
                let answer = fleet.get("us-east-1", "berlin.example", "/").await.unwrap();
                if answer.status == 200 {
                    return (back, began.elapsed());
                }
            }
        });
        assert!(back < 800 * MS, "connected after {back:?}");
        assert!(served < 1_500 * MS, "a worker's tunnel after {served:?}");
    }
}

/// Asks all the time, each time at the next machine of a region that is ready; counts answers, and keeps what failed.
async fn ask_for_ever(fleet: Rc<Fleet>, (region, tenant): (&'static str, &'static str), told: Rc<Told>) {
    for at in 0usize.. {
        let ready: Vec<_> = fleet
            .machines()
            .filter(|machine| machine.region() == region && machine.is_ready())
            .map(|machine| machine.name().to_owned())
            .collect();
        let edge = &ready[at % ready.len()];
        match fleet.get(edge, &format!("{tenant}.example"), "/").await {
            Ok(answer) if answer.status == 200 => told.served.set(told.served.get() + 1),
            other => told.failed.borrow_mut().push(format!("{edge}: {other:?}")),
        }
        sleep(7 * MS).await;
    }
}

#[derive(Default)]
struct Told {
    served: Cell<usize>,
    failed: RefCell<Vec<String>>,
}

#[test]
fn every_node_is_upgraded_in_turn_and_no_request_fails() {
    let (served, failed) = story(7, 2, async |_, fleet| {
        let all_ready = || fleet.machines().all(graticule_sim::fleet::Machine::is_ready);
        until("all are ready", 3 * SECOND, all_ready).await;
        let told = Rc::new(Told::default());
        let clients = ["eu-central", "us-east"].into_iter().flat_map(|region| {
            ["berlin", "boston"].map(|tenant| {
                task::spawn("client", ask_for_ever(Rc::clone(&fleet), (region, tenant), Rc::clone(&told)))
            })
        });
        let clients: Vec<_> = clients.collect();
        for machine in fleet.machines() {
            let began = Instant::now();
            machine.upgrade().await.unwrap();
            assert!((5 * SECOND..7 * SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
            until("it is ready again", 3 * SECOND, || machine.is_ready()).await;
            fleet.until_whole(2 * SECOND).await.unwrap();
        }
        drop(clients);
        (told.served.get(), told.failed.take())
    });
    assert!(failed.is_empty(), "{} of {served}: {failed:#?}", failed.len());
    assert!(served > 1_000, "too little load: {served}");
}

#[test]
fn a_leaving_node_is_known_to_leave_and_never_suspected() {
    story(11, 1, async |_, fleet| {
        let node = fleet.machine("eu-central-1").unwrap();
        node.drain().unwrap();
        let seen = || fleet.condition("us-east-1", "eu-central-1").unwrap();
        let told = until("the peer knows", SECOND, || seen() == Some(Condition::Draining)).await;
        assert!(told < 300 * MS, "told after {told:?}");
        node.undrain().unwrap();
        until("the peer knows that it stays", SECOND, || seen() == Some(Condition::Usable)).await;
        node.drain().unwrap();
        until("the peer knows again", SECOND, || seen() == Some(Condition::Draining)).await;
        let leaving = async {
            node.left().await;
            assert!(!node.is_running() && !node.host().is_up());
        };
        let watching = async {
            while seen() == Some(Condition::Draining) {
                sleep(MS).await;
            }
            assert_eq!(seen(), Some(Condition::Unreachable), "it never turns suspect");
        };
        tokio::join!(leaving, watching);
        assert!(node.undrain().is_err());
    });
}
