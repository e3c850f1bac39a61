//! Runs, their time, and what a host gives its node.

use std::time::Duration;

use graticule_geo::Coordinates;
use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{datagram, host, pair, receive, udp};

#[test]
fn time_is_virtual_and_starts_at_zero() {
    let elapsed = Simulation::run(1, |simulation| async move {
        assert_eq!(simulation.elapsed(), Duration::ZERO);
        sleep(Duration::from_hours(24)).await;
        simulation.elapsed()
    });
    assert_eq!(elapsed.unwrap(), Duration::from_hours(24));
}

#[test]
fn a_panic_of_the_scenario_goes_on_in_the_caller() {
    let caught =
        std::panic::catch_unwind(|| Simulation::run(1, |_| async { panic!("the scenario's own words") }));
    let panic = caught.map(|result: io::Result<()>| result.is_ok()).unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "the scenario's own words");
}

#[test]
fn a_scenario_that_waits_for_ever_is_an_error_at_once() {
    let result = Simulation::run(1, |simulation| async move {
        let socket = udp(&host(&simulation, 1), "10.0.0.1:1");
        receive(&*socket).await;
    });
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn latency_is_the_geographys_to_a_millisecond() {
    // Great-circle distances by Vincenty's formula (WGS 84), at 199,861.6 km/s.
    let cases = [
        ("Frankfurt to Ashburn", (50.11, 8.68), (39.04, -77.49), 6_566.4),
        ("Frankfurt to Singapore", (50.11, 8.68), (1.29, 103.85), 10_268.9),
        ("Zurich to Frankfurt", (47.38, 8.54), (50.11, 8.68), 303.8),
    ];
    for (name, from, to, kilometers) in cases {
        let taken = Simulation::run(1, move |simulation| async move {
            let place = |(latitude, longitude)| Coordinates::new(latitude, longitude).unwrap();
            let near = simulation.host("near", place(from), &["10.0.0.1".parse().unwrap()]).unwrap();
            let far = simulation.host("far", place(to), &["10.0.0.2".parse().unwrap()]).unwrap();
            let (sender, receiver) = (udp(&near, "10.0.0.1:1"), udp(&far, "10.0.0.2:1"));
            let sent = Instant::now();
            sender.try_send(&datagram("10.0.0.2:1", b"ping")).unwrap();
            receive(&*receiver).await;
            sent.elapsed()
        });
        // The sphere of the geography is within 0.6 % of the ellipsoid.
        let expected = kilometers / 199_861.6;
        let difference = (taken.unwrap().as_secs_f64() - expected).abs();
        assert!(difference <= 0.001 + expected * 0.006, "{name}: off by {difference} s");
    }
}

#[test]
fn clocks_and_chance_differ_by_host_and_repeat_by_seed() {
    let read = |seed| {
        Simulation::run(seed, |simulation| async move {
            let (one, other) = pair(&simulation, 1);
            [one, other].map(|host| {
                let world = host.world();
                (world.clock.now(), world.chance.generator().next_u64())
            })
        })
        .unwrap()
    };
    let [one, other] = read(1);
    assert!(one.0 != other.0 && one.1 != other.1);
    assert_eq!(read(1), [one, other]);
    assert_ne!(read(2), [one, other]);
}

#[test]
fn a_restart_does_not_repeat_the_chance_of_the_first_life() {
    Simulation::run(1, |simulation| async move {
        let host = host(&simulation, 1);
        let before = host.world().chance.generator().next_u64();
        host.crash();
        assert!(!host.is_up());
        host.start();
        assert!(host.is_up());
        assert_ne!(host.world().chance.generator().next_u64(), before);
    })
    .unwrap();
}

#[test]
fn names_and_disks_reach_the_node() {
    Simulation::run(1, |simulation| async move {
        let host = host(&simulation, 1);
        simulation.name("backend.test", &["10.0.0.9".parse().unwrap()]);
        host.disk().put("/etc/node.toml", "x = 1");
        host.crash();
        host.start();
        let world = host.world();
        let found = world.names.resolve("backend.test:80").await.unwrap();
        assert_eq!(found, ["10.0.0.9:80".parse().unwrap()]);
        assert_eq!(world.disk.read("/etc/node.toml".as_ref(), 99).unwrap(), b"x = 1");
    })
    .unwrap();
}

#[test]
fn addresses_belong_to_one_host() {
    Simulation::run(1, |simulation| async move {
        let first = host(&simulation, 1);
        let here = Coordinates::new(0.0, 0.0).unwrap();
        let error = simulation.host("second", here, first.addresses()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    })
    .unwrap();
}
